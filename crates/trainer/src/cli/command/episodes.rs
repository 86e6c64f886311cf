//! What `eval` and `record` share: which policy plays, where, under which limits, in which episodes.

use std::path::Path;

use anyhow::{Result, bail};
use burn::tensor::Device;
use clap::Args;
use envs::{Layout, Level, Navigation, NavigationSpec, Purpose, VecEnv};

use crate::checkpoint::{Checkpoint, Selector};
use crate::cli::common_args::{ActionArgs, parse_finite};
use crate::cli::console::diagnose;
use crate::config::load::env_named;
use crate::config::{Actions, Constraint, CostLimit, TrainConfig};
use crate::error::UsageError;
use crate::policy::exported::PolicySnapshot;
use crate::policy::source::PolicySource;
use crate::protocol;

/// Options that choose episodes of a saved policy.
#[derive(Debug, Clone, Default, Args)]
pub struct EpisodeArgs {
    /// Seed of the episodes; they are none of training's, whatever the seed. `eval` and `record` play the same by the same seed
    #[arg(long, value_name = "N", default_value_t = 1_000_000)]
    pub seed: u64,
    /// Another environment of as many observations and actions than the policy's own: an id, or the file of a level
    #[arg(long, value_name = "ID|FILE")]
    pub env: Option<String>,
    /// Limits to judge by [default: the run's; 25 for an exported policy]
    #[arg(long, value_name = "X", value_delimiter = ',', value_parser = parse_finite)]
    pub cost_limit: Vec<f64>,
    /// Begin every episode with the layout of episode N of this seed, from 0
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(..1 << 24))]
    pub layout: Option<u32>,
    /// Mean or samples.
    #[command(flatten)]
    pub actions: ActionArgs,
    /// Which checkpoint of a run: latest, best or its number of steps [default: latest]
    #[arg(long, value_name = "WHICH")]
    pub checkpoint: Option<Selector>,
}

/// A saved policy with the environment that it plays in.
pub struct Player {
    /// The policy.
    pub policy: PolicySnapshot,
    /// Environment steps of its training, where they are known.
    pub steps: Option<u64>,
    /// What it was trained as, its environment and limits those that it is judged in.
    pub config: TrainConfig,
    /// The environment that it plays in.
    pub spec: NavigationSpec,
    /// What is limited.
    pub constraints: Vec<Constraint>,
    /// Its actions.
    pub actions: Actions,
    /// Seed of the episodes.
    pub seed: u64,
    /// Whether all this is what the run itself says.
    pub is_own: bool,
}

impl Player {
    /// The policy of a checkpoint in its own environment.
    ///
    /// # Errors
    /// When a part of it is missing or does not hold.
    pub fn of_checkpoint(
        checkpoint: &Checkpoint,
        seed: u64,
        actions: Option<Actions>,
        device: &Device,
    ) -> Result<Self> {
        let policy = crate::policy::saved::saved_policy(checkpoint, device)?;
        let config = checkpoint.config.clone();
        Self::new(policy, Some(checkpoint.steps), config, seed, actions)
    }

    fn new(
        policy: PolicySnapshot,
        steps: Option<u64>,
        config: TrainConfig,
        seed: u64,
        actions: Option<Actions>,
    ) -> Result<Self> {
        let spec = config.env.spec()?;
        let constraints = config
            .cost_limit
            .of(&spec.env.constraints)
            .map_err(|error| UsageError::new(format!("{error:#}; --cost-limit names them, separated by commas")))?;
        let actions = actions.unwrap_or(policy.deployed_actions);
        Ok(Self { policy, steps, config, spec, constraints, actions, seed, is_own: true })
    }

    /// The policy that `path` names, in the episodes that the options choose.
    ///
    /// # Errors
    /// [`UsageError`] where options do not fit together or the source; otherwise when the source cannot be read.
    pub fn open(path: &Path, args: &EpisodeArgs, device: &Device) -> Result<(Self, PolicySource)> {
        let source = PolicySource::open(path, args.checkpoint)?;
        source.warning.iter().for_each(|warning| diagnose(&format!("warning: {warning}")));
        let policy = source.policy(device)?;
        let mut config = match source.checkpoint() {
            Some(checkpoint) => checkpoint.config.clone(),
            None => TrainConfig { env: policy.env.as_str().into(), ..TrainConfig::default() },
        };
        if let Some(env) = &args.env {
            config.env = env_named(env)?.into();
        } else if let Err(error) = config.env.spec() {
            bail!(UsageError::new(format!("{}: {error}; --env names another", path.display())));
        }
        if !args.cost_limit.is_empty() {
            config.cost_limit = CostLimit::new(args.cost_limit.clone());
        }
        let steps = source.checkpoint().map(|checkpoint| checkpoint.steps);
        let mut player = Self::new(policy, steps, config, args.seed, args.actions.chosen())?;
        if let Some(number) = args.layout {
            player.spec = with_layout(&player.spec, args.seed, number)?;
        }
        player.is_own = args.env.is_none() && args.cost_limit.is_empty() && args.layout.is_none();
        Ok((player, source))
    }

    /// So many environments, under the protocol that the policy was trained with.
    ///
    /// # Errors
    /// When the device refuses.
    pub fn environments(&self, episodes: usize, device: &Device) -> Result<Box<dyn VecEnv>> {
        let seed = Purpose::Evaluating.seed(self.seed);
        let all = Navigation::new(self.spec.clone(), episodes, seed, device)?;
        protocol::wrap(&self.config, Box::new(all))
    }
}

/// The environment whose episodes all begin with the layout of one of an evaluation's.
fn with_layout(spec: &NavigationSpec, seed: u64, number: u32) -> Result<NavigationSpec> {
    if !spec.level.layouts.is_empty() {
        let message = "--layout: the level has `layouts` of its own, of which every episode draws one";
        bail!(UsageError::new(message));
    }
    let level = Level { layouts: vec![Layout::Numbered { seed, number }], ..Level::clone(&spec.level) };
    Ok(NavigationSpec::new(spec.agent, level)?)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_layout_by_number_is_that_of_the_evaluations_episode() {
        let (device, seed) = (Device::flex(), 77);
        let spec = envs::find("PointGoal2").unwrap();
        let begin = |spec: &NavigationSpec, count: usize| {
            let mut env = Navigation::new(spec.clone(), count, Purpose::Evaluating.seed(seed), &device).unwrap();
            env.reset(false);
            env.scenes()
        };
        let drawn = begin(&spec, 5);
        for scene in begin(&with_layout(&spec, seed, 3).unwrap(), 4) {
            assert_eq!((scene.x, scene.y, scene.yaw), (drawn[3].x, drawn[3].y, drawn[3].yaw));
            let places = |scene: &envs::Scene| scene.objects.iter().map(|o| (o.x, o.y)).collect::<Vec<_>>();
            assert_eq!(places(&scene), places(&drawn[3]));
        }
        assert!(with_layout(&with_layout(&spec, seed, 3).unwrap(), seed, 4).is_err());
    }
}
