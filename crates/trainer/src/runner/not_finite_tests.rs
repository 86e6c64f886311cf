//! NaN and infinity at every stage of an iteration: the policy stays finite, and what happened is told.

use anyhow::Result;
use burn::tensor::{Device, Tensor, TensorData};
use compute::State;
use envs::{EnvError, EnvSpec, Navigation, StepBatch, VecEnv};
use safe_rl::Samples;

use super::{IterationReport, Runner};
use crate::algorithm::{ALGORITHMS, Algorithm, Context, Update, build};
use crate::config::TrainConfig;
use crate::policy::Policy;

/// Which output of a step is spoiled.
#[derive(Clone, Copy, Debug)]
enum Stage {
    Obs,
    Reward,
    Cost,
}

/// Environments of which one, once, puts out a number that is none.
struct Spoiled {
    inner: Navigation,
    stage: Stage,
    value: f32,
    steps_left: usize,
}

impl VecEnv for Spoiled {
    fn spec(&self) -> &EnvSpec {
        self.inner.spec()
    }

    fn num_envs(&self) -> usize {
        self.inner.num_envs()
    }

    fn device(&self) -> &Device {
        self.inner.device()
    }

    fn reset(&mut self, staggered: bool) -> Tensor<2> {
        self.inner.reset(staggered)
    }

    fn step(&mut self, action: Tensor<2>) -> StepBatch {
        let mut batch = self.inner.step(action);
        self.steps_left = self.steps_left.wrapping_sub(1);
        if self.steps_left == 0 {
            match self.stage {
                Stage::Obs => batch.obs = spoiled(&batch.obs, self.value),
                Stage::Reward => batch.reward = spoiled(&batch.reward, self.value),
                Stage::Cost => batch.costs = spoiled(&batch.costs, self.value),
            }
        }
        batch
    }

    fn state(&self) -> Result<State, EnvError> {
        self.inner.state()
    }

    fn load_state(&mut self, state: &State) -> Result<(), EnvError> {
        self.inner.load_state(state)
    }
}

/// `tensor` with `value` as its first number.
fn spoiled<const D: usize>(tensor: &Tensor<D>, value: f32) -> Tensor<D> {
    let mut values = compute::read("a batch", tensor.clone()).expect("readable");
    values[0] = value;
    Tensor::from_data(TensorData::new(values, tensor.dims()), &tensor.device())
}

fn config(algo: &str) -> TrainConfig {
    let mut config = TrainConfig { num_envs: 8, rollout_steps: 16, algo: algo.to_owned(), ..TrainConfig::default() };
    config.policy.hidden = vec![8];
    config.critic.hidden = vec![8];
    config
}

/// Whether the update says that something was not finite, or that inverses were replaced.
fn is_told(report: &IterationReport) -> bool {
    let update = &report.update;
    let counted = |name: &str, count: f64| name.ends_with("Fallbacks") && count > 0.0;
    report.first_not_finite().is_some()
        || update.skipped.is_some_and(|skipped| skipped > 0.0)
        || update.metrics.iter().any(|(name, count)| counted(name, *count))
}

/// Every algorithm, and what it is tried with: the rivals share their parts, one number tells as much as three.
fn tried() -> impl Iterator<Item = (&'static str, &'static [f32])> {
    const VALUES: [f32; 3] = [f32::NAN, f32::INFINITY, f32::NEG_INFINITY];
    ALGORITHMS.iter().map(|algo| {
        let all = ["kfcpo", "ppo", "ppo-lag"].contains(&algo.name);
        (algo.name, if all { &VALUES[..] } else { &VALUES[..1] })
    })
}

/// Iterates on; the policy must stay finite throughout, and some iteration must tell.
fn assert_survives(runner: &mut Runner, what: &str) {
    let mut told = false;
    for _ in 0..4 {
        let report = runner.iterate().expect("an iteration");
        told |= is_told(&report);
        let policy = runner.snapshot().expect("readable");
        let finite = policy.theta.iter().chain(&policy.log_std).all(|value| value.is_finite());
        assert!(finite, "{what}: the policy is lost");
    }
    assert!(told, "{what}: nothing was said");
}

#[test]
fn what_an_environment_puts_out_cannot_spoil_the_policy() {
    // What ends episodes early changes the level, and takes no environments that are there already.
    for (algo, values) in tried().filter(|(algo, _)| !algo.ends_with("early-terminated")) {
        for stage in [Stage::Obs, Stage::Reward, Stage::Cost] {
            for &value in values {
                let spec = envs::find("PointGoal1").expect("an environment");
                let inner = Navigation::new(spec, 8, 1, &Device::flex()).expect("environments");
                // In the second rollout: the first one is not learned from.
                let env = Spoiled { inner, stage, value, steps_left: 20 };
                let mut runner = Runner::with_env(config(algo), Box::new(env), Device::flex()).expect("a run");
                if matches!((algo, stage), ("ppo", Stage::Cost)) {
                    continue; // it does not look at the cost
                }
                assert_survives(&mut runner, &format!("{algo}, {stage:?} = {value}"));
            }
        }
    }
}

#[test]
fn what_a_state_holds_cannot_spoil_the_policy() {
    for part in ["critic", "factors", "average"] {
        for value in [f32::NAN, f32::INFINITY] {
            let mut runner = Runner::new(config("kfcpo"), Device::flex()).expect("a run");
            for _ in 0..3 {
                runner.iterate().expect("an iteration");
            }
            let mut state = runner.save().expect("a state");
            let mut spoiled = 0;
            for (_, tensor) in state.tensors.iter_mut().filter(|(name, _)| name.contains(part)) {
                tensor.values[0] = value;
                spoiled += 1;
            }
            assert!(spoiled > 0, "no state is called {part}");
            runner.load(&state).expect("a state of this run");
            assert_survives(&mut runner, &format!("{part} = {value}"));
        }
    }
}

/// The part of an update's samples that is spoiled; the gradient of the policy is linear in the advantages.
#[derive(Clone, Copy, Debug)]
enum Part {
    Obs,
    Action,
    Mean,
    LogProb,
    Advantage,
    Gradient,
}

/// An algorithm that once gets samples of which one number is none; of all gradients of an objective, where the whole row
/// of its advantages is.
struct Misled {
    inner: Box<dyn Algorithm>,
    part: Part,
    value: f32,
    updates_left: usize,
}

impl Algorithm for Misled {
    fn update(&mut self, policy: &mut Policy, batch: &Samples, context: &Context) -> Result<Update> {
        self.updates_left = self.updates_left.wrapping_sub(1);
        let mut batch = batch.clone();
        if self.updates_left == 0 {
            match self.part {
                Part::Obs => batch.obs = spoiled(&batch.obs, self.value),
                Part::Action => batch.action = spoiled(&batch.action, self.value),
                Part::Mean => batch.mean = spoiled(&batch.mean, self.value),
                Part::LogProb => batch.log_prob = spoiled(&batch.log_prob, self.value),
                Part::Advantage => batch.advantage = spoiled(&batch.advantage, self.value),
                Part::Gradient => {
                    let row = batch.advantage.clone().slice([0..1]);
                    batch.advantage = batch.advantage.clone().slice_assign([0..1], row.full_like(self.value));
                }
            }
        }
        self.inner.update(policy, &batch, context)
    }

    fn state(&self) -> Result<State> {
        self.inner.state()
    }

    fn load_state(&mut self, state: &State) -> Result<()> {
        self.inner.load_state(state)
    }
}

#[test]
fn what_an_update_is_given_cannot_spoil_the_policy() {
    for (algo, values) in tried() {
        for part in [Part::Obs, Part::Action, Part::Mean, Part::LogProb, Part::Advantage, Part::Gradient] {
            for &value in values {
                let runner = Runner::new(config(algo), Device::flex()).expect("a run");
                let misled = runner.with_algorithm(|setup| {
                    Ok(Box::new(Misled { inner: build(setup)?, part, value, updates_left: 2 }))
                });
                let mut runner = misled.expect("an algorithm");
                for _ in 0..4 {
                    runner.iterate().expect("an iteration");
                    let policy = runner.snapshot().expect("readable");
                    let finite = policy.theta.iter().chain(&policy.log_std).all(|value| value.is_finite());
                    assert!(finite, "{algo}, {part:?} = {value}: the policy is lost");
                }
            }
        }
    }
}
