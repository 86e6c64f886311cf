//! Constants of PPO's update (Schulman et al., 2017), with OmniSafe's defaults. The clipped surrogate itself is
//! [`Gaussian::surrogate`](crate::Gaussian::surrogate) with `Some(clip)`.

use crate::SafeRlError;

/// Constants of PPO's update.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct PpoConfig {
    /// Range of the ratio, `1 +- clip`.
    pub clip: f32,
    /// Passes over the rollout stop once its mean KL exceeds this.
    pub target_kl: f32,
    /// Most passes over the rollout.
    pub epochs: usize,
    /// Samples in a minibatch.
    pub minibatch: usize,
    /// Actor gradients are scaled down to this norm.
    pub max_grad_norm: f32,
}

impl Default for PpoConfig {
    fn default() -> Self {
        Self { clip: 0.2, target_kl: 0.02, epochs: 40, minibatch: 64, max_grad_norm: 40.0 }
    }
}

impl PpoConfig {
    /// Checks every constant's domain.
    ///
    /// # Errors
    /// [`SafeRlError::InvalidConfig`].
    pub fn validate(&self) -> Result<(), SafeRlError> {
        let positive = [
            ("clip", f64::from(self.clip)),
            ("target_kl", self.target_kl.into()),
            ("epochs", self.epochs as f64),
            ("minibatch", self.minibatch as f64),
            ("max_grad_norm", self.max_grad_norm.into()),
        ];
        for (name, value) in positive {
            if value.is_nan() || value <= 0.0 {
                return Err(SafeRlError::InvalidConfig { name, value, reason: "must be positive" });
            }
        }
        Ok(())
    }

    /// Whether the passes stop after one that ended at this mean KL. A KL that is not a number stops them too.
    pub fn stops(&self, mean_kl: f64) -> bool {
        mean_kl.is_nan() || mean_kl > f64::from(self.target_kl)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn passes_stop_beyond_the_target() {
        let config = PpoConfig::default();
        config.validate().unwrap();
        assert!(!config.stops(0.02 - 1e-6) && config.stops(0.021) && config.stops(f64::NAN));
        let error = PpoConfig { clip: 0.0, ..config }.validate();
        assert!(matches!(error, Err(SafeRlError::InvalidConfig { name: "clip", .. })));
    }
}
