//! Initial weights from a counter-based generator.

use compute::noise::splitmix64;

use super::spec::MlpSpec;

/// Parts the uniform numbers of a seed from its normal ones.
const UNIFORM: u64 = 0x75_6e69_666f_726d;

/// A standard normal number for a place in the stream of a seed (Box-Muller transform).
pub(crate) fn normal(seed: u64, stream: u64, index: u64) -> f64 {
    let bits = splitmix64(splitmix64(splitmix64(seed) ^ stream) ^ index);
    let other = splitmix64(bits);
    // 53 bits, never zero.
    let u = ((bits >> 11) as f64 + 0.5) / (1u64 << 53) as f64;
    let v = (other >> 11) as f64 / (1u64 << 53) as f64;
    (-2.0 * u.ln()).sqrt() * (std::f64::consts::TAU * v).cos()
}

/// How a network's first weights are drawn.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize), serde(rename_all = "lowercase"))]
pub enum InitialWeights {
    /// Semi-orthogonal matrices times a gain, biases zero: [`Mlp::init`](crate::Mlp::init).
    #[default]
    Orthogonal,
    /// Weights and biases uniform, small: [`Mlp::init_uniform`](crate::Mlp::init_uniform).
    Uniform,
}

/// Theta uniform within `1 / sqrt(inputs)` of zero, biases included, layer by layer.
pub(crate) fn uniform(spec: &MlpSpec, seed: u64) -> Vec<f32> {
    let mut theta = Vec::with_capacity(spec.num_params());
    for l in 0..spec.num_layers() {
        let (rows, columns) = spec.layer_shape(l);
        let bound = 1.0 / ((rows - 1) as f64).sqrt();
        let stream = splitmix64(splitmix64(splitmix64(seed) ^ UNIFORM) ^ l as u64);
        for i in 0..rows * columns {
            let unit = ((splitmix64(stream ^ i as u64) >> 11) as f64 + 0.5) / (1u64 << 53) as f64;
            theta.push((bound * (2.0 * unit - 1.0)) as f32);
        }
    }
    theta
}

/// Theta with semi-orthogonal weights and zero biases.
pub(crate) fn orthogonal(spec: &MlpSpec, seed: u64, output_gain: f32) -> Vec<f32> {
    let mut theta = Vec::with_capacity(spec.num_params());
    let last = spec.num_layers() - 1;
    for l in 0..=last {
        let (rows, columns) = spec.layer_shape(l);
        let inputs = rows - 1;
        let gain = if l == last { f64::from(output_gain) } else { std::f64::consts::SQRT_2 };
        // Orthonormal vectors along the shorter side, by Gram-Schmidt (twice: once is not orthogonal to rounding).
        let (count, length) = (inputs.min(columns), inputs.max(columns));
        let mut basis: Vec<Vec<f64>> = Vec::with_capacity(count);
        for i in 0..count {
            let mut v: Vec<f64> = (0..length).map(|j| normal(seed, l as u64, (i * length + j) as u64)).collect();
            for _ in 0..2 {
                for b in &basis {
                    let dot: f64 = v.iter().zip(b).map(|(x, y)| x * y).sum();
                    v.iter_mut().zip(b).for_each(|(x, y)| *x -= dot * y);
                }
            }
            let norm = v.iter().map(|x| x * x).sum::<f64>().sqrt();
            v.iter_mut().for_each(|x| *x /= norm);
            basis.push(v);
        }
        for i in 0..inputs {
            for j in 0..columns {
                let w = if inputs >= columns { basis[j][i] } else { basis[i][j] };
                theta.push((gain * w) as f32);
            }
        }
        theta.extend(std::iter::repeat_n(0.0, columns));
    }
    theta
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Activation;

    #[test]
    fn uniform_weights_fill_their_interval_and_follow_from_the_seed() {
        let spec = MlpSpec::new(vec![16, 64, 3], Activation::Tanh).unwrap();
        let theta = uniform(&spec, 7);
        assert_eq!(theta.len(), spec.num_params());
        let (hidden, output) = theta.split_at(17 * 64);
        for (layer, bound) in [(hidden, 0.25f32), (output, 0.125)] {
            let count = layer.len() as f32;
            let (mean, square) = (layer.iter().sum::<f32>() / count, layer.iter().map(|w| w * w).sum::<f32>() / count);
            assert!(layer.iter().all(|w| w.abs() <= bound));
            assert!(layer.iter().any(|w| w.abs() > 0.9 * bound) && mean.abs() < 0.15 * bound, "{mean}");
            // The variance of a uniform number within +-b is b^2 / 3.
            assert!((3.0 * square / (bound * bound) - 1.0).abs() < 0.2, "{square}");
        }
        // The last row of a layer holds its biases.
        assert!(hidden[16 * 64..].iter().all(|bias| *bias != 0.0));
        assert_eq!(theta, uniform(&spec, 7));
        assert!(theta.iter().zip(uniform(&spec, 8)).all(|(a, b)| *a != b));
    }
}
