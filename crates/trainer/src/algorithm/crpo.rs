//! OnCRPO: constraint-rectified policy optimisation, a hard switch between reward and cost.
//!
//! While every cost is below its limit plus a tolerance, TRPO's step raises the reward; else it lowers the cost that is
//! furthest beyond its limit. Xu, Liang and Lan, "CRPO: A New Approach for Safe Reinforcement Learning with Convergence
//! Guarantee" (arXiv 2011.05869), algorithm 1; as in OmniSafe's `crpo.py`, which runs it on TRPO and counts the updates of
//! either kind. The paper picks any violated constraint.

use anyhow::{Result, ensure};
use compute::State;
use kfac::InitialWeights;
use safe_rl::Samples;
use serde::{Deserialize, Serialize};

use super::second_order::TrpoConfig;
use super::trpo::raise;
use super::{Algorithm, AlgorithmInfo, Context, CostEstimate, Setup, Update};
use crate::config::{Section, SectionInfo, at_least};
use crate::policy::Policy;

/// OnCRPO's row of the table.
pub const INFO: AlgorithmInfo = AlgorithmInfo {
    name: "on-crpo",
    summary: "OnCRPO: TRPO's step for the reward, or for the cost while it is beyond the limit",
    sections: &[SectionInfo::of::<TrpoConfig>(), SectionInfo::of::<CrpoConfig>()],
    protocol: None,
    weights: InitialWeights::Orthogonal,
    build: |setup| Ok(Box::new(OnCrpo::new(setup))),
};

/// What OnCRPO sets besides the section `trpo` (OmniSafe's value).
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct CrpoConfig {
    /// How far beyond the limit the cost may be before it is lowered, in units of cost.
    pub tolerance: f64,
}

impl Default for CrpoConfig {
    fn default() -> Self {
        Self { tolerance: 2.0 }
    }
}

impl Section for CrpoConfig {
    const NAME: &'static str = "crpo";

    fn validate(&self) -> Result<()> {
        at_least("crpo.tolerance", self.tolerance, 0.0)
    }
}

/// The algorithm's state between iterations.
pub struct OnCrpo {
    config: TrpoConfig,
    tolerance: f64,
    limits: Vec<f64>,
    reward_updates: u64,
    cost_updates: u64,
}

impl OnCrpo {
    /// The algorithm for these constraints.
    pub fn new(setup: &Setup) -> Self {
        let CrpoConfig { tolerance } = setup.config.section();
        let limits = setup.constraints.iter().map(|constraint| constraint.limit).collect();
        Self { config: setup.config.section(), tolerance, limits, reward_updates: 0, cost_updates: 0 }
    }
}

/// The constraint that is furthest beyond its limit, with its violation `J - d`; `None` where there is no constraint.
pub(super) fn worst(costs: &[CostEstimate], limits: &[f64]) -> Option<(usize, f64)> {
    let violations = costs.iter().zip(limits).map(|(cost, limit)| cost.of_episodes() - limit);
    violations.enumerate().max_by(|a, b| a.1.total_cmp(&b.1))
}

impl Algorithm for OnCrpo {
    fn update(&mut self, policy: &mut Policy, batch: &Samples, context: &Context) -> Result<Update> {
        let advantage = match worst(context.costs, &self.limits) {
            Some((k, violation)) if violation > self.tolerance => {
                ensure!(batch.advantage.dims()[0] > k + 1, "an advantage per constraint is needed");
                self.cost_updates += 1;
                batch.advantage.clone().narrow(0, k + 1, 1).neg()
            }
            _ => {
                self.reward_updates += 1;
                batch.advantage.clone().narrow(0, 0, 1)
            }
        };
        let mut update = raise(&self.config, policy, batch, &advantage, context)?;
        update.push("CRPO/RewardUpdates", self.reward_updates as f64);
        update.push("CRPO/CostUpdates", self.cost_updates as f64);
        Ok(update)
    }

    fn state(&self) -> Result<State> {
        let mut state = State::new();
        state.put("reward_updates", self.reward_updates)?;
        state.put("cost_updates", self.cost_updates)?;
        Ok(state)
    }

    fn load_state(&mut self, state: &State) -> Result<()> {
        self.reward_updates = state.get("reward_updates")?;
        self.cost_updates = state.get("cost_updates")?;
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_constraint_furthest_beyond_its_limit_is_found() {
        let cost = |episodes| CostEstimate { rollout: 7.0, episodes };
        assert_eq!(worst(&[cost(30.0), cost(8.0)], &[25.0, 1.0]), Some((1, 7.0)));
        assert_eq!(worst(&[cost(10.0), cost(0.0)], &[25.0, 1.0]), Some((1, -1.0)));
        // Before an episode has ended, the rollout's estimate stands in.
        assert_eq!(worst(&[cost(f64::NAN)], &[5.0]), Some((0, 2.0)));
        assert_eq!(worst(&[], &[]), None);
    }
}
