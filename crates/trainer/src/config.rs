//! The training configuration: every setting of a run, with its default.
//!
//! Plain serde structs. Unknown keys are refused. The resolved configuration is saved with the run and reproduces it.
//! Where a value comes from OmniSafe's on-policy defaults the field says so; the rest is this project's choice.

pub use crate::policy::source::InitFrom;
use crate::schedule::Lengthening;
use anyhow::{Result, ensure};
use kfac::{Activation, InitialWeights};
pub use safe_rl::NormalizerConfig;
use serde::{Deserialize, Serialize};

mod cost_limit;
mod deployed;
mod env_edit;
mod env_setting;
mod leaves;
mod limits;
pub mod load;
mod section;

pub use cost_limit::{Constraint, CostLimit};
pub use deployed::{Actions, CostSignal, DeployedConfig};
pub use env_edit::edited;
pub use env_setting::EnvSetting;
pub use leaves::leaves;
pub use limits::Limited;
pub use section::{Section, SectionInfo, Sections};

/// Most environments of a run.
const MAX_ENVS: usize = 1 << 20;

/// Everything that determines a training run, apart from the device.
///
/// A key that is neither here nor the name of a section is refused.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct TrainConfig {
    /// Environment id, for example `SafetyPointGoal1-v0`, or an agent in a level of one's own.
    pub env: EnvSetting,
    /// Algorithm name, see `trainer algos`.
    pub algo: String,
    /// Seed of every random stream of the run.
    pub seed: u64,
    /// Environment steps after which training ends.
    pub total_steps: u64,
    /// What settings that fall over the run do where it is resumed with other `total_steps`: `continue` from the values they
    /// have reached, or `restart`.
    pub schedule: Lengthening,
    /// Environments stepped at once (B).
    pub num_envs: usize,
    /// Equal parts of the environments that are summed over one after another: the results depend on their number, not on that of
    /// the processes they are shared out to. 1, and a run begun in several processes has one for each.
    pub shards: usize,
    /// Steps of one rollout (T); an iteration sees T x B samples.
    pub rollout_steps: usize,
    /// Limit on the undiscounted episodic cost (OmniSafe: 25), or a list of one per constraint of the environment.
    pub cost_limit: CostLimit,
    /// Discount of reward and cost (OmniSafe: 0.99).
    pub gamma: f64,
    /// GAE lambda of the reward advantage (OmniSafe: 0.95).
    pub gae_lambda: f64,
    /// GAE lambda of the cost advantage (OmniSafe: 0.95).
    pub cost_gae_lambda: f64,
    /// What the run begins with instead of a fresh policy: a run, a checkpoint or an exported policy. [`Training`] takes it;
    /// a bare [`Runner`] is given it by [`Runner::start_from`].
    ///
    /// [`Training`]: crate::training::Training
    /// [`Runner`]: crate::runner::Runner
    /// [`Runner::start_from`]: crate::runner::Runner::start_from
    pub init_from: Option<InitFrom>,
    /// The policy that is judged.
    pub deployed: DeployedConfig,
    /// The policy network.
    pub policy: PolicyConfig,
    /// The two value networks.
    pub critic: CriticConfig,
    /// The observation normaliser.
    pub normalizer: NormalizerConfig,
    /// The algorithms' own settings, a section each.
    #[serde(flatten)]
    pub sections: Sections,
    /// When checkpoints are written and how many are kept.
    pub checkpoint: CheckpointConfig,
    /// What is written down beside the metrics.
    pub log: LogConfig,
}

impl Default for TrainConfig {
    fn default() -> Self {
        Self {
            env: "SafetyPointGoal1-v0".into(),
            algo: "kfcpo".into(),
            seed: 0,
            total_steps: 10_000_000,
            schedule: Lengthening::Continue,
            num_envs: 512,
            shards: 1,
            rollout_steps: 40,
            cost_limit: 25.0.into(),
            gamma: 0.99,
            gae_lambda: 0.95,
            cost_gae_lambda: 0.95,
            init_from: None,
            deployed: DeployedConfig::default(),
            policy: PolicyConfig::default(),
            critic: CriticConfig::default(),
            normalizer: NormalizerConfig::default(),
            sections: Sections::default(),
            checkpoint: CheckpointConfig::default(),
            log: LogConfig::default(),
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
    pub activation: Activation,
    /// Initial log sigma of every action dimension.
    pub initial_log_std: f64,
    /// How the first weights are drawn: `uniform`, as PyTorch and so OmniSafe do, or `orthogonal`; null leaves it to the algorithm:
    /// `uniform` for the first-order ones, `orthogonal` for the others.
    pub weights: Option<InitialWeights>,
    /// Gain of the output layer's initial weights where they are orthogonal; small, so that the first policy is nearly
    /// state-independent.
    pub output_gain: f64,
}

impl Default for PolicyConfig {
    fn default() -> Self {
        Self {
            hidden: vec![64, 64],
            activation: Activation::Tanh,
            initial_log_std: -0.5,
            weights: None,
            output_gain: 0.01,
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
    pub activation: Activation,
    /// How the first weights are drawn: `uniform`, as PyTorch and so OmniSafe do, or `orthogonal`; null leaves it to the algorithm:
    /// `uniform` for the first-order ones, `orthogonal` for the others.
    pub weights: Option<InitialWeights>,
    /// Adam's learning rate (OmniSafe: 1e-3).
    pub learning_rate: f64,
    /// Passes over a rollout.
    pub epochs: usize,
    /// Samples of one Adam step.
    pub minibatch_size: usize,
    /// Weight of the sum of a network's squared parameters in its loss (OmniSafe: 1e-3).
    pub l2: f64,
    /// Whether a GPU records the launches of a regression and replays them as one, with the same bits; a CPU, a GPU without
    /// graphs and a run of several shards train as without.
    pub graph: bool,
}

impl Default for CriticConfig {
    fn default() -> Self {
        Self {
            hidden: vec![64, 64],
            activation: Activation::Tanh,
            weights: None,
            learning_rate: 1e-3,
            epochs: 3,
            minibatch_size: 1024,
            l2: 0.0,
            graph: false,
        }
    }
}

/// Checkpoint schedule.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct CheckpointConfig {
    /// Environment steps between two checkpoints.
    pub interval_steps: u64,
    /// Numbered checkpoints kept; older ones are removed. A run that ends chooses among their policies.
    pub keep: usize,
}

impl Default for CheckpointConfig {
    fn default() -> Self {
        Self { interval_steps: 250_000, keep: 5 }
    }
}

/// Logs beside the metrics.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct LogConfig {
    /// Whether `episodes.csv` gets a row per episode of training: some 30 bytes each, 300 kB for 1e7 steps.
    pub episodes: bool,
}

impl Default for LogConfig {
    fn default() -> Self {
        Self { episodes: true }
    }
}

impl TrainConfig {
    /// How the first weights are drawn where `set` does not say.
    pub fn first_weights(&self, set: Option<InitialWeights>) -> InitialWeights {
        set.unwrap_or_else(|| {
            crate::algorithm::find(&self.algo).map_or_else(|_| InitialWeights::default(), |row| row.weights)
        })
    }

    /// A copy of an algorithm's section.
    pub fn section<T: Section>(&self) -> T {
        self.sections.get()
    }

    /// An algorithm's section, to be changed.
    pub fn section_mut<T: Section>(&mut self) -> &mut T {
        self.sections.get_mut()
    }

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
        ensure!((1..=MAX_ENVS).contains(&self.num_envs), "num_envs = {}: must be 1 to {MAX_ENVS}", self.num_envs);
        ensure!(
            self.shards >= 1 && self.num_envs.is_multiple_of(self.shards),
            "shards = {}: must divide num_envs = {}",
            self.shards,
            self.num_envs
        );
        ensure!(self.rollout_steps >= 1, "rollout_steps = {}: must be at least 1", self.rollout_steps);
        self.cost_limit.values().iter().try_for_each(|limit| at_least("cost_limit", *limit, 0.0))?;
        within("gamma", self.gamma, 0.0, 1.0)?;
        within("gae_lambda", self.gae_lambda, 0.0, 1.0)?;
        within("cost_gae_lambda", self.cost_gae_lambda, 0.0, 1.0)?;
        self.deployed.validate()?;
        hidden("policy.hidden", &self.policy.hidden)?;
        hidden("critic.hidden", &self.critic.hidden)?;
        within("policy.initial_log_std", self.policy.initial_log_std, -5.0, 2.0)?;
        positive("policy.output_gain", self.policy.output_gain)?;
        positive("critic.learning_rate", self.critic.learning_rate)?;
        count("critic.epochs", self.critic.epochs)?;
        count("critic.minibatch_size", self.critic.minibatch_size)?;
        at_least("critic.l2", self.critic.l2, 0.0)?;
        positive("normalizer.clip", self.normalizer.clip)?;
        positive("normalizer.std_floor", self.normalizer.std_floor)?;
        self.sections.validate()?;
        ensure!(self.checkpoint.interval_steps > 0, "checkpoint.interval_steps = 0: must be at least 1");
        count("checkpoint.keep", self.checkpoint.keep)
    }
}

pub(crate) fn within(key: &str, value: f64, low: f64, high: f64) -> Result<()> {
    ensure!((low..=high).contains(&value), "{key} = {value}: must be {low} to {high}");
    single(key, value)
}

pub(crate) fn positive(key: &str, value: f64) -> Result<()> {
    ensure!(value.is_finite() && value > 0.0, "{key} = {value}: must be a number above 0");
    single(key, value)
}

pub(crate) fn at_least(key: &str, value: f64, low: f64) -> Result<()> {
    ensure!(value.is_finite() && value >= low, "{key} = {value}: must be a number not below {low}");
    single(key, value)
}

/// Training computes in float32, where a number may turn out infinite or nothing.
fn single(key: &str, value: f64) -> Result<()> {
    let rounded = value as f32;
    let held = rounded.is_finite() && (rounded != 0.0 || value == 0.0);
    ensure!(held, "{key} = {value:e}: too large or too small for a float32 (1e-45 to 3e38)");
    Ok(())
}

pub(crate) fn count(key: &str, value: usize) -> Result<()> {
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::algorithm::ALGORITHMS;
    use crate::runner::Runner;
    use burn::tensor::Device;
    use compute::read;

    #[test]
    fn first_weights_are_the_algorithms_unless_a_setting_says_so() {
        let own = |algo: &str, set| TrainConfig { algo: algo.into(), ..TrainConfig::default() }.first_weights(set);
        assert_eq!(own("kfcpo", None), InitialWeights::Orthogonal);
        assert_eq!(own("trpo-lag", None), InitialWeights::Orthogonal);
        assert_eq!(own("ppo-lag", None), InitialWeights::Uniform);
        assert_eq!(own("ppo-lag", Some(InitialWeights::Orthogonal)), InitialWeights::Orthogonal);
        assert_eq!(own("kfcpo", Some(InitialWeights::Uniform)), InitialWeights::Uniform);
        let uniform: Vec<&str> =
            ALGORITHMS.iter().filter(|row| row.weights == InitialWeights::Uniform).map(|row| row.name).collect();
        let first_order = ["ppo", "ppo-lag", "ppo-pid", "focops", "cup", "p3o", "ipo", "ppo-saute", "ppo-simmer"];
        assert_eq!(uniform, [&first_order[..], &["ppo-early-terminated"]].concat());
    }

    /// A run's policy begins with them: biases are zero where the weights are orthogonal, and nowhere else.
    #[test]
    fn a_run_begins_with_the_algorithms_weights() {
        let bias = |algo: &str| {
            let config = TrainConfig {
                algo: algo.into(),
                env: "PointGoal0".into(),
                num_envs: 2,
                rollout_steps: 2,
                ..TrainConfig::default()
            };
            let runner = Runner::new(config, Device::flex()).expect("a run");
            read("theta", runner.policy().params().clone()).expect("readable")
        };
        let zeros = |algo: &str| bias(algo).iter().filter(|x| **x == 0.0).count();
        assert_eq!((zeros("kfcpo"), zeros("ppo-lag")), (64 + 64 + 2, 0));
    }
}
