//! Where the partial sums lie within a shard's buffer.

use super::plan::Plan;

/// Offsets of the partial sums within a shard's buffer.
pub(super) struct SumLayout {
    /// Per seed and layer: `[in + 1, out_width]`; a narrow last layer is in `narrow`.
    pub gradients: Vec<Vec<usize>>,
    /// Gradients of a narrow last layer, transposed: `[S * out, in_stride]`.
    pub narrow: usize,
    /// Per layer: `[in + 1, in_width]`, lower blocks.
    pub a: Vec<usize>,
    /// Per layer: `[out, out_width]`, lower blocks.
    pub g: Vec<usize>,
    /// The sum of squared errors.
    pub loss: usize,
    /// Floats of all of them.
    pub len: usize,
}

impl SumLayout {
    pub fn new(plan: &Plan, seeds: usize, fisher: bool) -> Self {
        let mut len = 0;
        let mut take = |n: usize| {
            let start = len;
            len += n.next_multiple_of(16);
            start
        };
        let wide = plan.layers.iter().enumerate().filter(|(l, _)| !plan.narrow(*l)).map(|(_, layer)| layer);
        let gradients =
            (0..seeds).map(|_| wide.clone().map(|l| take((l.inputs + 1) * l.out_width)).collect()).collect();
        let last = plan.last();
        let narrow = take(if plan.narrow(plan.layers.len() - 1) { seeds * last.outputs * last.in_stride } else { 0 });
        let (mut a, mut g) = (Vec::new(), Vec::new());
        if fisher {
            for l in &plan.layers {
                a.push(take((l.inputs + 1) * l.in_width));
                g.push(take(l.outputs * l.out_width));
            }
        }
        let loss = take(1);
        SumLayout { gradients, narrow, a, g, loss, len }
    }
}
