//! Constants of the KL guard. The paper fixes none of them: all are this project's choice.

use crate::SafeRlError;

/// Constants of the guard.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct KlGuardConfig {
    /// `delta_rb`: no accepted step takes the KL beyond it.
    pub kl_limit: f32,
    /// Initial `delta_step` as a share of `kl_limit`.
    pub step_share: f32,
    /// Share of the remaining radius that is used. Full-batch steps are aligned, land on the limit exactly, and half of
    /// them would be rejected.
    pub radius_fraction: f32,
    /// `delta_step` shrinks by this factor on a rejection.
    pub shrink: f32,
    /// And grows by this one on an acceptance, within `[min_step_share, 1] * kl_limit`.
    pub grow: f32,
    /// Lower bound of `delta_step` as a share of `kl_limit`.
    pub min_step_share: f32,
    /// Consecutive rejections after which the actor stops for the rest of the rollout.
    pub max_rejections: u32,
    /// The full-batch KL may exceed `kl_limit` by this factor before the last good snapshot returns.
    pub epoch_factor: f32,
    /// Adapt the damping too. Off by default: with an accurate KL it sinks to its lower bound and learning slows.
    pub adapt_damping: bool,
    /// Initial damping.
    pub damping: f32,
    /// Bounds of an adapted damping.
    pub damping_range: (f32, f32),
    /// Factors on the damping for a rejection and for an acceptance.
    pub damping_factors: (f32, f32),
}

impl Default for KlGuardConfig {
    fn default() -> Self {
        Self {
            kl_limit: 0.01,
            step_share: 0.25,
            radius_fraction: 0.9,
            shrink: 0.5,
            grow: 1.1,
            min_step_share: 0.01,
            max_rejections: 3,
            epoch_factor: 1.5,
            adapt_damping: false,
            damping: 0.1,
            damping_range: (1e-4, 1.0),
            damping_factors: (1.5, 0.95),
        }
    }
}

impl KlGuardConfig {
    /// Checks every constant's domain.
    ///
    /// # Errors
    /// [`SafeRlError::InvalidConfig`].
    pub fn validate(&self) -> Result<(), SafeRlError> {
        let within = |name, value: f32, low: f32, high: f32, reason| {
            if value > low && value <= high {
                return Ok(());
            }
            Err(SafeRlError::InvalidConfig { name, value: value.into(), reason })
        };
        within("kl_limit", self.kl_limit, 0.0, f32::MAX, "must be finite and positive")?;
        within("step_share", self.step_share, 0.0, 1.0, "must lie in (0, 1]")?;
        within("radius_fraction", self.radius_fraction, 0.0, 1.0, "must lie in (0, 1]")?;
        within("shrink", self.shrink, 0.0, 1.0, "must lie in (0, 1]")?;
        within("min_step_share", self.min_step_share, 0.0, self.step_share, "must lie in (0, step_share]")?;
        within("max_rejections", self.max_rejections as f32, 0.0, f32::MAX, "must be positive")?;
        within("damping", self.damping, 0.0, f32::MAX, "must be finite and positive")?;
        let (low, high) = self.damping_range;
        within("damping_min", low, 0.0, high, "must be positive and at most the upper bound")?;
        within("damping_factor", self.damping_factors.0, 0.0, f32::MAX, "must be finite and positive")?;
        within("damping_factor", self.damping_factors.1, 0.0, f32::MAX, "must be finite and positive")?;
        for (name, value) in [("grow", self.grow), ("epoch_factor", self.epoch_factor)] {
            if !(1.0..f32::INFINITY).contains(&value) {
                return Err(SafeRlError::InvalidConfig { name, value: value.into(), reason: "must be at least 1" });
            }
        }
        Ok(())
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
            (KlGuardConfig { kl_limit: f32::NAN, ..default() }, "kl_limit"),
            (KlGuardConfig { radius_fraction: 1.5, ..default() }, "radius_fraction"),
            (KlGuardConfig { max_rejections: 0, ..default() }, "max_rejections"),
            (KlGuardConfig { damping_range: (1.0, 0.1), ..default() }, "damping_min"),
            (KlGuardConfig { epoch_factor: 0.9, ..default() }, "epoch_factor"),
        ] {
            assert!(matches!(config.validate(), Err(SafeRlError::InvalidConfig { name, .. }) if name == expected));
        }
    }
}
