//! What second-order algorithms share: natural gradients by conjugate gradients, and a line search along them.
//!
//! OmniSafe takes the KL of these algorithms as a mean over samples and action dimensions (`natural_pg.py`, `trpo.py`, `cpo.py`),
//! where PPO's is a sum over the latter. With A actions its trust region of 0.01 is A times 0.01 nats, and its damping A times
//! that of a Fisher matrix in nats.

use anyhow::Result;
use burn::tensor::{Int, Tensor, TensorData};
use safe_rl::{Samples, Surrogate, gather_rows};
use serde::{Deserialize, Serialize};

use super::{Context, Number, Update};
use crate::config::{Section, at_least, count, positive, within};
use crate::policy::exported::{host, scalar};
use crate::policy::{Policy, PolicyPass};

/// Settings of TRPO, and of the trust region of what builds on it (OmniSafe's unless said).
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct TrpoConfig {
    /// KL of a full step per action dimension, in nats.
    pub target_kl: f64,
    /// Steps of the conjugate gradient method.
    pub cg_iterations: usize,
    /// Added to the Fisher matrix per action dimension.
    pub cg_damping: f64,
    /// The Fisher matrix is that of every so many-th sample.
    pub fisher_stride: usize,
    /// Step lengths that the line search tries.
    pub search_steps: usize,
    /// Each of them over the one before.
    pub search_decay: f64,
}

impl Default for TrpoConfig {
    fn default() -> Self {
        Self {
            target_kl: 0.01,
            cg_iterations: 15,
            cg_damping: 0.1,
            fisher_stride: 4,
            search_steps: 15,
            search_decay: 0.8,
        }
    }
}

impl Section for TrpoConfig {
    const NAME: &'static str = "trpo";

    fn validate(&self) -> Result<()> {
        positive("trpo.target_kl", self.target_kl)?;
        count("trpo.cg_iterations", self.cg_iterations)?;
        at_least("trpo.cg_damping", self.cg_damping, 0.0)?;
        count("trpo.fisher_stride", self.fisher_stride)?;
        count("trpo.search_steps", self.search_steps)?;
        within("trpo.search_decay", self.search_decay, 0.01, 0.99)
    }
}

/// Whose formula, where OmniSafe's is not the paper's.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Variant {
    /// OmniSafe's.
    Omnisafe,
    /// The paper's.
    Paper,
}

impl Variant {
    /// Steps that a violation is measured by, `horizon` being those of an episode: OmniSafe takes a whole episode's, the paper
    /// what it is per step, as the cost's gradient is.
    pub fn steps_of_violation(self, horizon: usize) -> f64 {
        match self {
            Self::Omnisafe => 1.0,
            Self::Paper => horizon as f64,
        }
    }
}

/// Keeps a step finite where there is no gradient.
const TINY: f64 = 1e-8;

/// A batch as a second-order algorithm sees it.
pub struct TrustRegion<'a> {
    config: &'a TrpoConfig,
    /// Dimensions of an action.
    actions: f64,
    batch: &'a Samples,
    context: &'a Context<'a>,
    policy: Policy,
    pass: PolicyPass,
    fisher: PolicyPass,
}

/// A direction along which an objective rises fastest per KL.
pub struct NaturalDirection {
    /// `F^-1 g`, `[P + A]`.
    pub direction: Tensor<1>,
    /// `g^T F^-1 g`.
    pub squared: f64,
}

/// What a candidate of the line search would come to.
#[derive(Clone, Debug, PartialEq)]
pub struct Trial {
    /// Surrogates, one per row of the advantages that were searched by.
    pub values: Vec<f64>,
    /// Mean KL from the old policy, in nats.
    pub kl: f64,
}

/// How a line search ended.
pub struct Found {
    /// The policy to go on with: the old one where no length would do.
    pub policy: Policy,
    /// What it came to.
    pub trial: Option<Trial>,
    /// Lengths that were tried and refused.
    pub refused: usize,
}

/// Takes the step that a search found and says what came of it; `name` is the algorithm's in the logs. Where nothing was
/// searched, because a number was not finite, the step is skipped.
pub fn take(name: &str, policy: &mut Policy, found: Option<Found>) -> Update {
    let known = |value: f64| Some(Number::Known(value));
    let skipped = known(f64::from(u8::from(found.is_none())));
    let (mut kl, mut refused, mut accepted) = (0.0, 0.0, 0.0);
    if let Some(found) = found {
        refused = found.refused as f64;
        accepted = f64::from(u8::from(found.trial.is_some()));
        kl = found.trial.map_or(0.0, |trial| trial.kl);
        *policy = found.policy;
    }
    let mut update =
        Update { kl: known(kl), accepted: known(accepted), rejected: known(refused), skipped, numbers: Vec::new() };
    update.push("Train/KL", kl);
    update.push("Train/LogStd", policy.log_std().clone().mean());
    update.push(format!("{name}/Refused"), refused);
    update
}

impl<'a> TrustRegion<'a> {
    /// The trust region around a policy.
    pub fn new(config: &'a TrpoConfig, policy: &Policy, batch: &'a Samples, context: &'a Context<'a>) -> Self {
        let pass = policy.pass(batch.obs.clone());
        let rows: Vec<i32> = (0..batch.len()).step_by(config.fisher_stride).map(|row| row as i32).collect();
        let count = rows.len();
        let rows = Tensor::<1, Int>::from_ints(TensorData::new(rows, [count]), &batch.obs.device());
        let fisher = policy.pass(gather_rows(&batch.obs, &rows));
        let actions = policy.log_std().dims()[0] as f64;
        Self { config, actions, batch, context, policy: policy.clone(), pass, fisher }
    }

    /// Largest KL of a step, in nats.
    pub fn radius(&self) -> f64 {
        self.config.target_kl * self.actions
    }

    /// Dimensions of an action.
    pub fn actions(&self) -> f64 {
        self.actions
    }

    /// Surrogates of these advantages `[S, N]` at the old policy, and their gradients `[S, P + A]`.
    ///
    /// # Errors
    /// When the device cannot be read.
    pub fn gradients(&self, advantage: &Tensor<2>) -> Result<(Vec<f64>, Tensor<2>)> {
        let surrogate = self.surrogate(&self.pass, advantage);
        let values = host(&self.context.comm.mean(surrogate.value.clone())?)?;
        let gradients = self.context.comm.mean(self.pass.gradients(surrogate))?;
        Ok((values.into_iter().map(f64::from).collect(), gradients))
    }

    /// The natural direction of a gradient `[P + A]`.
    ///
    /// # Errors
    /// When the device cannot be read.
    pub fn natural(&self, gradient: &Tensor<1>) -> Result<NaturalDirection> {
        let damping = (self.config.cg_damping * self.actions) as f32;
        let product = |v: Tensor<1>| self.fisher.fisher_product(&v) + v * damping;
        let comm = self.context.comm;
        let direction = comm.solve(product, gradient, self.config.cg_iterations)?;
        let squared = scalar((direction.clone() * comm.mean(product(direction.clone()))?).sum())?;
        Ok(NaturalDirection { direction, squared })
    }

    /// The length at which a direction with this `g^T F^-1 g` reaches the trust region's edge.
    pub fn length(&self, squared: f64) -> f64 {
        (2.0 * self.radius() / (squared + TINY)).sqrt()
    }

    /// Shortens `step` `[P + A]` until the KL fits and `acceptable` agrees.
    ///
    /// # Errors
    /// When the device cannot be read.
    pub fn search(
        &self,
        step: &Tensor<1>,
        advantage: &Tensor<2>,
        acceptable: impl Fn(&Trial) -> bool,
    ) -> Result<Found> {
        let mut length = 1.0;
        for refused in 0..self.config.search_steps {
            let scale = Tensor::from_floats([length as f32], &step.device());
            let policy = self.policy.step(step, &scale);
            let trial = self.trial(&policy, advantage)?;
            let finite = trial.values.iter().all(|value| value.is_finite());
            if finite && trial.kl <= self.radius() && acceptable(&trial) {
                return Ok(Found { policy, trial: Some(trial), refused });
            }
            length *= self.config.search_decay;
        }
        Ok(Found { policy: self.policy.clone(), trial: None, refused: self.config.search_steps })
    }

    fn trial(&self, policy: &Policy, advantage: &Tensor<2>) -> Result<Trial> {
        let pass = policy.pass(self.batch.obs.clone());
        let kl = pass.distribution.mean_kl(&self.batch.mean, self.policy.log_std());
        let value = self.surrogate(&pass, advantage).value;
        let numbers = self.context.comm.mean(Tensor::cat(vec![value, kl], 0))?;
        let mut values: Vec<f64> = host(&numbers)?.into_iter().map(f64::from).collect();
        let kl = values.pop().unwrap_or(f64::NAN);
        Ok(Trial { values, kl })
    }

    fn surrogate(&self, pass: &PolicyPass, advantage: &Tensor<2>) -> Surrogate {
        pass.distribution.surrogate(&self.batch.action, &self.batch.log_prob, advantage, None)
    }
}
