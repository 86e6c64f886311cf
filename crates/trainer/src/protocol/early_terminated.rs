//! Early termination: an episode ends as soon as its cost exceeds the limit.
//!
//! Sun and others, "Safe Exploration by Solving Early Terminated MDP" (arXiv 2107.04200); as in OmniSafe's
//! `early_terminated_adapter.py`, but that the last step keeps its reward. With several constraints the sum of the costs is
//! held against the sum of the limits.

use super::{Means, ProtocolInfo};

/// The protocol of the rows with early termination.
pub const EARLY_TERMINATED: ProtocolInfo = ProtocolInfo {
    name: "early-terminated",
    means: Means::Level(|config, level| {
        let limit: f64 = config.cost_limit.values().iter().sum();
        // The level's bound ends an episode that reaches it, a limit may be reached.
        level.terminate_at_cost = Some((limit as f32).next_up());
    }),
};

#[cfg(test)]
mod tests {
    use burn::tensor::Device;

    use crate::config::TrainConfig;
    use crate::protocol::training_spec;
    use crate::runner::Runner;

    #[test]
    fn episodes_of_training_end_beyond_the_limit_and_the_level_itself_is_as_it_was() {
        let config = TrainConfig {
            algo: "ppo-early-terminated".to_owned(),
            cost_limit: 2.0.into(),
            num_envs: 32,
            rollout_steps: 200,
            ..TrainConfig::default()
        };
        assert_eq!(config.env.spec().unwrap().level.terminate_at_cost, None);
        assert!(training_spec(&config).unwrap().level.terminate_at_cost.is_some_and(|bound| bound > 2.0));
        let mut runner = Runner::new(config, Device::flex()).unwrap();
        for _ in 0..6 {
            runner.iterate().unwrap();
        }
        let recent = runner.sampled().recent.unwrap();
        assert!(recent.length_mean < 1000.0 && recent.cost_mean[0] <= 3.0, "{recent:?}");
    }
}
