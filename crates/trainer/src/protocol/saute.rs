//! Sauté and Simmer: the part of the budget that is left is seen, and a step without any left earns a penalty.
//!
//! With a budget d per episode of T steps, `d' = d (1 - gamma^T) / ((1 - gamma) T)` and z = 1 at the start of an episode,
//! every step does `z <- (z - c / d') / gamma`; the policy sees z behind its observation, and where z <= 0 the reward is
//! `unsafe_reward`. Sootla and others, "Sauté RL: Almost Surely Safe Reinforcement Learning Using State Augmentation" (arXiv
//! 2202.06558); as in OmniSafe's `saute_adapter.py`, but that the observation at the end of an episode shows what was left
//! of that episode's budget, and that z is normalised like the rest of the observation.
//!
//! Simmer lets the budget follow the cost: a controller moves it, below the limit, by the difference to the mean cost of
//! the episodes that ended in the last rollout; an episode begins with z = budget / limit. Sootla and others, "Enhancing
//! Safe Exploration Using Safety State Augmentation" (arXiv 2206.02675); the controller as in OmniSafe's
//! `simmer_agent.py`. OmniSafe's adapter divides the cost by the present budget instead of the limit and begins an episode
//! after an automatic reset with z = 1; both would spend the budget at another cost than the controller has set.

use std::collections::VecDeque;

use anyhow::Result;
use burn::tensor::{Device, Tensor};
use compute::{State, read};
use envs::{EnvError, EnvSpec, StepBatch};
use serde::{Deserialize, Serialize};

use super::{Means, Protocol, ProtocolInfo};
use crate::config::{Section, TrainConfig, at_least, within};

/// The protocol of the rows with Sauté.
pub const SAUTE: ProtocolInfo = ProtocolInfo {
    name: "saute",
    means: Means::Steps(|config, spec, envs, device| Box::new(Saute::new(config, None, spec, envs, device))),
};

/// The protocol of the rows with Simmer.
pub const SIMMER: ProtocolInfo = ProtocolInfo {
    name: "simmer",
    means: Means::Steps(|config, spec, envs, device| {
        Box::new(Saute::new(config, Some(config.section()), spec, envs, device))
    }),
};

/// Settings of Sauté, and of Simmer's reward (OmniSafe's values for its navigation tasks).
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct SauteConfig {
    /// Discount of the budget.
    pub gamma: f64,
    /// Reward of a step without budget.
    pub unsafe_reward: f64,
}

impl Default for SauteConfig {
    fn default() -> Self {
        Self { gamma: 0.9999, unsafe_reward: -0.2 }
    }
}

impl Section for SauteConfig {
    const NAME: &'static str = "saute";

    fn validate(&self) -> Result<()> {
        within("saute.gamma", self.gamma, 0.5, 0.999_999)?;
        within("saute.unsafe_reward", self.unsafe_reward, -1e6, 1e6)
    }
}

/// Settings of Simmer's controller (OmniSafe's values).
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct SimmerConfig {
    /// First budget, as a share of the limit.
    pub initial_share: f64,
    /// Proportional gain.
    pub kp: f64,
    /// Integral gain.
    pub ki: f64,
    /// Derivative gain.
    pub kd: f64,
    /// Decay of the moving average of the error.
    pub polyak: f64,
}

impl Default for SimmerConfig {
    fn default() -> Self {
        Self { initial_share: 1.0, kp: 0.0005, ki: 0.00001, kd: 0.0, polyak: 0.995 }
    }
}

impl Section for SimmerConfig {
    const NAME: &'static str = "simmer";

    fn validate(&self) -> Result<()> {
        within("simmer.initial_share", self.initial_share, 1e-3, 1.0)?;
        at_least("simmer.kp", self.kp, 0.0)?;
        at_least("simmer.ki", self.ki, 0.0)?;
        at_least("simmer.kd", self.kd, 0.0)?;
        within("simmer.polyak", self.polyak, 0.0, 0.9999)
    }
}

/// Errors that the integral term sums up.
const INTEGRAL: usize = 10;
/// Smallest budget.
const LEAST: f64 = 1e-6;

/// Simmer's controller: the budget of an episode, in the units of `d'`.
#[derive(Clone, Debug, PartialEq)]
struct Controller {
    config: SimmerConfig,
    upper: f64,
    budget: f64,
    error: f64,
    errors: VecDeque<f64>,
    /// The last change of the budget, and what it would have been without bounds.
    action: f64,
    raw_action: f64,
}

impl Controller {
    fn new(config: SimmerConfig, upper: f64) -> Self {
        let budget = config.initial_share * upper;
        Self { config, upper, budget, error: 0.0, errors: VecDeque::new(), action: 0.0, raw_action: 0.0 }
    }

    /// Moves the budget after episodes of this mean cost, in the same units.
    fn update(&mut self, cost: f64) {
        let SimmerConfig { kp, ki, kd, polyak, .. } = self.config;
        self.error = polyak * self.error + (1.0 - polyak) * (self.budget - cost);
        if self.errors.len() == INTEGRAL {
            self.errors.pop_front();
        }
        self.errors.push_back(self.error);
        let integral: f64 = self.errors.iter().sum();
        let raw_action = kp * self.error + ki * integral + kd * (self.action - self.raw_action);
        let next = (self.budget + raw_action.clamp(-1.0, 1.0)).clamp(LEAST, self.upper.max(LEAST));
        (self.action, self.raw_action) = (next - self.budget, raw_action);
        self.budget = next;
    }
}

/// Either protocol; with several constraints, of the first.
pub struct Saute {
    config: SauteConfig,
    /// `d'` over `d`.
    scale: f64,
    /// `d'` of the limit.
    upper: f64,
    controller: Option<Controller>,
    /// Steps between two moves of the controller.
    interval: u64,
    steps: u64,
    /// z, `[B]`.
    left: Tensor<1>,
    /// Cost and number of the episodes that ended since the controller's last move, `[2]`.
    ended: Tensor<1>,
}

impl Saute {
    /// Sauté, or with a controller Simmer, for so many environments of this kind.
    pub fn new(
        config: &TrainConfig,
        controller: Option<SimmerConfig>,
        spec: &EnvSpec,
        num_envs: usize,
        device: &Device,
    ) -> Self {
        let saute: SauteConfig = config.section();
        let steps = spec.max_episode_steps.max(1) as f64;
        let scale = (1.0 - saute.gamma.powf(steps)) / (1.0 - saute.gamma) / steps;
        let upper = (config.cost_limit.first() * scale).max(LEAST);
        Self {
            config: saute,
            scale,
            upper,
            controller: controller.map(|controller| Controller::new(controller, upper)),
            interval: config.rollout_steps as u64,
            steps: 0,
            left: Tensor::ones([num_envs], device),
            ended: Tensor::zeros([2], device),
        }
    }

    /// z at the start of an episode.
    fn full(&self) -> f64 {
        self.controller.as_ref().map_or(1.0, |controller| controller.budget / self.upper)
    }

    fn control(&mut self) {
        self.steps += 1;
        let Some(controller) = &mut self.controller else { return };
        if !self.steps.is_multiple_of(self.interval) {
            return;
        }
        // A device that cannot be read is found out by the learner at once; the budget stays.
        if let Ok(ended) = read("episodes", self.ended.clone())
            && ended[1] > 0.0
        {
            controller.update(f64::from(ended[0]) / f64::from(ended[1]) * self.scale);
            self.ended = self.ended.zeros_like();
        }
    }
}

/// An observation with z behind it.
fn with_left(obs: Tensor<2>, left: &Tensor<1>) -> Tensor<2> {
    Tensor::cat(vec![obs, left.clone().unsqueeze_dim(1)], 1)
}

impl Protocol for Saute {
    fn extra_obs(&self) -> usize {
        1
    }

    fn reset(&mut self, obs: Tensor<2>) -> Tensor<2> {
        self.left = self.left.ones_like() * self.full();
        with_left(obs, &self.left)
    }

    fn step(&mut self, mut batch: StepBatch) -> StepBatch {
        let row = |costs: &Tensor<2>| costs.clone().narrow(0, 0, 1).squeeze_dim::<1>(0);
        let left = (self.left.clone() - row(&batch.costs) / self.upper) / self.config.gamma;
        let spent = left.clone().lower_equal_elem(0.0);
        batch.reward = batch.reward.mask_fill(spent, self.config.unsafe_reward as f32);
        let done = batch.terminated.clone() + batch.truncated.clone();
        if self.controller.is_some() {
            // The rest of an episode that was begun in its middle costs less than a whole one.
            let whole = done.clone() * (batch.episode_partial.clone().neg() + 1.0);
            let cost = (row(&batch.episode_costs) * whole.clone()).sum();
            self.ended = self.ended.clone() + Tensor::cat(vec![cost, whole.sum()], 0);
        }
        batch.final_obs = with_left(batch.final_obs, &left);
        self.control();
        let over = done.greater_elem(0.0);
        self.left = left.mask_fill(over, self.full() as f32);
        batch.obs = with_left(batch.obs, &self.left);
        batch
    }

    fn state(&self) -> Result<State, EnvError> {
        let mut state = State::new();
        state.put_tensor("left", &self.left)?;
        state.put("steps", self.steps)?;
        if let Some(controller) = &self.controller {
            state.put_tensor("ended", &self.ended)?;
            state.put_f64("budget", controller.budget)?;
            state.put_f64("error", controller.error)?;
            state.put("errors", &controller.errors)?;
            state.put_f64("action", controller.action)?;
            state.put_f64("raw_action", controller.raw_action)?;
        }
        Ok(state)
    }

    fn load_state(&mut self, state: &State) -> Result<(), EnvError> {
        let device = self.left.device();
        self.left = state.tensor("left", self.left.dims(), &device)?;
        self.steps = state.get("steps")?;
        if let Some(controller) = &mut self.controller {
            self.ended = state.tensor("ended", [2], &device)?;
            controller.budget = state.get_f64("budget")?;
            controller.error = state.get_f64("error")?;
            controller.errors = state.get("errors")?;
            controller.action = state.get_f64("action")?;
            controller.raw_action = state.get_f64("raw_action")?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::policy::exported::host;

    fn spec() -> EnvSpec {
        EnvSpec { id: "Test".into(), obs_dim: 1, action_dim: 1, max_episode_steps: 2, constraints: vec!["cost".into()] }
    }

    fn config() -> TrainConfig {
        let mut config = TrainConfig { cost_limit: 4.0.into(), rollout_steps: 1, ..TrainConfig::default() };
        *config.section_mut::<SauteConfig>() = SauteConfig { gamma: 0.5, unsafe_reward: -1.0 };
        config
    }

    fn batch(cost: [f32; 2], done: [f32; 2]) -> StepBatch {
        let device = Device::flex();
        let row = |values: [f32; 2]| Tensor::<1>::from_floats(values, &device);
        let obs = Tensor::<2>::from_floats([[7.0], [8.0]], &device);
        StepBatch {
            obs: obs.clone(),
            final_obs: obs,
            reward: row([1.0, 1.0]),
            costs: row(cost).unsqueeze(),
            terminated: row([0.0, 0.0]),
            truncated: row(done),
            episode_return: row([5.0, 5.0]),
            episode_costs: row([6.0, 2.0]).unsqueeze(),
            episode_length: row([2.0, 2.0]),
            episode_partial: row([0.0, 0.0]),
            kinds: None,
        }
    }

    /// gamma = 1/2, T = 2: d' = d (1 - 1/4) / (1/2) / 2 = 3/4 d = 3.
    #[test]
    fn the_budget_is_seen_and_an_empty_one_is_punished() {
        let mut saute = Saute::new(&config(), None, &spec(), 2, &Device::flex());
        let obs = saute.reset(Tensor::zeros([2, 1], &Device::flex()));
        assert_eq!(host(&obs).unwrap(), [0.0, 1.0, 0.0, 1.0]);
        // (1 - 0) / gamma = 2, (1 - 3/2) / gamma with a cost of 4.5 = -1.
        let step = saute.step(batch([0.0, 4.5], [0.0, 0.0]));
        assert_eq!(host(&step.obs).unwrap(), [7.0, 2.0, 8.0, -1.0]);
        assert_eq!(host(&step.reward).unwrap(), [1.0, -1.0]);
        assert_eq!(host(&step.episode_return).unwrap(), [5.0, 5.0], "the task's own return");
        // The end of an episode shows what was left of it; the next one begins with all of it.
        let step = saute.step(batch([3.0, 0.0], [0.0, 1.0]));
        assert_eq!(host(&step.final_obs).unwrap(), [7.0, 2.0, 8.0, -2.0]);
        assert_eq!(host(&step.obs).unwrap(), [7.0, 2.0, 8.0, 1.0]);
    }

    #[test]
    fn the_controller_agrees_with_numbers_worked_by_hand() {
        let config = SimmerConfig { initial_share: 0.5, kp: 0.1, ki: 0.01, kd: 0.0, polyak: 0.5 };
        let mut controller = Controller::new(config, 3.0);
        // error 0.5 (1.5 - 4.5) = -1.5: the budget falls by 0.15 + 0.015.
        controller.update(4.5);
        assert!((controller.budget - 1.335).abs() < 1e-12);
        // error -0.75 + 0.5 (1.335 - 0) = -0.0825, integral -1.5825.
        controller.update(0.0);
        assert!((controller.budget - (1.335 - 0.00825 - 0.015825)).abs() < 1e-12);
    }

    #[test]
    fn simmer_begins_an_episode_with_its_budget_and_resumes() {
        let mut config = config();
        config.section_mut::<SimmerConfig>().initial_share = 0.5;
        let make = || Saute::new(&config, Some(config.section()), &spec(), 2, &Device::flex());
        let mut simmer = make();
        let obs = simmer.reset(Tensor::zeros([2, 1], &Device::flex()));
        assert_eq!(host(&obs).unwrap(), [0.0, 0.5, 0.0, 0.5]);
        simmer.step(batch([1.0, 0.0], [1.0, 0.0]));
        // One episode of cost 6 has ended, in the units of d' 4.5: the budget falls below 1.5.
        let budget = simmer.controller.as_ref().map(|controller| controller.budget);
        assert!(budget.is_some_and(|budget| budget < 1.5), "{budget:?}");
        let mut resumed = make();
        resumed.load_state(&simmer.state().unwrap()).unwrap();
        let (a, b) = (simmer.step(batch([0.5, 0.5], [0.0, 1.0])), resumed.step(batch([0.5, 0.5], [0.0, 1.0])));
        assert_eq!(host(&a.obs).unwrap(), host(&b.obs).unwrap());
        assert_eq!(simmer.controller, resumed.controller);
    }
}
