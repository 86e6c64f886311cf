//! IPO: interior-point policy optimisation, a logarithmic barrier in front of the limit.
//!
//! The barrier `kappa log(d - J)` has the derivative `-kappa / (d - J)` with respect to the cost, so PPO is run on
//! `(A_r - sum_k p_k A_k) / (1 + sum_k p_k)` with `p = kappa / (d - J)`; beyond the limit, and close before it, p is
//! `max_penalty`.
//!
//! Liu, Ding and Liu, "IPO: Interior-point Policy Optimization under Constraints" (arXiv 1910.09615), eq. 7. The paper
//! differentiates the barrier of a surrogate of the cost and starts from a feasible policy; weighing the advantages by its
//! derivative at the present policy, the bound and the division are OmniSafe's (`ipo.py`). OmniSafe also scales reward and
//! cost by their running standard deviations, which is not done here.

use anyhow::Result;
use compute::State;
use compute::noise::Stream;
use kfac::InitialWeights;
use safe_rl::Samples;
use serde::{Deserialize, Serialize};

use super::first_order::FirstOrder;
use super::lagrangian::weighed_advantage;
use super::ppo::PpoConfig;
use super::{Algorithm, AlgorithmInfo, Context, CostEstimate, Setup, Update};
use crate::config::{Constraint, Section, SectionInfo, positive};
use crate::policy::Policy;

/// IPO's row of the table.
pub const INFO: AlgorithmInfo = AlgorithmInfo {
    name: "ipo",
    summary: "IPO: PPO with a logarithmic barrier in front of the limit",
    sections: &[SectionInfo::of::<PpoConfig>(), SectionInfo::of::<IpoConfig>()],
    protocol: None,
    weights: InitialWeights::Uniform,
    build: |setup| Ok(Box::new(Ipo::new(setup)?)),
};

/// What IPO sets besides the section `ppo` (OmniSafe's values).
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct IpoConfig {
    /// Weight of the barrier, in units of cost.
    pub kappa: f64,
    /// Largest weight of the cost's advantage.
    pub max_penalty: f64,
}

impl Default for IpoConfig {
    fn default() -> Self {
        Self { kappa: 0.01, max_penalty: 1.0 }
    }
}

impl Section for IpoConfig {
    const NAME: &'static str = "ipo";

    fn validate(&self) -> Result<()> {
        positive("ipo.kappa", self.kappa)?;
        positive("ipo.max_penalty", self.max_penalty)
    }
}

impl IpoConfig {
    /// The weight of the cost of a policy whose episodes cost `cost`.
    fn penalty(&self, cost: f64, limit: f64) -> f64 {
        let penalty = self.kappa / (limit - cost + 1e-8);
        if (0.0..=self.max_penalty).contains(&penalty) { penalty } else { self.max_penalty }
    }
}

/// The algorithm's state between iterations.
pub struct Ipo {
    config: IpoConfig,
    clip: f32,
    constraints: Vec<Constraint>,
    optimizer: FirstOrder,
}

impl Ipo {
    /// The algorithm for a policy of this shape.
    ///
    /// # Errors
    /// When a setting is out of range.
    pub fn new(setup: &Setup) -> Result<Self> {
        let ppo: PpoConfig = setup.config.section();
        Ok(Self {
            config: setup.config.section(),
            clip: ppo.clip as f32,
            constraints: setup.constraints.to_vec(),
            optimizer: FirstOrder::new(ppo.steps, Stream::PpoOrder, setup)?,
        })
    }
}

impl Algorithm for Ipo {
    fn update(&mut self, policy: &mut Policy, batch: &Samples, context: &Context) -> Result<Update> {
        let penalty = |(cost, constraint): (&CostEstimate, &Constraint)| {
            self.config.penalty(cost.of_episodes(), constraint.limit)
        };
        let penalties: Vec<f64> = context.costs.iter().zip(&self.constraints).map(penalty).collect();
        let clip = Some(self.clip);
        let mut update = self.optimizer.improve(policy, batch, context, |pass, minibatch| {
            let advantage = weighed_advantage(&minibatch.advantage, &penalties);
            Ok(pass.distribution.surrogate(&minibatch.action, &minibatch.log_prob, &advantage, clip))
        })?;
        update.push_each("IPO/Penalty", &penalties);
        Ok(update)
    }

    fn state(&self) -> Result<State> {
        let mut state = State::new();
        state.put_part("adam", self.optimizer.state()?)?;
        Ok(state)
    }

    fn load_state(&mut self, state: &State) -> Result<()> {
        self.optimizer.load_state(&state.part("adam")?)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_barrier_rises_towards_the_limit_and_is_bounded_beyond_it() {
        let config = IpoConfig { kappa: 2.0, max_penalty: 1.0 };
        assert!((config.penalty(5.0, 25.0) - 0.1).abs() < 1e-9);
        assert!((config.penalty(21.0, 25.0) - 0.5).abs() < 1e-8);
        // 2 / 1 would be too much, and a wall has no other side.
        assert_eq!(config.penalty(24.0, 25.0), 1.0);
        assert_eq!(config.penalty(40.0, 25.0), 1.0);
    }
}
