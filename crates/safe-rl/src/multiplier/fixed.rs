//! A multiplier that never changes: a cost with a known price.

use compute::State;

use super::Multiplier;
use crate::error::{SafeRlError, ensure};

/// A multiplier that is given.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct FixedMultiplier(f64);

impl FixedMultiplier {
    /// A multiplier of this value.
    ///
    /// # Errors
    /// [`SafeRlError::InvalidConfig`] for one that is negative or not finite.
    pub fn new(value: f64) -> Result<Self, SafeRlError> {
        let legal = (0.0..f64::INFINITY).contains(&value);
        ensure(legal, "multiplier", value, "must be finite and not negative")?;
        Ok(Self(value))
    }
}

impl Multiplier for FixedMultiplier {
    fn update(&mut self, _cost: Option<f64>) -> f64 {
        self.0
    }

    fn value(&self) -> f64 {
        self.0
    }

    fn state(&self) -> Result<State, SafeRlError> {
        let mut state = State::new();
        state.put_f64("multiplier", self.0)?;
        Ok(state)
    }

    fn load_state(&mut self, state: &State) -> Result<(), SafeRlError> {
        self.0 = state.get_f64("multiplier")?;
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_stays_what_it_was_given() {
        let mut multiplier = FixedMultiplier::new(0.5).unwrap();
        assert_eq!([multiplier.update(Some(1e6)), multiplier.update(None), multiplier.value()], [0.5; 3]);
        let mut restored = FixedMultiplier::new(0.0).unwrap();
        restored.load_state(&multiplier.state().unwrap()).unwrap();
        assert_eq!(restored, multiplier);
        assert!(FixedMultiplier::new(-0.1).is_err() && FixedMultiplier::new(f64::INFINITY).is_err());
    }
}
