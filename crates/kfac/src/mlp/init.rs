//! Initial weights from a counter-based generator.

use compute::noise::splitmix64;

use super::spec::MlpSpec;

/// A standard normal number for a place in the stream of a seed (Box-Muller transform).
pub(crate) fn normal(seed: u64, stream: u64, index: u64) -> f64 {
    let bits = splitmix64(splitmix64(splitmix64(seed) ^ stream) ^ index);
    let other = splitmix64(bits);
    // 53 bits, never zero.
    let u = ((bits >> 11) as f64 + 0.5) / (1u64 << 53) as f64;
    let v = (other >> 11) as f64 / (1u64 << 53) as f64;
    (-2.0 * u.ln()).sqrt() * (std::f64::consts::TAU * v).cos()
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
