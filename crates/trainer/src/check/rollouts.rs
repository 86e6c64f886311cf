//! Whole rollouts: in one launch, step by step on the same device, and on the reference.

use anyhow::{Result, ensure};
use burn::tensor::{Device, Tensor};
use compute::noise::{NoiseKey, Stream};
use envs::{AgentKind, Navigation, TaskKind, VecEnv, find};
use kfac::Activation;
use safe_rl::{Normalizer, NormalizerConfig, Rollout, RolloutBuilder};

use super::findings::{Findings, Measure};
use super::numbers::{tensor, values};
use super::subject::Subject;
use crate::comm::Alone;
use crate::config::TrainConfig;
use crate::deployed::Deployed;
use crate::policy::Policy;
use crate::policy::rollout::RolloutKernel;
use crate::runner::rollout_step;

const ENVS: usize = 96;
const STEPS: usize = 12;

const ORDER: &str = "a product of matrices may add in another order, and a contact fall to the other side for it";
const SUMS: &str = "sums in another order";
const COURSE: &str = "rounding grows from step to step: the accelerometer shows the yaw servo's chatter";
const EXACT: &str = "counts and ends do not round";
const SAME: &str = "the bits do not depend on the number of threads";

/// Everything a rollout begins with, the same on every device.
struct Start {
    env: Navigation,
    obs: Tensor<2>,
    normalizer: Normalizer,
    policy: Policy,
}

impl Start {
    fn new(id: &str, hidden: &[usize], activation: Activation, device: &Device) -> Result<Self> {
        let mut config = TrainConfig { env: id.into(), seed: 11, ..TrainConfig::default() };
        config.policy.hidden = hidden.to_vec();
        config.policy.activation = activation;
        config.policy.output_gain = 1.0; // means that differ from state to state
        let spec = find(id)?;
        let (obs_dim, action_dim) = (spec.env.obs_dim, spec.env.action_dim);
        let mut env = Navigation::new(spec, ENVS, config.seed, device)?;
        let obs = env.reset(true);
        end_soon(&mut env)?;
        let constant = |value: f32| Tensor::full([obs_dim], value, device);
        let normalizer = Normalizer::frozen(constant(0.1), constant(0.7), NormalizerConfig::default())?;
        let policy = Policy::new(&config.policy, obs_dim, action_dim, config.seed, device)?;
        Ok(Self { env, obs, normalizer, policy })
    }

    fn stepwise(&mut self) -> Result<Rollout> {
        let mut builder = RolloutBuilder::with_capacity(STEPS);
        for step in 0..STEPS {
            let obs = self.normalizer.observe(self.obs.clone());
            let act = self.policy.act(obs.clone(), key(step));
            let batch = self.env.step(act.action.clone());
            self.obs = batch.obs.clone();
            builder.push(rollout_step(obs, act.action, act.mean, act.log_prob, batch))?;
        }
        let last = self.normalizer.apply(self.obs.clone());
        Ok(builder.finish(last, self.policy.log_std().clone(), |obs| self.normalizer.apply(obs))?)
    }

    /// The rollout by the device's kernel; `None` where it has none.
    fn fused(&mut self, kernel: RolloutKernel) -> Result<Option<Rollout>> {
        let Self { env, obs, normalizer, policy } = self;
        let Some(collected) = kernel.collect(env, obs, normalizer, policy, key(0), STEPS) else { return Ok(None) };
        Ok(Some(Rollout::from_arrays(collected.arrays, |obs| self.normalizer.apply(obs))?))
    }
}

/// Puts every third environment a few steps before the end of its episode.
fn end_soon(env: &mut Navigation) -> Result<()> {
    let (shape, horizon, device) = (env.fields().dims(), env.spec().max_episode_steps, env.device().clone());
    let [_, fields, lanes] = shape;
    let mut state = values(env.fields())?;
    for e in (0..env.num_envs()).step_by(3) {
        state[e / lanes * fields * lanes + e % lanes] = (horizon - 1 - e % (STEPS + 4)) as f32;
    }
    Ok(env.set_fields(tensor(&state, shape, &device))?)
}

fn key(step: usize) -> NoiseKey {
    NoiseKey { seed: 11, stream: Stream::Other(3), step: (1 << 33) + step as u64 }
}

/// A rollout's numbers on the host.
struct Numbers {
    critic_inputs: Vec<f32>,
    obs: Vec<f32>,
    action: Vec<f32>,
    mean: Vec<f32>,
    log_prob: Vec<f32>,
    /// Reward, then cost, of every step.
    signals: [Vec<f32>; 2],
    done: Vec<f32>,
    truncated: Vec<f32>,
    episodes: Vec<f32>,
    /// Lengths, and whether an episode began in the middle.
    lengths: Vec<f32>,
    mean_reward: f32,
    bootstraps: usize,
}

impl Numbers {
    fn of(rollout: &Rollout) -> Result<Self> {
        let signal = |s: usize| values(rollout.signals.clone().narrow(0, s, 1));
        Ok(Self {
            critic_inputs: values(rollout.critic_inputs())?,
            obs: values(rollout.obs.clone())?,
            action: values(rollout.action.clone())?,
            mean: values(rollout.mean.clone())?,
            log_prob: values(rollout.log_prob.clone())?,
            signals: [signal(0)?, signal(1)?],
            done: values(rollout.done.clone())?,
            truncated: rollout.truncated_samples().iter().map(|&sample| sample as f32).collect(),
            episodes: rollout.finished.iter().map(|episode| episode.episode_return).collect(),
            lengths: rollout
                .finished
                .iter()
                .flat_map(|episode| [episode.length, f32::from(u8::from(episode.partial))])
                .collect(),
            mean_reward: rollout.mean_step_reward as f32,
            bootstraps: rollout.bootstraps(),
        })
    }

    fn first_obs(&self) -> &[f32] {
        &self.obs[..self.obs.len() / STEPS]
    }
}

/// Holds two rollouts of one device equal: the same numbers went through the same bodies.
fn compare_ways(findings: &mut Findings, stepwise: &Numbers, fused: &Numbers) {
    let signals = [stepwise, fused].map(|r| r.signals.concat());
    for (what, pair) in [
        ("critic inputs", [&stepwise.critic_inputs, &fused.critic_inputs]),
        ("actions", [&stepwise.action, &fused.action]),
        ("means", [&stepwise.mean, &fused.mean]),
        ("log-probabilities", [&stepwise.log_prob, &fused.log_prob]),
        ("rewards and costs", [&signals[0], &signals[1]]),
        ("ends", [&stepwise.done, &fused.done]),
    ] {
        let what = format!("kernel and steps: {what}");
        findings.compare(what, Measure::ShareBeyond(1e-4), pair.map(Vec::as_slice), 1e-3, ORDER);
    }
    let (a, b) = (stepwise, fused);
    findings.compare(
        "kernel and steps: truncated samples",
        Measure::Differing,
        [&a.truncated, &b.truncated],
        0.0,
        EXACT,
    );
    findings.compare("kernel and steps: episode returns", Measure::Absolute, [&a.episodes, &b.episodes], 1e-3, SUMS);
    findings.compare("kernel and steps: episode lengths", Measure::Differing, [&a.lengths, &b.lengths], 0.0, EXACT);
    let means = [&[a.mean_reward][..], &[b.mean_reward]];
    findings.compare("kernel and steps: mean reward", Measure::Absolute, means, 1e-5, SUMS);
}

/// Holds what the policy did on the device equal to what the reference does at the observations of the device.
fn compare_policy(findings: &mut Findings, subject: &Subject, policy: &Policy, got: &Numbers) -> Result<()> {
    let params = values(policy.params().clone())?;
    let acts = subject.operation(|device| {
        let policy = Policy::from_params(policy.spec().clone(), tensor(&params, [params.len()], device))?;
        let obs = tensor(&got.obs, [STEPS * ENVS, got.obs.len() / (STEPS * ENVS)], device);
        let mut acts = [Vec::new(), Vec::new(), Vec::new()];
        for t in 0..STEPS {
            let act = policy.act(obs.clone().narrow(0, t * ENVS, ENVS), key(t));
            for (acts, numbers) in acts.iter_mut().zip([values(act.action)?, values(act.mean)?, values(act.log_prob)?])
            {
                acts.extend(numbers);
            }
        }
        Ok(acts)
    })?;
    let names = ["the policy's actions", "the policy's means", "the policy's log-probabilities"];
    for ((what, expected), got) in names.into_iter().zip(&acts).zip([&got.action, &got.mean, &got.log_prob]) {
        findings.compare(what, Measure::Relative(1.0), [expected, got], 2e-5, SUMS);
    }
    Ok(())
}

/// Holds the course of a rollout near that on the reference. Accounts are compared, and observations only of the first step:
/// the parts `env` compare those step by step.
fn compare_course(findings: &mut Findings, expected: &Numbers, got: &Numbers) {
    let (a, b) = (expected, got);
    findings.compare("course: truncated samples", Measure::Differing, [&a.truncated, &b.truncated], 0.0, EXACT);
    for (what, pair, beyond, share) in [
        ("course: first observations", [a.first_obs(), b.first_obs()], 1e-5, 1e-3),
        ("course: rewards", [&a.signals[0], &b.signals[0]], 1e-2, 1e-2),
        ("course: costs", [&a.signals[1], &b.signals[1]], 0.5, 1e-2),
        ("course: ends", [&a.done, &b.done], 0.5, 0.0),
    ] {
        findings.compare(what, Measure::ShareBeyond(beyond), pair, share, COURSE);
    }
}

/// The course on the CPU, on one thread and on all, bit for bit.
fn compare_threads(findings: &mut Findings, expected: &Numbers, got: &Numbers) {
    for (what, pair) in [
        ("critic inputs", [&expected.critic_inputs, &got.critic_inputs]),
        ("actions", [&expected.action, &got.action]),
        ("log-probabilities", [&expected.log_prob, &got.log_prob]),
        ("rewards", [&expected.signals[0], &got.signals[0]]),
        ("costs", [&expected.signals[1], &got.signals[1]]),
        ("ends", [&expected.done, &got.done]),
        ("episode returns", [&expected.episodes, &got.episodes]),
    ] {
        findings.compare(format!("course: {what}"), Measure::Differing, pair.map(Vec::as_slice), 0.0, SAME);
    }
}

fn compare(
    subject: &Subject,
    findings: &mut Findings,
    id: &str,
    hidden: &[usize],
    activation: Activation,
) -> Result<()> {
    let spec = find(id)?;
    let layouts_end = spec.level.task == TaskKind::Button && !spec.level.name.ends_with('0');
    if subject.is_software() && (spec.agent != AgentKind::Point || layouts_end) {
        findings.skip(
            "software Vulkan takes ten minutes and more to compile the Car, and stops the layouts of Button 1 and 2",
        );
        return Ok(());
    }
    let begin = |device: &Device| Start::new(id, hidden, activation, device);
    let expected = subject.reference(|device| Numbers::of(&begin(device)?.stepwise()?))?;
    ensure!(expected.bootstraps > ENVS / 6, "{} episodes ended on the reference: too few", expected.bootstraps);
    let mut stepped = begin(subject.device())?;
    let stepwise = Numbers::of(&stepped.stepwise()?)?;
    if subject.is_cpu() {
        compare_threads(findings, &expected, &stepwise);
        return compare_policy(findings, subject, &stepped.policy, &stepwise);
    }
    let mut whole = begin(subject.device())?;
    let kernel = RolloutKernel::new(subject.device());
    let Some(fused) = whole.fused(kernel)? else {
        findings.skip("the device has no kernel for whole rollouts");
        compare_policy(findings, subject, &stepped.policy, &stepwise)?;
        compare_course(findings, &expected, &stepwise);
        return Ok(());
    };
    let fused = Numbers::of(&fused)?;
    compare_ways(findings, &stepwise, &fused);
    compare_policy(findings, subject, &whole.policy, &fused)?;
    compare_course(findings, &expected, &fused);
    let next = [values(stepped.obs.clone())?, values(whole.obs.clone())?];
    findings.compare("next observations", Measure::ShareBeyond(1e-3), [&next[0], &next[1]], 1e-3, ORDER);
    let mut moments = Vec::new();
    for start in [&mut stepped, &mut whole] {
        start.normalizer.commit();
        moments.push([values(start.normalizer.mean())?, values(start.normalizer.std())?].concat());
    }
    findings.compare("moments of the observations", Measure::Relative(1.0), [&moments[0], &moments[1]], 1e-4, SUMS);
    Ok(())
}

/// A rollout in an environment, networks 64-64.
pub(super) fn rollout(subject: &Subject, findings: &mut Findings, id: &str) -> Result<()> {
    compare(subject, findings, id, &[64, 64], Activation::Tanh)
}

/// Widths that fill no block.
pub(super) fn odd_widths(subject: &Subject, findings: &mut Findings) -> Result<()> {
    compare(subject, findings, "PointCircle0", &[13, 40, 7], Activation::Relu)
}

/// The deployed policy, measured by its means: in one launch where the device can.
pub(super) fn means(subject: &Subject, findings: &mut Findings) -> Result<()> {
    let measured = |device: &Device| {
        let Start { env, normalizer, policy, .. } = Start::new("PointGoal1", &[64, 64], Activation::Tanh, device)?;
        let mut deployed = Deployed::new(Box::new(env), &TrainConfig::default());
        deployed.measure(&policy, &normalizer, STEPS, &Alone)?;
        let report = deployed.report();
        Ok([report.figures.step_return as f32, report.figures.step_costs[0] as f32, report.steps as f32])
    };
    let (a, b) = (subject.reference(measured)?, measured(subject.device())?);
    // Means of 1,152 steps, times 1,000: a tenth is a reward's rounding, 2 are two contacts that fall to the other side.
    for (i, (what, bound)) in [("return", 0.1), ("cost", 2.0), ("steps", 0.0)].into_iter().enumerate() {
        let bound = if subject.is_cpu() { 0.0 } else { bound };
        findings.compare(what, Measure::Absolute, [&a[i..=i], &b[i..=i]], bound, COURSE);
    }
    Ok(())
}

/// Several steps a launch give the same bits as one: software Vulkan ends long loops, so the rollout is short.
pub(super) fn launches(subject: &Subject, findings: &mut Findings) -> Result<()> {
    let run = |steps_per_launch: usize| {
        let mut start = Start::new("PointCircle0", &[8], Activation::Tanh, subject.device())?;
        let kernel = RolloutKernel::new(subject.device()).with_steps_per_launch(steps_per_launch);
        let Some(rollout) = start.fused(kernel)? else { return Ok(None) };
        let Numbers { critic_inputs, action, signals, .. } = Numbers::of(&rollout)?;
        let [reward, cost] = signals;
        Ok::<_, anyhow::Error>(Some([critic_inputs, action, reward, cost, values(start.env.fields())?]))
    };
    let Some(single) = run(1)? else {
        findings.skip("the device has no kernel for whole rollouts");
        return Ok(());
    };
    for steps in [5, usize::MAX] {
        let Some(several) = run(steps)? else { continue };
        let names = ["critic inputs", "actions", "rewards", "costs", "states"];
        for (what, (one, other)) in names.into_iter().zip(single.iter().zip(&several)) {
            let words = if steps == 5 { "5 steps a launch" } else { "one launch" };
            findings.compare(format!("{words}: {what}"), Measure::Differing, [one, other], 0.0, "the same bodies");
        }
    }
    Ok(())
}
