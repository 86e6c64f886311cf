//! Natural gradients: gradients times the inverse of the Kronecker factors.

mod cpu;
mod gpu;

use burn::tensor::Tensor;

use crate::fisher::LOG_STD_FISHER;
use crate::inverse::InverseSet;
use compute::first_of;

impl InverseSet {
    /// Natural gradients `[S, P + A]` of several gradients `[S, P + A]`: `A~^-1 V G~^-1` in every layer of the network, and
    /// of the A entries of a state-independent `log sigma` behind it (none for a network alone) the exact block `2 I`,
    /// damped: `v / (2 + damping)`.
    ///
    /// # Panics
    /// If the gradients are of a larger network.
    pub fn natural_gradients(&self, gradients: Tensor<2>) -> Tensor<2> {
        assert!(gradients.dims()[1] >= self.layout().num_params(), "the gradients must be [S, P + A]");
        let log_std_block = LOG_STD_FISHER + self.damping();
        first_of!(
            cpu::natural_gradients(self.layout(), self.flat(), &gradients, log_std_block),
            gpu::natural_gradients(self.layout(), self.flat(), &gradients, log_std_block),
            self.natural_gradients_by_layer(gradients, log_std_block),
        )
    }

    fn natural_gradients_by_layer(&self, gradients: Tensor<2>, log_std_block: f32) -> Tensor<2> {
        let [seeds, total] = gradients.dims();
        let mut start = 0;
        let mut parts = Vec::new();
        for l in 0..self.layout().count() / 2 {
            let (rows, columns) = (self.layout().order(2 * l), self.layout().order(2 * l + 1));
            let v = gradients.clone().slice([0..seeds, start..start + rows * columns]).reshape([seeds, rows, columns]);
            start += rows * columns;
            let a = self.a(l).unsqueeze_dim::<3>(0).expand([seeds, rows, rows]);
            let g = self.g(l).unsqueeze_dim::<3>(0).expand([seeds, columns, columns]);
            parts.push(a.matmul(v).matmul(g).reshape([seeds, rows * columns]));
        }
        if total > start {
            parts.push(gradients.narrow(1, start, total - start).div_scalar(log_std_block));
        }
        Tensor::cat(parts, 1)
    }
}
