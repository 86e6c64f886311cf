//! KFCPO's section of the configuration.

use anyhow::{Result, anyhow};
use kfac::FisherKind;
use safe_rl::{KlGuardConfig, LOG_STD_RANGE, MarginConfig, PriceBoundConfig, ProjectionKind};
use serde::{Deserialize, Serialize};

use crate::config::{Section, count, positive, within};

/// What weighs safety against reward.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Steering {
    /// The margin (KFCPO).
    Margin,
    /// A multiplier lambda moved by the controller of the section `pid`, as the weight lambda / (1 + lambda) (ablation).
    Pid,
}

/// What a gradient is preconditioned by.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Curvature {
    /// Kronecker factors of the Fisher matrix, averaged over minibatches (KFCPO).
    Kfac,
    /// The minibatch's exact Fisher matrix by `cg_iterations` steps of the conjugate gradient method (ablation).
    Cg,
}

/// KFCPO: factors, margin, projection, trust region and rollback.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct KfcpoConfig {
    /// Passes over a rollout.
    pub epochs: usize,
    /// Samples of one natural-gradient step.
    pub minibatch_size: usize,
    /// What preconditions the gradients: `kfac`, or `cg`.
    pub curvature: Curvature,
    /// Steps of the conjugate gradient method, where it takes the factors' place.
    pub cg_iterations: usize,
    /// Fisher estimate behind the factors.
    pub fisher: FisherKind,
    /// Decay of the factors' exponential moving average.
    pub ema_decay: f64,
    /// Damping lambda of the factors, or of the Fisher matrix.
    pub damping: f64,
    /// Minibatches between two inversions of the factors.
    pub inverse_interval: usize,
    /// Rollback and trust radius.
    #[serde(flatten)]
    pub guard: KlGuardConfig,
    /// What `target_kl` has fallen to at the end of the run (linearly), as a share of it.
    pub final_kl_share: f64,
    /// Longest step along the blended direction (whose damped norm is at most 1), in trust radii.
    pub max_step: f64,
    /// The margin.
    #[serde(flatten)]
    pub margin: MarginConfig,
    /// Bound of the price that the margin's weight puts on cost.
    #[serde(flatten)]
    pub price: PriceBoundConfig,
    /// GAE lambda of the reward's advantages (the critics' targets keep the run's `gae_lambda`); null takes that too.
    pub gae_lambda: Option<f64>,
    /// GAE lambda of the costs' advantages (the critics' targets keep the run's `cost_gae_lambda`); null takes that too.
    pub cost_gae_lambda: Option<f64>,
    /// Where log sigma has come to at the end of the run, kept within `log_std_band` above its schedule; null leaves it free.
    pub final_log_std: Option<f64>,
    /// Share of the run until which log sigma's schedule stays at its initial value, before it goes to `final_log_std` (linearly).
    pub log_std_hold: f64,
    /// How far log sigma may rise above its schedule.
    pub log_std_band: f64,
    /// Longest average of the episodic cost that the margin is computed from, as a decay: as much of it is used as the cost's
    /// noise warrants; 0 takes the last rollout alone.
    pub cost_decay: f64,
    /// Iterations that the episodic cost is looked ahead along its last change, where it swings about its limit and is no noise; 0, the
    /// default, steers by the cost as it is (an experiment: AL in the log of experiments).
    pub cost_lead: f64,
    /// Decay of the moving average of the gradients; 0 takes the minibatch's alone.
    pub gradient_decay: f64,
    /// How old in the mean the iterates are whose mean is the policy that is deployed, as a share of those so far; 0 deploys the
    /// last one. Not with `deployed.actions=sampled`.
    pub policy_average: f64,
    /// The constraint aimed at while training, as a share of `cost_limit`.
    pub limit_share: f64,
    /// Conflict resolution.
    pub projection: ProjectionKind,
    /// Safety is weighed by the `margin`, or by a `pid` controller.
    pub steering: Steering,
    /// Whether a step that goes too far is taken back; without it, only the trust radius that is left bounds the next one.
    pub rollback: bool,
}

impl Default for KfcpoConfig {
    fn default() -> Self {
        Self {
            epochs: 1,
            minibatch_size: 10_240,
            curvature: Curvature::Kfac,
            cg_iterations: 10,
            fisher: FisherKind::Exact,
            ema_decay: 0.95,
            damping: 0.1,
            inverse_interval: 5,
            guard: KlGuardConfig::default(),
            final_kl_share: 0.1,
            max_step: 4.0,
            margin: MarginConfig::default(),
            price: PriceBoundConfig::default(),
            gae_lambda: Some(0.9),
            cost_gae_lambda: Some(0.8),
            final_log_std: Some(-0.8),
            log_std_hold: 0.6,
            log_std_band: 0.3,
            cost_decay: 0.8,
            cost_lead: 0.0,
            gradient_decay: 0.8,
            policy_average: 0.05,
            limit_share: 0.88,
            projection: ProjectionKind::Fisher,
            steering: Steering::Margin,
            rollback: true,
        }
    }
}

impl KfcpoConfig {
    /// The bounds of log sigma after this fraction of the run, where it has a schedule.
    pub fn log_std_bounds(&self, initial: f64, fraction: f64) -> Option<[f32; 2]> {
        let last = self.final_log_std?;
        let rest = 1.0 - self.log_std_hold;
        let along = if rest > 0.0 { ((fraction - self.log_std_hold) / rest).clamp(0.0, 1.0) } else { 0.0 };
        let low = initial + (last - initial) * along;
        let (lowest, highest) = LOG_STD_RANGE;
        Some([low, low + self.log_std_band].map(|bound| (bound as f32).clamp(lowest, highest)))
    }
}

impl Section for KfcpoConfig {
    const NAME: &'static str = "kfcpo";

    fn validate(&self) -> Result<()> {
        count("kfcpo.epochs", self.epochs)?;
        count("kfcpo.minibatch_size", self.minibatch_size)?;
        count("kfcpo.cg_iterations", self.cg_iterations)?;
        within("kfcpo.ema_decay", self.ema_decay, 0.0, 0.9999)?;
        within("kfcpo.damping", self.damping, 1e-6, 100.0)?;
        count("kfcpo.inverse_interval", self.inverse_interval)?;
        self.guard.validate().map_err(|error| anyhow!("kfcpo.{error}"))?;
        within("kfcpo.final_kl_share", self.final_kl_share, 1e-3, 1.0)?;
        positive("kfcpo.max_step", self.max_step)?;
        self.margin.validate().map_err(|error| anyhow!("kfcpo.{error}"))?;
        self.price.validate().map_err(|error| anyhow!("kfcpo.{error}"))?;
        let optional = |key, value: Option<f64>, low, high| value.map_or(Ok(()), |value| within(key, value, low, high));
        optional("kfcpo.gae_lambda", self.gae_lambda, 0.0, 1.0)?;
        optional("kfcpo.cost_gae_lambda", self.cost_gae_lambda, 0.0, 1.0)?;
        optional("kfcpo.final_log_std", self.final_log_std, -5.0, 2.0)?;
        within("kfcpo.log_std_hold", self.log_std_hold, 0.0, 1.0)?;
        within("kfcpo.log_std_band", self.log_std_band, 0.0, 7.0)?;
        within("kfcpo.cost_decay", self.cost_decay, 0.0, 0.9999)?;
        within("kfcpo.cost_lead", self.cost_lead, 0.0, 100.0)?;
        within("kfcpo.gradient_decay", self.gradient_decay, 0.0, 0.9999)?;
        within("kfcpo.policy_average", self.policy_average, 0.0, 1.0)?;
        within("kfcpo.limit_share", self.limit_share, 0.1, 1.5)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn log_sigma_is_held_and_then_led_to_its_end_within_the_range_of_all() {
        let config =
            KfcpoConfig { final_log_std: Some(-1.5), log_std_hold: 0.5, log_std_band: 0.25, ..KfcpoConfig::default() };
        for (fraction, low) in [(0.0, -0.5), (0.5, -0.5), (0.75, -1.0), (1.0, -1.5)] {
            assert_eq!(config.log_std_bounds(-0.5, fraction), Some([low, low + 0.25]));
        }
        assert_eq!(config.log_std_bounds(2.0, 0.0), Some([2.0, 2.0]), "no wider than log sigma may be anywhere");
        let held = KfcpoConfig { log_std_hold: 1.0, ..config.clone() };
        assert_eq!(held.log_std_bounds(-0.5, 1.0), Some([-0.5, -0.25]));
        assert_eq!(KfcpoConfig { final_log_std: None, ..config }.log_std_bounds(-0.5, 1.0), None);
    }
}
