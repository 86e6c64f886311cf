use burn::tensor::Tensor;

use crate::InverseSet;

impl InverseSet {
    /// Natural gradients `[S, P]` of several gradients `[S, P]`: `A~^-1 V G~^-1` in every layer.
    ///
    /// # Panics
    /// If the gradients are of another network.
    pub fn natural_gradients(&self, gradients: Tensor<2>) -> Tensor<2> {
        let params = gradients.dims()[1];
        assert_eq!(params, self.num_params(), "the gradients are of another network");
        #[cfg(feature = "flex")]
        if let Some(natural) = crate::fused::precondition(self.layout(), self.flat(), &gradients) {
            return natural;
        }
        self.launched(&gradients, 1.0).unwrap_or_else(|| self.plain(gradients))
    }

    /// The same for gradients `[S, P + R]` whose last R numbers belong to parameters beside the network with a Fisher block
    /// `fisher` times the identity, damping included: those are divided by it (`2 + damping` for log standard deviations).
    ///
    /// # Panics
    /// If the gradients are of a smaller network.
    pub fn natural_gradients_beside(&self, gradients: Tensor<2>, fisher: f32) -> Tensor<2> {
        let ([_, width], params) = (gradients.dims(), self.num_params());
        assert!(width >= params, "the gradients are of another network");
        if let Some(natural) = self.launched(&gradients, fisher) {
            return natural;
        }
        let network = self.natural_gradients(gradients.clone().narrow(1, 0, params));
        if width == params {
            return network;
        }
        Tensor::cat(vec![network, gradients.narrow(1, params, width - params).div_scalar(fisher)], 1)
    }

    #[cfg(feature = "gpu")]
    fn launched(&self, gradients: &Tensor<2>, rest: f32) -> Option<Tensor<2>> {
        let params = self.num_params();
        crate::unit_precondition::precondition(self.layout(), &self.places, self.flat(), gradients, params, rest)
    }

    #[cfg(not(feature = "gpu"))]
    fn launched(&self, _gradients: &Tensor<2>, _rest: f32) -> Option<Tensor<2>> {
        None
    }

    fn plain(&self, gradients: Tensor<2>) -> Tensor<2> {
        let [seeds, _] = gradients.dims();
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
