//! P3O: the constraint as an exact penalty on PPO's surrogate.
//!
//! `L = L_clip(A_r) - kappa sum_k [mean(rho A_k) + J_k - d_k]+`: a penalty of finite weight has the constrained problem's own
//! optimum. The bracket is a linear model of the new policy's violation; where it is below zero, the cost does not count.
//!
//! Zhang and others, "Penalized Proximal Policy Optimization for Safe Reinforcement Learning" (arXiv 2205.11814), eq. 11. As
//! in OmniSafe's `p3o.py` the cost's ratio is not clipped and the violation is the episodes' undiscounted one; the paper
//! clips both ratios and multiplies the violation by 1 - gamma.

use anyhow::Result;
use burn::tensor::Tensor;
use compute::State;
use compute::noise::Stream;
use kfac::InitialWeights;
use safe_rl::{Gaussian, Samples, Surrogate};
use serde::{Deserialize, Serialize};

use super::first_order::FirstOrder;
use super::ppo::PpoConfig;
use super::{Algorithm, AlgorithmInfo, Context, Setup, Update};
use crate::comm::Comm;
use crate::config::{Constraint, Section, SectionInfo, positive};
use crate::policy::Policy;

/// P3O's row of the table.
pub const INFO: AlgorithmInfo = AlgorithmInfo {
    name: "p3o",
    summary: "P3O: PPO with an exact penalty kappa [predicted violation]+",
    sections: &[SectionInfo::of::<PpoConfig>(), SectionInfo::of::<P3oConfig>()],
    protocol: None,
    weights: InitialWeights::Uniform,
    build: |setup| Ok(Box::new(P3o::new(setup)?)),
};

/// What P3O sets besides the section `ppo` (OmniSafe's values).
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct P3oConfig {
    /// Weight of the penalty.
    pub kappa: f64,
}

impl Default for P3oConfig {
    fn default() -> Self {
        Self { kappa: 20.0 }
    }
}

impl Section for P3oConfig {
    const NAME: &'static str = "p3o";

    fn validate(&self) -> Result<()> {
        positive("p3o.kappa", self.kappa)
    }
}

/// The algorithm's state between iterations.
pub struct P3o {
    clip: f32,
    kappa: f64,
    constraints: Vec<Constraint>,
    optimizer: FirstOrder,
}

impl P3o {
    /// The algorithm for a policy of this shape.
    ///
    /// # Errors
    /// When a setting is out of range.
    pub fn new(setup: &Setup) -> Result<Self> {
        let (config, ppo): (P3oConfig, PpoConfig) = (setup.config.section(), setup.config.section());
        Ok(Self {
            clip: ppo.clip as f32,
            kappa: config.kappa,
            constraints: setup.constraints.to_vec(),
            optimizer: FirstOrder::new(ppo.steps, Stream::PpoOrder, setup)?,
        })
    }
}

impl Algorithm for P3o {
    fn update(&mut self, policy: &mut Policy, batch: &Samples, context: &Context) -> Result<Update> {
        let costs = context.costs.iter().zip(&self.constraints);
        let violations: Vec<f64> = costs.map(|(cost, constraint)| cost.of_episodes() - constraint.limit).collect();
        let (clip, kappa) = (self.clip, self.kappa);
        let mut update = self.optimizer.improve(policy, batch, context, |pass, minibatch| {
            penalized(&pass.distribution, minibatch, &violations, clip, kappa, context.comm)
        })?;
        update.push_each("P3O/Violation", &violations);
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

/// PPO's surrogate less the penalties; `violations` holds `J_k - d_k`, and what the costs are predicted to come to is a mean over
/// all shards.
fn penalized(
    policy: &Gaussian,
    batch: &Samples,
    violations: &[f64],
    clip: f32,
    kappa: f64,
    comm: &dyn Comm,
) -> Result<Surrogate> {
    let row = |s: usize| batch.advantage.clone().narrow(0, s, 1);
    let surrogate = |s, clip| policy.surrogate(&batch.action, &batch.log_prob, &row(s), clip);
    violations.iter().enumerate().try_fold(surrogate(0, Some(clip)), |sum, (k, violation)| {
        let cost = surrogate(k + 1, None);
        let predicted = comm.mean(cost.value)? + *violation; // [1]
        // The derivative of [x]+; a surrogate that is not finite is left to the optimiser, which refuses it.
        let weight: Tensor<1> = predicted.clone().greater_elem(0.0).float() * kappa;
        Ok(Surrogate {
            mean: sum.mean - cost.mean * weight.clone().reshape([1, 1, 1]),
            log_std: sum.log_std - cost.log_std * weight.clone().reshape([1, 1]),
            value: sum.value - predicted * weight,
        })
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::comm::Alone;
    use crate::policy::exported::host;
    use burn::tensor::Device;

    /// One state, one action, ratio 1: mu = 0, sigma = 1, a = 1, so that d ratio / d mu = 1 and d ratio / d log sigma = 0.
    fn numbers(violations: &[f64]) -> [f32; 3] {
        let device = Device::flex();
        let matrix = |value: f32| Tensor::<2>::from_floats([[value]], &device);
        let policy = Gaussian::new(matrix(0.0), Tensor::from_floats([0.0], &device));
        let batch = Samples {
            obs: matrix(0.0),
            log_prob: policy.log_prob(&matrix(1.0)),
            action: matrix(1.0),
            mean: matrix(0.0),
            advantage: Tensor::from_floats([[3.0], [2.0]], &device),
            target: Tensor::zeros([2, 1], &device),
        };
        let Surrogate { mean, log_std, value } = penalized(&policy, &batch, violations, 0.2, 20.0, &Alone).unwrap();
        [host(&mean).unwrap()[0], host(&log_std).unwrap()[0], host(&value).unwrap()[0]]
    }

    #[test]
    fn the_penalty_counts_only_where_a_violation_is_predicted() {
        // 2 - 1.5 > 0: 3 - 20 * 2 along mu, 3 - 20 * 0.5 in value.
        assert_eq!(numbers(&[-1.5]), [-37.0, 0.0, -7.0]);
        // 2 - 2.5 < 0: the reward alone.
        assert_eq!(numbers(&[-2.5]), [3.0, 0.0, 3.0]);
        assert_eq!(numbers(&[]), [3.0, 0.0, 3.0]);
    }
}
