//! Constants of the KL guard. The paper fixes none of them: all are this project's choice.

use crate::error::{SafeRlError, ensure};

/// The step limit shrinks by this factor on a rejection.
pub(super) const SHRINK: f32 = 0.5;
/// And grows by this one on an acceptance, up to the KL limit.
pub(super) const GROW: f32 = 1.1;
/// Lower bound of the step limit as a fraction of the KL limit.
const LEAST_STEP: f32 = 0.01;
/// The full-batch KL may exceed the KL limit by this factor before the last good snapshot returns.
const EPOCH_FACTOR: f32 = 1.5;

/// Constants of the guard.
#[derive(Debug, Clone, Copy, PartialEq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize), serde(default))]
pub struct KlGuardConfig {
    /// KL above which a minibatch step is rolled back (`delta_rb`), in nats.
    pub target_kl: f64,
    /// Initial KL of one step (`delta_step`), as a share of `target_kl`.
    pub step_kl_share: f64,
    /// Share of the remaining trust radius that a step may use. Full-batch steps are aligned, land on the limit exactly, and
    /// half of them would be rejected.
    pub radius_share: f64,
    /// Consecutive rejections after which the actor rests until the next rollout.
    pub max_rejects: usize,
}

impl Default for KlGuardConfig {
    fn default() -> Self {
        Self { target_kl: 0.02, step_kl_share: 0.25, radius_share: 0.9, max_rejects: 3 }
    }
}

impl KlGuardConfig {
    /// Checks every constant's domain.
    ///
    /// # Errors
    /// [`SafeRlError::InvalidConfig`].
    pub fn validate(&self) -> Result<(), SafeRlError> {
        let positive = self.target_kl.is_finite() && self.target_kl > 0.0;
        ensure(positive, "target_kl", self.target_kl, "must be finite and positive")?;
        for (name, value) in [("step_kl_share", self.step_kl_share), ("radius_share", self.radius_share)] {
            ensure(value > 0.0 && value <= 1.0, name, value, "must lie in (0, 1]")?;
        }
        let step = "must not be below a hundredth, the least step";
        ensure(self.step_kl_share as f32 >= LEAST_STEP, "step_kl_share", self.step_kl_share, step)?;
        ensure(self.max_rejects > 0, "max_rejects", 0.0, "must be positive")
    }
}

/// The constants of one decision, as float32.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Bounds {
    /// `delta_rb`.
    pub kl_limit: f32,
    /// Lower bound of the step limit.
    pub least: f32,
    /// Largest full-batch KL.
    pub epoch_limit: f32,
    /// `sqrt(2 delta_rb)`.
    pub root: f32,
    /// Fraction of the radius that is used.
    pub fraction: f32,
    /// Rejections that stop the actor.
    pub max_rejects: f32,
}

impl Bounds {
    pub fn new(config: &KlGuardConfig, kl_limit: f32) -> Self {
        Self {
            kl_limit,
            least: kl_limit * LEAST_STEP,
            epoch_limit: kl_limit * EPOCH_FACTOR,
            root: (2.0 * kl_limit).sqrt(),
            fraction: config.radius_share as f32,
            max_rejects: config.max_rejects as f32,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn constants_out_of_their_domain_are_named() {
        KlGuardConfig::default().validate().unwrap();
        let default = KlGuardConfig::default;
        for (config, expected) in [
            (KlGuardConfig { target_kl: f64::NAN, ..default() }, "target_kl"),
            (KlGuardConfig { radius_share: 1.5, ..default() }, "radius_share"),
            (KlGuardConfig { step_kl_share: 0.001, ..default() }, "step_kl_share"),
            (KlGuardConfig { max_rejects: 0, ..default() }, "max_rejects"),
        ] {
            assert!(matches!(config.validate(), Err(SafeRlError::InvalidConfig { name, .. }) if name == expected));
        }
    }
}
