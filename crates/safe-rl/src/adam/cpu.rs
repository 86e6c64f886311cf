//! Adam's step on the CPU: one pass over the memory, a network per task.

use burn::tensor::Tensor;
use compute::cpu::{View, tensor};
use rayon::prelude::*;

use super::{Adam, Rates};

/// [`Adam::step`], or `None` on another backend.
pub(super) fn step(adam: &mut Adam, rates: &Rates, theta: &Tensor<1>, gradient: &Tensor<1>) -> Option<Tensor<1>> {
    let Rates { rate, correction, beta1, beta2, epsilon, limit } = *rates;
    let (old, gradient) = (View::of(theta)?, View::of(gradient)?);
    let (first, second, skipped) = (View::of(&adam.first)?, View::of(&adam.second)?, View::of(&adam.skipped)?);
    let (mut first, mut second) = (first.values().to_vec(), second.values().to_vec());
    let (mut next, mut skipped) = (old.values().to_vec(), skipped.values().to_vec());
    let (all, networks) = (next.len(), skipped.len());
    let parameters = (all / networks.max(1)).max(1);
    let rows = next.par_chunks_exact_mut(parameters).zip(gradient.values().par_chunks_exact(parameters));
    let moments = first.par_chunks_exact_mut(parameters).zip(second.par_chunks_exact_mut(parameters));
    rows.zip(moments).zip(&mut skipped).for_each(|(((next, gradient), (first, second)), skipped)| {
        if !gradient.iter().all(|g| g.is_finite()) {
            *skipped += 1.0;
            return;
        }
        let scale = limit.map_or(1.0, |limit| {
            let norm = gradient.iter().map(|g| f64::from(*g).powi(2)).sum::<f64>().sqrt() as f32;
            (limit / (norm + 1e-6)).min(1.0)
        });
        for ((x, g), (m, v)) in next.iter_mut().zip(gradient).zip(first.iter_mut().zip(second)) {
            let g = g * scale;
            *m = *m * beta1 + g * (1.0 - beta1);
            *v = *v * beta2 + g * g * (1.0 - beta2);
            *x -= *m * rate / ((*v / correction).sqrt() + epsilon);
        }
    });
    adam.first = tensor(first, [all]);
    adam.second = tensor(second, [all]);
    adam.skipped = tensor(skipped, [networks]);
    Some(tensor(next, [all]))
}
