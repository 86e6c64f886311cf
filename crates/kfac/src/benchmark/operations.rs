//! Floating-point operations of a policy update.

use crate::fisher::FisherKind;
use crate::mlp::spec::MlpSpec;

/// Floating-point operations of one policy update, part by part: the least the mathematics needs, not what the code does.
///
/// A multiply-add counts as two. Symmetric products are counted once (a half), inverses as Cholesky's (`n^3` in all),
/// and only matrix products: activations, exponentials and what is linear in the parameters are left out.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Operations {
    /// The forward pass that keeps its activations.
    pub forward: f64,
    /// Derivatives taken down the layers, one chain per output or per seed, whichever are fewer.
    pub backward: f64,
    /// The gradients of reward and cost from the derivatives.
    pub gradients: f64,
    /// The Kronecker factors from activations and derivatives.
    pub factors: f64,
    /// Inverses of all factors.
    pub inverse: f64,
    /// Two natural gradients.
    pub precondition: f64,
    /// The directional derivative that gives the exact step length; zero where the Kronecker form gives it.
    pub jacobian: f64,
    /// The forward pass of the candidate, for the divergence.
    pub divergence: f64,
}

impl Operations {
    /// Those of an update of the network `spec` with `rows` samples and two gradients.
    pub fn new(spec: &MlpSpec, rows: usize, kind: FisherKind) -> Self {
        let layers: Vec<[f64; 2]> = (0..spec.num_layers())
            .map(|l| {
                let (inputs, outputs) = spec.layer_shape(l);
                [inputs as f64, outputs as f64]
            })
            .collect();
        let last = layers.len() - 1;
        let samples = rows as f64;
        let forward: f64 = layers.iter().map(|[i, o]| 2.0 * samples * i * o).sum();
        let outputs = layers[last][1];
        let seeds = match kind {
            FisherKind::Exact => outputs,
            FisherKind::Sampled | FisherKind::Empirical => 1.0,
        };
        let chains = outputs.min(2.0 + seeds);
        // Scaled unit vectors need no product to pass the last layer.
        let started = if chains == outputs { last } else { last + 1 };
        let back: f64 = layers[..started].iter().skip(1).map(|[i, o]| 2.0 * samples * (i - 1.0) * o).sum();
        let factors = layers.iter().enumerate().map(|(l, [i, o])| {
            // The exact Fisher matrix knows the last factor, and the one below but for the mean of the slopes' products.
            let grams = match kind {
                FisherKind::Exact if l == last => 0.0,
                FisherKind::Exact if l + 1 == last => 1.0,
                _ => seeds,
            };
            samples * (i * (i + 1.0) + grams * o * (o + 1.0))
        });
        Operations {
            forward,
            backward: chains * back,
            gradients: 2.0 * forward,
            factors: factors.sum(),
            inverse: layers.iter().map(|[i, o]| i.powi(3) + o.powi(3)).sum(),
            precondition: layers.iter().map(|[i, o]| 2.0 * 2.0 * i * o * (i + o)).sum(),
            // On kept activations the first layer takes one product, every other two.
            jacobian: match kind {
                FisherKind::Exact => {
                    forward + layers.iter().skip(1).map(|[i, o]| 2.0 * samples * (i - 1.0) * o).sum::<f64>()
                }
                FisherKind::Sampled | FisherKind::Empirical => 0.0,
            },
            divergence: forward,
        }
    }

    /// Those of the pass that makes gradients and factors: backward, gradients and factors.
    pub fn statistics(&self) -> f64 {
        self.backward + self.gradients + self.factors
    }

    /// All of them.
    pub fn total(&self) -> f64 {
        self.forward + self.statistics() + self.inverse + self.precondition + self.jacobian + self.divergence
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::mlp::spec::Activation;

    #[test]
    fn operations_of_a_small_network_by_hand() {
        // 2-3-1 with biases: blocks [3, 3] and [4, 1], 13 weights; ten samples.
        let spec = MlpSpec::new([2, 3, 1], Activation::Tanh).unwrap();
        let exact = Operations::new(&spec, 10, FisherKind::Exact);
        assert_eq!(exact.forward, 2.0 * 10.0 * 13.0);
        assert_eq!(exact.divergence, exact.forward);
        assert_eq!(exact.gradients, 2.0 * exact.forward);
        assert_eq!(exact.backward, 0.0); // one output: its chain starts below the only layer to pass
        // A of 3 and 4: 6 + 10 distinct elements; G of 3 once: 6; the last is known. Two operations each.
        assert_eq!(exact.factors, 10.0 * 2.0 * (6.0 + 10.0 + 6.0));
        assert_eq!(exact.inverse, 27.0 + 27.0 + 64.0 + 1.0);
        // A V and V G for two gradients: 9 * 6 + 4 * 5 multiply-adds each.
        assert_eq!(exact.precondition, 2.0 * 2.0 * 74.0);
        assert_eq!(exact.jacobian, 2.0 * 10.0 * (13.0 + 3.0));
        let sampled = Operations::new(&spec, 10, FisherKind::Sampled);
        assert_eq!(sampled.factors, 10.0 * 2.0 * (6.0 + 10.0 + 6.0 + 1.0));
        assert_eq!(sampled.jacobian, 0.0);
        assert_eq!(exact.total() - exact.statistics(), 260.0 + 119.0 + 296.0 + 320.0 + 260.0);
    }
}
