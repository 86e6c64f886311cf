//! The training configuration: every setting of a run, with its default.
//!
//! Plain serde structs. Unknown keys are refused. The resolved configuration is saved with the run and reproduces it.
//! Where a value comes from OmniSafe's on-policy defaults the field says so; the rest is this project's choice.

use anyhow::{Result, ensure};
use serde::{Deserialize, Serialize};

pub mod load;

/// Everything that determines a training run, apart from the device.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct TrainConfig {
    /// Environment id, for example `SafetyPointGoal1-v0`.
    pub env: String,
    /// Algorithm name, see `trainer algos`.
    pub algo: String,
    /// Seed of every random stream of the run.
    pub seed: u64,
    /// Environment steps after which training ends.
    pub total_steps: u64,
    /// Environments stepped at once (B).
    pub num_envs: usize,
    /// Steps of one rollout (T); an iteration sees T x B samples.
    pub rollout_steps: usize,
    /// Limit on the undiscounted episodic cost (OmniSafe: 25).
    pub cost_limit: f64,
    /// Discount of reward and cost (OmniSafe: 0.99).
    pub gamma: f64,
    /// GAE lambda of the reward advantage (OmniSafe: 0.95).
    pub gae_lambda: f64,
    /// GAE lambda of the cost advantage (OmniSafe: 0.95).
    pub cost_gae_lambda: f64,
    /// The policy network.
    pub policy: PolicyConfig,
    /// The two value networks.
    pub critic: CriticConfig,
    /// The observation normaliser.
    pub normalizer: NormalizerConfig,
    /// KFCPO's own settings.
    pub kfcpo: KfcpoConfig,
    /// Settings of PPO and of PPO's part in PPOLag.
    pub ppo: PpoConfig,
    /// The Lagrange multiplier of PPOLag.
    pub lagrange: LagrangeConfig,
    /// When checkpoints are written and how many are kept.
    pub checkpoint: CheckpointConfig,
}

impl Default for TrainConfig {
    fn default() -> Self {
        Self {
            env: "SafetyPointGoal1-v0".into(),
            algo: "kfcpo".into(),
            seed: 0,
            total_steps: 10_000_000,
            num_envs: 512,
            rollout_steps: 40,
            cost_limit: 25.0,
            gamma: 0.99,
            gae_lambda: 0.95,
            cost_gae_lambda: 0.95,
            policy: PolicyConfig::default(),
            critic: CriticConfig::default(),
            normalizer: NormalizerConfig::default(),
            kfcpo: KfcpoConfig::default(),
            ppo: PpoConfig::default(),
            lagrange: LagrangeConfig::default(),
            checkpoint: CheckpointConfig::default(),
        }
    }
}

/// The Gaussian policy: an MLP for the mean and a state-independent log sigma.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct PolicyConfig {
    /// Widths of the hidden layers (OmniSafe: 64, 64).
    pub hidden: Vec<usize>,
    /// Hidden activation: `tanh` or `relu` (OmniSafe: tanh).
    pub activation: ActivationName,
    /// Initial log sigma of every action dimension.
    pub initial_log_std: f64,
    /// Gain of the output layer's initial weights; small, so that the first policy is nearly state-independent.
    pub output_gain: f64,
}

impl Default for PolicyConfig {
    fn default() -> Self {
        Self { hidden: vec![64, 64], activation: ActivationName::Tanh, initial_log_std: -0.5, output_gain: 0.01 }
    }
}

/// Hidden activation of a network.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum ActivationName {
    /// Hyperbolic tangent.
    Tanh,
    /// Rectified linear unit.
    Relu,
}

impl ActivationName {
    /// The name as it stands in configuration files.
    pub fn name(self) -> &'static str {
        match self {
            Self::Tanh => "tanh",
            Self::Relu => "relu",
        }
    }
}

/// The reward critic and the cost critic, trained by Adam on the mean squared error.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct CriticConfig {
    /// Widths of the hidden layers (OmniSafe: 64, 64).
    pub hidden: Vec<usize>,
    /// Hidden activation.
    pub activation: ActivationName,
    /// Adam's learning rate (OmniSafe: 1e-3).
    pub learning_rate: f64,
    /// Passes over a rollout.
    pub epochs: usize,
    /// Samples of one Adam step.
    pub minibatch_size: usize,
}

impl Default for CriticConfig {
    fn default() -> Self {
        Self {
            hidden: vec![64, 64],
            activation: ActivationName::Tanh,
            learning_rate: 1e-3,
            epochs: 3,
            minibatch_size: 1024,
        }
    }
}

/// Running observation normalisation: clip((o - mean) / max(std, floor), -clip, clip).
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct NormalizerConfig {
    /// Bound on a normalised observation (OmniSafe: 5).
    pub clip: f64,
    /// Smallest standard deviation divided by (OmniSafe: 0.01).
    pub std_floor: f64,
}

impl Default for NormalizerConfig {
    fn default() -> Self {
        Self { clip: 5.0, std_floor: 0.01 }
    }
}

/// Which Fisher matrix the Kronecker factors estimate.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum FisherKind {
    /// One backward pass per action dimension: no Monte Carlo noise.
    Exact,
    /// Scores of actions drawn afresh from the policy.
    Sampled,
    /// Scores of the taken actions (ablation).
    Empirical,
}

/// How a conflict between reward and safety is resolved.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum ProjectionKind {
    /// Project in the Fisher metric (KFCPO).
    Fisher,
    /// Project in the Euclidean metric (ablation).
    Euclidean,
    /// No projection (ablation).
    None,
    /// Hard switch between pure reward and pure cost (ablation).
    Hard,
}

/// KFCPO: factors, margin, projection, trust region and rollback.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct KfcpoConfig {
    /// Passes over a rollout.
    pub epochs: usize,
    /// Samples of one natural-gradient step.
    pub minibatch_size: usize,
    /// Fisher estimate behind the factors.
    pub fisher: FisherKind,
    /// Decay of the factors' exponential moving average.
    pub ema_decay: f64,
    /// Damping lambda of the factors.
    pub damping: f64,
    /// Minibatches between two inversions of the factors.
    pub inverse_interval: usize,
    /// KL above which a minibatch step is rolled back (delta_rb), in nats.
    pub target_kl: f64,
    /// What `target_kl` has fallen to at the end of the run (linearly), as a share of it.
    pub final_kl_share: f64,
    /// Initial KL of one step, as a share of `target_kl`.
    pub step_kl_share: f64,
    /// Share of the remaining trust radius that a step may use.
    pub radius_share: f64,
    /// Longest step along the blended direction (whose damped norm is at most 1), in trust radii.
    pub max_step: f64,
    /// Consecutive rejections after which the actor rests until the next rollout.
    pub max_rejects: usize,
    /// Width tau of the sigmoid that turns the margin into the safety weight.
    pub margin_temperature: f64,
    /// Margin m_h at which the projection stops protecting the constraint.
    pub margin_horizon: f64,
    /// Gain of the integral term that moves the margin's set-point.
    pub margin_integral: f64,
    /// Initial set-point of the margin; below zero the constraint tightens gradually at the start of a run.
    pub margin_start: f64,
    /// Decay of the moving average of the episodic cost that the margin is computed from; 0 takes the last rollout alone.
    pub cost_decay: f64,
    /// Decay of the moving average of the gradients; 0 takes the minibatch's alone.
    pub gradient_decay: f64,
    /// The constraint aimed at while training, as a share of `cost_limit`.
    pub limit_share: f64,
    /// Conflict resolution.
    pub projection: ProjectionKind,
}

impl Default for KfcpoConfig {
    fn default() -> Self {
        Self {
            epochs: 1,
            minibatch_size: 10_240,
            fisher: FisherKind::Exact,
            ema_decay: 0.95,
            damping: 0.1,
            inverse_interval: 5,
            target_kl: 0.02,
            final_kl_share: 0.1,
            step_kl_share: 0.25,
            radius_share: 0.9,
            max_step: 4.0,
            max_rejects: 3,
            margin_temperature: 0.1,
            margin_horizon: 0.25,
            margin_integral: 0.02,
            margin_start: -1.0,
            cost_decay: 0.0,
            gradient_decay: 0.8,
            limit_share: 0.92,
            projection: ProjectionKind::Fisher,
        }
    }
}

/// PPO with a clipped surrogate (OmniSafe's settings unless said).
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct PpoConfig {
    /// Passes over a rollout; ends early at `target_kl` (OmniSafe: 40, which a vector environment's time is too dear for).
    pub epochs: usize,
    /// Samples of one Adam step (OmniSafe: 64; larger batches suit vector environments).
    pub minibatch_size: usize,
    /// Adam's learning rate (OmniSafe: 3e-4, decayed linearly to zero).
    pub learning_rate: f64,
    /// Whether the learning rate falls linearly to zero over the run.
    pub anneal: bool,
    /// Clip range of the likelihood ratio.
    pub clip: f64,
    /// Mean KL that ends the epochs of an iteration.
    pub target_kl: f64,
    /// Bound on the norm of the actor's gradient.
    pub max_grad_norm: f64,
}

impl Default for PpoConfig {
    fn default() -> Self {
        Self {
            epochs: 10,
            minibatch_size: 512,
            learning_rate: 3e-4,
            anneal: true,
            clip: 0.2,
            target_kl: 0.02,
            max_grad_norm: 40.0,
        }
    }
}

/// OmniSafe's Lagrange multiplier, learned by Adam.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct LagrangeConfig {
    /// Initial multiplier (OmniSafe: 0.001).
    pub initial: f64,
    /// Adam's learning rate (OmniSafe: 0.035).
    pub learning_rate: f64,
}

impl Default for LagrangeConfig {
    fn default() -> Self {
        Self { initial: 0.001, learning_rate: 0.035 }
    }
}

/// Checkpoint schedule.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct CheckpointConfig {
    /// Environment steps between two checkpoints.
    pub interval_steps: u64,
    /// Numbered checkpoints kept; older ones are removed.
    pub keep: usize,
}

impl Default for CheckpointConfig {
    fn default() -> Self {
        Self { interval_steps: 500_000, keep: 3 }
    }
}

impl TrainConfig {
    /// Samples of one iteration.
    pub fn batch_size(&self) -> usize {
        self.num_envs * self.rollout_steps
    }

    /// Checks every value; an error names the key and what is allowed.
    ///
    /// # Errors
    /// The first value out of its range. Environment and algorithm names are checked where they are looked up.
    pub fn validate(&self) -> Result<()> {
        ensure!(self.total_steps > 0, "total_steps = 0: must be at least 1");
        ensure!((1..=1 << 20).contains(&self.num_envs), "num_envs = {}: must be 1 to {}", self.num_envs, 1 << 20);
        ensure!(self.rollout_steps >= 1, "rollout_steps = {}: must be at least 1", self.rollout_steps);
        at_least("cost_limit", self.cost_limit, 0.0)?;
        within("gamma", self.gamma, 0.0, 1.0)?;
        within("gae_lambda", self.gae_lambda, 0.0, 1.0)?;
        within("cost_gae_lambda", self.cost_gae_lambda, 0.0, 1.0)?;
        hidden("policy.hidden", &self.policy.hidden)?;
        hidden("critic.hidden", &self.critic.hidden)?;
        within("policy.initial_log_std", self.policy.initial_log_std, -5.0, 2.0)?;
        positive("policy.output_gain", self.policy.output_gain)?;
        positive("critic.learning_rate", self.critic.learning_rate)?;
        count("critic.epochs", self.critic.epochs)?;
        count("critic.minibatch_size", self.critic.minibatch_size)?;
        positive("normalizer.clip", self.normalizer.clip)?;
        positive("normalizer.std_floor", self.normalizer.std_floor)?;
        self.kfcpo.validate()?;
        count("ppo.epochs", self.ppo.epochs)?;
        count("ppo.minibatch_size", self.ppo.minibatch_size)?;
        positive("ppo.learning_rate", self.ppo.learning_rate)?;
        positive("ppo.clip", self.ppo.clip)?;
        positive("ppo.target_kl", self.ppo.target_kl)?;
        positive("ppo.max_grad_norm", self.ppo.max_grad_norm)?;
        at_least("lagrange.initial", self.lagrange.initial, 0.0)?;
        positive("lagrange.learning_rate", self.lagrange.learning_rate)?;
        ensure!(self.checkpoint.interval_steps > 0, "checkpoint.interval_steps = 0: must be at least 1");
        count("checkpoint.keep", self.checkpoint.keep)
    }
}

impl KfcpoConfig {
    fn validate(&self) -> Result<()> {
        count("kfcpo.epochs", self.epochs)?;
        count("kfcpo.minibatch_size", self.minibatch_size)?;
        within("kfcpo.ema_decay", self.ema_decay, 0.0, 0.9999)?;
        within("kfcpo.damping", self.damping, 1e-6, 100.0)?;
        count("kfcpo.inverse_interval", self.inverse_interval)?;
        positive("kfcpo.target_kl", self.target_kl)?;
        within("kfcpo.final_kl_share", self.final_kl_share, 1e-3, 1.0)?;
        within("kfcpo.step_kl_share", self.step_kl_share, 1e-3, 1.0)?;
        within("kfcpo.radius_share", self.radius_share, 1e-2, 1.0)?;
        positive("kfcpo.max_step", self.max_step)?;
        count("kfcpo.max_rejects", self.max_rejects)?;
        positive("kfcpo.margin_temperature", self.margin_temperature)?;
        positive("kfcpo.margin_horizon", self.margin_horizon)?;
        at_least("kfcpo.margin_integral", self.margin_integral, 0.0)?;
        within("kfcpo.margin_start", self.margin_start, -1.0, 1.0)?;
        within("kfcpo.cost_decay", self.cost_decay, 0.0, 0.9999)?;
        within("kfcpo.gradient_decay", self.gradient_decay, 0.0, 0.9999)?;
        within("kfcpo.limit_share", self.limit_share, 0.1, 1.5)
    }
}

fn within(key: &str, value: f64, low: f64, high: f64) -> Result<()> {
    ensure!((low..=high).contains(&value), "{key} = {value}: must be {low} to {high}");
    Ok(())
}

fn positive(key: &str, value: f64) -> Result<()> {
    ensure!(value.is_finite() && value > 0.0, "{key} = {value}: must be a number above 0");
    Ok(())
}

fn at_least(key: &str, value: f64, low: f64) -> Result<()> {
    ensure!(value.is_finite() && value >= low, "{key} = {value}: must be a number not below {low}");
    Ok(())
}

fn count(key: &str, value: usize) -> Result<()> {
    ensure!(value >= 1, "{key} = {value}: must be at least 1");
    Ok(())
}

fn hidden(key: &str, sizes: &[usize]) -> Result<()> {
    ensure!(
        (1..=8).contains(&sizes.len()) && sizes.iter().all(|s| (1..=4096).contains(s)),
        "{key} = {sizes:?}: must be 1 to 8 widths of 1 to 4096"
    );
    Ok(())
}
