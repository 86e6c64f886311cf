//! Constraints weighed by multipliers: what the Lagrangian algorithms share.

use anyhow::Result;
use burn::tensor::Tensor;
use compute::State;
use safe_rl::{
    AdamMultiplier, AdamMultiplierConfig, Multiplier, PidMultiplier, PidMultiplierConfig, lagrangian_advantage,
};

use super::{CostEstimate, Setup, Update};
use crate::config::Section;

/// The multipliers that Adam moves.
impl Section for AdamMultiplierConfig {
    const NAME: &'static str = "lagrange";

    fn validate(&self) -> Result<()> {
        self.validate().map_err(|error| anyhow::anyhow!("lagrange.{error}"))
    }
}

/// The multipliers that a PID controller moves.
impl Section for PidMultiplierConfig {
    const NAME: &'static str = "pid";

    fn validate(&self) -> Result<()> {
        self.validate().map_err(|error| anyhow::anyhow!("pid.{error}"))
    }
}

/// One multiplier per constraint.
pub struct Lagrangian {
    multipliers: Vec<Box<dyn Multiplier>>,
}

impl Lagrangian {
    /// No multipliers: cost is ignored.
    pub fn none() -> Self {
        Self { multipliers: Vec::new() }
    }

    /// Multipliers learned by Adam as the section `lagrange` says, none above `upper_bound`.
    ///
    /// # Errors
    /// When a setting is out of range.
    pub fn learned(setup: &Setup, upper_bound: Option<f64>) -> Result<Self> {
        let (config, upper_bound) = (setup.config.section(), upper_bound.unwrap_or(f64::INFINITY));
        Self::each(setup, |limit| Ok(Box::new(AdamMultiplier::new(limit, config)?.bounded(upper_bound))))
    }

    /// Multipliers moved by a PID controller as the section `pid` says.
    ///
    /// # Errors
    /// When a setting is out of range.
    pub fn controlled(setup: &Setup) -> Result<Self> {
        let config = setup.config.section();
        Self::each(setup, |limit| Ok(Box::new(PidMultiplier::new(limit, config)?)))
    }

    /// A multiplier for every constraint, made from its limit.
    fn each(setup: &Setup, multiplier: impl Fn(f64) -> Result<Box<dyn Multiplier>>) -> Result<Self> {
        let multipliers = setup.constraints.iter().map(|constraint| multiplier(constraint.limit));
        Ok(Self { multipliers: multipliers.collect::<Result<_>>()? })
    }

    /// Moves the multipliers by the costs of the policy that gathered the batch, one per constraint.
    pub fn update(&mut self, costs: &[CostEstimate]) {
        for (multiplier, cost) in self.multipliers.iter_mut().zip(costs) {
            multiplier.update(Some(cost.of_episodes()));
        }
    }

    /// The advantage that is raised, `[1, N]`: `(A_r - sum_i lambda_i A_i) / (1 + sum_i lambda_i)`.
    ///
    /// `advantage` is `[1 + C, N]`, the reward's first.
    pub fn advantage(&self, advantage: &Tensor<2>) -> Tensor<2> {
        weighed_advantage(advantage, &self.values())
    }

    /// The multipliers, one per constraint.
    pub fn values(&self) -> Vec<f64> {
        self.multipliers.iter().map(|multiplier| multiplier.value()).collect()
    }

    /// Adds the multipliers to the logs, by their number from the second on.
    pub fn report(&self, update: &mut Update) {
        update.push_each("Metrics/LagrangeMultiplier", &self.values());
    }

    /// Adds the multipliers to a state, a part `lagrange.i` each.
    ///
    /// # Errors
    /// When a name is taken.
    pub fn save(&self, state: &mut State) -> Result<()> {
        for (i, multiplier) in self.multipliers.iter().enumerate() {
            state.put_part(&format!("lagrange.{i}"), multiplier.state()?)?;
        }
        Ok(())
    }

    /// Takes the multipliers from a state.
    ///
    /// # Errors
    /// When one is missing.
    pub fn load(&mut self, state: &State) -> Result<()> {
        for (i, multiplier) in self.multipliers.iter_mut().enumerate() {
            multiplier.load_state(&state.part(&format!("lagrange.{i}"))?)?;
        }
        Ok(())
    }
}

/// [`lagrangian_advantage`]; of the reward alone where nothing is weighed, however many constraints there are.
pub fn weighed_advantage(advantage: &Tensor<2>, weights: &[f64]) -> Tensor<2> {
    if weights.is_empty() {
        return advantage.clone().narrow(0, 0, 1);
    }
    lagrangian_advantage(advantage, weights)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::{Constraint, TrainConfig};
    use crate::policy::Policy;
    use crate::policy::exported::host;
    use burn::tensor::Device;

    #[test]
    fn the_advantage_weighs_every_constraint_by_its_multiplier() {
        let (config, device) = (TrainConfig::default(), Device::flex());
        let policy = Policy::new(&config.policy, 3, 1, 0, &device).unwrap();
        let limit = |name: &str, limit| Constraint { name: name.into(), limit };
        let constraints = [limit("a", 25.0), limit("b", 5.0)];
        let setup = Setup { config: &config, policy: &policy, constraints: &constraints, horizon: 1000 };
        let mut lagrangian = Lagrangian::learned(&setup, None).unwrap();
        // The first step of Adam has the length of the learning rate: up by 0.035 beyond the limit, down to 0 below it.
        let cost = |cost| CostEstimate { rollout: 0.0, episodes: cost };
        lagrangian.update(&[cost(60.0), cost(1.0)]);
        let advantage = Tensor::<2>::from_floats([[1.0], [2.0], [100.0]], &device);
        let got = host(&lagrangian.advantage(&advantage)).unwrap()[0];
        assert!((got - (1.0 - 0.036 * 2.0) / 1.036).abs() < 1e-6, "{got}");
        let mut update = Update::default();
        lagrangian.report(&mut update);
        let names: Vec<&str> = update.numbers.iter().map(|(name, _)| name.as_ref()).collect();
        assert_eq!(names, ["Metrics/LagrangeMultiplier", "Metrics/LagrangeMultiplier2"]);
        assert_eq!(host(&Lagrangian::none().advantage(&advantage)).unwrap(), [1.0]);
    }
}
