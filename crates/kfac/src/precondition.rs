use burn::tensor::Tensor;

use crate::InverseSet;

impl InverseSet {
    /// Natural gradients `[S, P]` of several gradients `[S, P]`: `A~^-1 V G~^-1` in every layer.
    ///
    /// # Panics
    /// If the gradients are of another network.
    pub fn natural_gradients(&self, gradients: Tensor<2>) -> Tensor<2> {
        let [seeds, params] = gradients.dims();
        assert_eq!(params, self.num_params(), "the gradients are of another network");
        #[cfg(feature = "flex")]
        if let Some(natural) = crate::fused::precondition(self.layout(), self.flat(), &gradients) {
            return natural;
        }
        let mut start = 0;
        let layers = (0..self.layout().count() / 2).map(|l| {
            let (rows, columns) = (self.layout().order(2 * l), self.layout().order(2 * l + 1));
            let v = gradients.clone().slice([0..seeds, start..start + rows * columns]).reshape([seeds, rows, columns]);
            start += rows * columns;
            let a = self.a(l).unsqueeze_dim::<3>(0).expand([seeds, rows, rows]);
            let g = self.g(l).unsqueeze_dim::<3>(0).expand([seeds, columns, columns]);
            a.matmul(v).matmul(g).reshape([seeds, rows * columns])
        });
        Tensor::cat(layers.collect(), 1)
    }
}
