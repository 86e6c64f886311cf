//! Which actions are deployed, and how the policy that takes them is measured while it is trained.

use std::fmt;

use anyhow::{Result, ensure};
use serde::{Deserialize, Serialize};

use super::{MAX_ENVS, within};

/// How a Gaussian policy acts.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Actions {
    /// By its mean.
    #[default]
    Mean,
    /// By samples of its distribution.
    Sampled,
}

impl Actions {
    /// Its name in configurations, files and messages.
    pub fn name(self) -> &'static str {
        match self {
            Self::Mean => "mean",
            Self::Sampled => "sampled",
        }
    }
}

impl fmt::Display for Actions {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// What algorithms that steer by an episode's cost are told; KFCPO steers by every rollout.
///
/// OmniSafe's take the mean of the last 100 episodes, which its epochs of 20,000 steps play from beginning to end: they tell of
/// policies two or three epochs old. Here 512 environments take 40 steps each in an iteration, so an episode of 1,000 steps has been
/// played by 25 policies, and what controls a multiplier by finished episodes overshoots.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum CostSignal {
    /// An episode's length times the mean step cost over as many steps as 100 episodes have, the newest counting most.
    #[default]
    Steps,
    /// The mean of the last 100 episodes that ended.
    Episodes,
}

/// The policy that will be deployed: what steers training, and what a run is judged by.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct DeployedConfig {
    /// The actions that `eval`, `record` and an exported policy take unless told otherwise: `mean` or `sampled`.
    pub actions: Actions,
    /// Environments of their own on which mean actions are measured while training runs; `null`: an eighth of the training's,
    /// at least 1; 0: none, and sampled actions are judged. Sampled actions need none: the rollouts are theirs.
    pub num_envs: Option<usize>,
    /// Whether the cost that steers is the measured policy's; otherwise the sampled actions' cost steers.
    pub steer: bool,
    /// Decay per iteration of the averages of step costs whose difference corrects the rollout's cost.
    pub average_decay: f64,
    /// What algorithms that steer by an episode's cost are told: `steps`, the mean step of the last 100 episodes' worth of them, or
    /// `episodes`, the last 100 that ended.
    pub cost_signal: CostSignal,
    /// Fresh episodes that the policies of the kept checkpoints play when a run ends; it leaves the one that earns most among those
    /// surely within the limits. 0: the last one, as also where two would take more than a tenth of the run's steps.
    pub final_episodes: usize,
}

impl Default for DeployedConfig {
    fn default() -> Self {
        Self {
            actions: Actions::Mean,
            num_envs: None,
            steer: true,
            average_decay: 0.95,
            cost_signal: CostSignal::Steps,
            final_episodes: 100,
        }
    }
}

impl DeployedConfig {
    /// Environments on which the deployed policy is measured, beside so many of the training; 0 where none is needed.
    pub fn measured_envs(&self, num_envs: usize) -> usize {
        match self.actions {
            Actions::Mean => self.num_envs.unwrap_or((num_envs / SHARE).max(1)),
            Actions::Sampled => 0,
        }
    }

    /// Checks every value.
    ///
    /// # Errors
    /// The first value out of its range.
    pub fn validate(&self) -> Result<()> {
        let envs = self.num_envs.unwrap_or(0);
        let episodes = self.final_episodes;
        ensure!(episodes <= MAX_ENVS, "deployed.final_episodes = {episodes}: must be 0 to {MAX_ENVS}");
        ensure!(envs <= MAX_ENVS, "deployed.num_envs = {envs}: must be 0 to {MAX_ENVS}");
        within("deployed.average_decay", self.average_decay, 0.0, 0.999)
    }
}

/// The training's environments for one that is measured, unless said. The measurement then takes 3 to 10 % of an iteration,
/// most where many things touch (`trainer bench train` has a row for it); a quarter would take up to 15 %.
const SHARE: usize = 8;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_eighth_is_measured_unless_said() {
        let config = DeployedConfig::default();
        assert_eq!([512, 17, 7, 1].map(|envs| config.measured_envs(envs)), [64, 2, 1, 1]);
        assert_eq!(DeployedConfig { num_envs: Some(0), ..config.clone() }.measured_envs(512), 0);
        assert_eq!(DeployedConfig { num_envs: Some(3), ..config.clone() }.measured_envs(512), 3);
        assert_eq!(DeployedConfig { actions: Actions::Sampled, ..config }.measured_envs(512), 0);
    }
}
