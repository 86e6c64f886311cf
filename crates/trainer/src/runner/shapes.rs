//! Whether environments give what they say: whoever has written them learns it by name, not from inside an operation.

use anyhow::{Result, ensure};
use burn::tensor::Tensor;
use envs::{StepBatch, VecEnv};

/// Checks observations `[B, D]` that environments began with.
///
/// # Errors
/// Another shape than the specification's, with both.
pub fn ensure_obs(env: &dyn VecEnv, obs: &Tensor<2>) -> Result<()> {
    let (spec, num_envs) = (env.spec(), env.num_envs());
    let expected = [num_envs, spec.obs_dim];
    ensure!(
        obs.dims() == expected,
        "environment {}: its observations have the shape {:?}, not [num_envs, obs_dim] = {expected:?}",
        spec.id,
        obs.dims()
    );
    Ok(())
}

/// Checks what a step gave and what is computed with before the rollout checks the rest.
///
/// # Errors
/// As [`ensure_obs`].
pub fn ensure_step(env: &dyn VecEnv, step: &StepBatch) -> Result<()> {
    ensure_obs(env, &step.obs)?;
    let (spec, num_envs) = (env.spec(), env.num_envs());
    let expected = [spec.constraints.len(), num_envs];
    ensure!(
        step.costs.dims() == expected,
        "environment {}: its costs have the shape {:?}, not [constraints, num_envs] = {expected:?}",
        spec.id,
        step.costs.dims()
    );
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::TrainConfig;
    use crate::runner::Runner;
    use burn::tensor::Device;
    use compute::State;
    use envs::{EnvError, EnvSpec, Navigation};

    /// Environments whose observations or costs are of other sizes than they say, from their beginning or from a step on.
    struct Liar {
        env: Navigation,
        spec: EnvSpec,
        at_once: bool,
    }

    impl Liar {
        fn wrong(&self, obs: Tensor<2>) -> Tensor<2> {
            if self.spec.constraints.len() > 1 { obs } else { Tensor::cat(vec![obs.clone(), obs], 1) }
        }
    }

    impl VecEnv for Liar {
        fn spec(&self) -> &EnvSpec {
            &self.spec
        }
        fn num_envs(&self) -> usize {
            self.env.num_envs()
        }
        fn device(&self) -> &Device {
            self.env.device()
        }
        fn reset(&mut self, staggered: bool) -> Tensor<2> {
            let obs = self.env.reset(staggered);
            if self.at_once { self.wrong(obs) } else { obs }
        }
        fn step(&mut self, action: Tensor<2>) -> StepBatch {
            let step = self.env.step(action);
            StepBatch { obs: self.wrong(step.obs.clone()), ..step }
        }
        fn state(&self) -> Result<State, EnvError> {
            self.env.state()
        }
        fn load_state(&mut self, state: &State) -> Result<(), EnvError> {
            self.env.load_state(state)
        }
    }

    /// The message of the first iteration of a run in them, or of its preparation.
    fn message(constraints: usize, at_once: bool) -> String {
        let env = Navigation::new(envs::find("PointGoal1").unwrap(), 4, 0, &Device::flex()).unwrap();
        let spec = EnvSpec { constraints: vec!["cost".to_owned(); constraints], ..env.spec().clone() };
        let config = TrainConfig {
            num_envs: 4,
            rollout_steps: 3,
            cost_limit: crate::config::CostLimit::new(vec![25.0; constraints]),
            ..TrainConfig::default()
        };
        let runner = Runner::with_env(config, Box::new(Liar { env, spec, at_once }), Device::flex());
        match runner.and_then(|mut runner| runner.iterate().map(drop)) {
            Ok(()) => panic!("it trains"),
            Err(error) => format!("{error:#}"),
        }
    }

    #[test]
    fn environments_that_are_not_what_they_say_are_named_with_both_shapes() {
        for at_once in [true, false] {
            let message = message(1, at_once);
            assert!(message.contains("SafetyPointGoal1-v0") && message.contains("[4, 120]"), "{message}");
            assert!(message.contains("[num_envs, obs_dim] = [4, 60]"), "{message}");
        }
        let message = message(2, false);
        assert!(message.contains("[1, 4]") && message.contains("[constraints, num_envs] = [2, 4]"), "{message}");
    }

    #[test]
    fn as_many_environments_are_stepped_as_the_configuration_says() {
        let env = Navigation::new(envs::find("PointGoal1").unwrap(), 4, 0, &Device::flex()).unwrap();
        let config = TrainConfig { num_envs: 8, ..TrainConfig::default() };
        let error = Runner::with_env(config, Box::new(env), Device::flex()).err().expect("4 are not 8").to_string();
        assert!(error.contains("num_envs = 8") && error.contains('4'), "{error}");
    }
}
