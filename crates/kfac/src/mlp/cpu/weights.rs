//! A network's weights rearranged for the kernels.

use pulp::{Arch, Simd, WithSimd};

use super::plan::{LayerPlan, Plan};
use crate::simd::pack::{Packed, pack_rows, pack_transposed};

/// A network's weights rearranged for the kernels.
pub(crate) struct Weights {
    data: Vec<f32>,
    /// Per layer: blocks of `[in + 1, out_width]`; a narrow last layer `[out, in_stride]`, the bias at column `in`.
    forward: Vec<usize>,
    /// Per layer: blocks of `[out, in_width]`; absent for the first layer.
    backward: Vec<usize>,
}

impl Weights {
    /// `backward` says whether the transposes are needed too.
    pub fn new(plan: &Plan, theta: &[f32], backward: bool) -> Self {
        Arch::new().dispatch(PackWeights { plan, theta, backward })
    }

    /// The forward blocks of layer `l`.
    pub fn forward(&self, l: usize, layer: &LayerPlan) -> Packed<'_> {
        let (depth, width) = (layer.inputs + 1, layer.out_width);
        Packed { data: &self.data[self.forward[l]..][..depth * width], depth, width }
    }

    /// The rows `[out, in_stride]` of a narrow last layer.
    pub fn narrow(&self, l: usize, layer: &LayerPlan) -> &[f32] {
        &self.data[self.forward[l]..][..layer.outputs * layer.in_stride]
    }

    /// The transposed blocks of layer `l > 0`, without the bias.
    pub fn backward(&self, l: usize, layer: &LayerPlan) -> Packed<'_> {
        let (depth, width) = (layer.outputs, layer.in_width);
        Packed { data: &self.data[self.backward[l]..][..depth * width], depth, width }
    }
}

struct PackWeights<'a> {
    plan: &'a Plan,
    theta: &'a [f32],
    backward: bool,
}

impl WithSimd for PackWeights<'_> {
    type Output = Weights;

    #[inline(always)]
    fn with_simd<S: Simd>(self, simd: S) -> Weights {
        let PackWeights { plan, theta, backward: transposes } = self;
        let (mut forward, mut backward) = (Vec::new(), Vec::new());
        let mut len = 0;
        for (i, l) in plan.layers.iter().enumerate() {
            forward.push(len);
            len += if plan.narrow(i) { l.outputs * l.in_stride } else { (l.inputs + 1) * l.out_width };
            backward.push(len);
            len += if transposes && i > 0 { l.outputs * l.in_width } else { 0 };
        }
        let mut data = vec![0.0; len];
        for (i, l) in plan.layers.iter().enumerate() {
            let theta = &theta[l.offset..l.offset + l.weights()];
            let out = &mut data[forward[i]..];
            if plan.narrow(i) {
                for (o, row) in out.chunks_exact_mut(l.in_stride).take(l.outputs).enumerate() {
                    for (x, w) in row.iter_mut().zip(theta.chunks_exact(l.outputs)) {
                        *x = w[o];
                    }
                }
            } else {
                pack_rows(simd, &mut out[..(l.inputs + 1) * l.out_width], l.inputs + 1, l.out_width, theta, l.outputs);
            }
            if transposes && i > 0 {
                let out = &mut data[backward[i]..][..l.outputs * l.in_width];
                let weights = &theta[..l.inputs * l.outputs];
                pack_transposed(simd, out, l.outputs, l.in_width, weights, l.outputs);
            }
        }
        Weights { data, forward, backward }
    }
}
