//! Costs by kind: how many steps of an episode each kind costs in, from the steps of a rollout.

use std::sync::Arc;

use burn::tensor::Tensor;
use envs::{CostKind, VecEnv};

use crate::algorithm::{Number, Update};

/// The kinds of cost that the environments tell apart, and those of the last rollout's steps.
pub struct Kinds {
    kinds: Vec<CostKind>,
    horizon: f32,
    /// Bits by step, `[B]` or more each.
    steps: Vec<Tensor<1>>,
}

impl Kinds {
    /// Of these environments.
    pub fn of(env: &mut dyn VecEnv) -> Self {
        let kinds = env.navigation().map(|navigation| navigation.navigation_spec().cost_kinds());
        let horizon = env.spec().max_episode_steps as f32;
        Self { kinds: kinds.unwrap_or_default(), horizon, steps: Vec::new() }
    }

    /// Adds the kinds that steps brought.
    pub fn push(&mut self, kinds: Option<Tensor<1>>) {
        if !self.kinds.is_empty() {
            self.steps.extend(kinds);
        }
    }

    /// Forgets the steps before a rollout.
    pub fn clear(&mut self) {
        self.steps.clear();
    }

    /// Adds a number per kind to the logs: the steps of an episode that it costs in, if all steps were as those of the
    /// rollout. They are read with the update's other numbers.
    pub fn report(&self, update: &mut Update) {
        let Some(first) = self.steps.first() else { return };
        // The horizon goes along as the last number.
        let horizon = Tensor::from_floats([self.horizon], &first.device());
        let bits = Arc::new(Tensor::cat(self.steps.iter().cloned().chain([horizon]).collect(), 0));
        for kind in &self.kinds {
            update.push(format!("Kinds/{}", kind.name()), Number::of(&bits, STEPS_BY_BIT[*kind as usize]));
        }
    }
}

/// [`steps_with`] of every kind.
const STEPS_BY_BIT: [fn(&[f32]) -> f64; CostKind::COUNT] = [
    steps_with::<0>,
    steps_with::<1>,
    steps_with::<2>,
    steps_with::<3>,
    steps_with::<4>,
    steps_with::<5>,
    steps_with::<6>,
    steps_with::<7>,
];

/// The horizon, which is the last of `bits`, times the share of the others that have bit `BIT`.
fn steps_with<const BIT: u32>(bits: &[f32]) -> f64 {
    let Some((horizon, bits)) = bits.split_last() else { return f64::NAN };
    let with = CostKind::ALL[BIT as usize].count_in(bits);
    f64::from(*horizon) * with as f64 / bits.len() as f64
}

#[cfg(test)]
mod tests {
    use super::*;
    use burn::tensor::Device;
    use envs::{Navigation, find};

    #[test]
    fn every_kind_is_counted_by_its_bit() {
        let device = Device::flex();
        let mut env = Navigation::new(find("PointGoal2").unwrap(), 2, 0, &device).unwrap();
        let mut kinds = Kinds::of(&mut env);
        for bits in [[1.0, 0.0], [3.0, 4.0]] {
            kinds.push(Some(Tensor::from_floats(bits, &device)));
        }
        let mut update = Update::default();
        kinds.report(&mut update);
        let metrics = update.read().unwrap().metrics;
        let expected = [("Kinds/hazards", 500.0), ("Kinds/vases_contact", 250.0), ("Kinds/vases_velocity", 250.0)];
        let got: Vec<(&str, f64)> = metrics.iter().map(|(name, value)| (name.as_ref(), *value)).collect();
        assert_eq!(got, expected);

        let mut single = Navigation::new(find("PointGoal1").unwrap(), 2, 0, &device).unwrap();
        let mut kinds = Kinds::of(&mut single);
        kinds.push(Some(Tensor::from_floats([1.0, 1.0], &device)));
        let mut update = Update::default();
        kinds.report(&mut update);
        assert!(update.numbers.is_empty(), "one kind alone is the cost");
    }
}
