//! Score seeds of a Gaussian head: which Fisher matrix the factors estimate.

mod gpu;

use burn::tensor::Tensor;

use compute::first_of;

/// The Fisher matrix of `log sigma` is this times the identity, whatever sigma and the network are.
pub const LOG_STD_FISHER: f32 = 2.0;

/// Which Fisher matrix the Kronecker factors estimate.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize), serde(rename_all = "lowercase"))]
pub enum FisherKind {
    /// [`exact_seeds`]: one backward pass per output, no Monte Carlo noise.
    #[default]
    Exact,
    /// [`score_seeds`] of actions drawn afresh from the policy.
    Sampled,
    /// [`score_seeds`] of the actions taken (ablation).
    Empirical,
}

/// Derivatives of `log p` with respect to the network's outputs, one backward pass each.
///
/// The factor `G` is the sum over the seeds of the outer products they cause.
#[derive(Clone, Debug)]
pub enum FisherSeeds {
    /// `[K, N, out]`: scores of sampled or taken actions.
    PerSample(Tensor<3>),
    /// `[K, out]`, the same for every sample: the exact Fisher matrix of a Gaussian with state-independent variance.
    Constant(Tensor<2>),
}

impl FisherSeeds {
    /// `[K, rows, out]`.
    pub(crate) fn expand(&self, rows: usize) -> Tensor<3> {
        match self {
            FisherSeeds::PerSample(seeds) => seeds.clone(),
            FisherSeeds::Constant(seeds) => {
                let [k, outputs] = seeds.dims();
                if k == 0 {
                    return Tensor::zeros([0, rows, outputs], &seeds.device()); // `expand` refuses an empty tensor
                }
                seeds.clone().unsqueeze_dim::<3>(1).expand([k, rows, outputs])
            }
        }
    }
}

/// Seeds of the **exact** Fisher matrix of `N(f(x), diag sigma^2)`: `e_k / sigma_k` for each output, no sampling noise.
///
/// `log_std` is `[out]`.
pub fn exact_seeds(log_std: Tensor<1>) -> FisherSeeds {
    FisherSeeds::Constant(first_of!(gpu::exact_seeds(&log_std), {
        let eye = Tensor::<2>::eye(log_std.dims()[0], &log_std.device());
        eye * log_std.neg().exp().unsqueeze_dim::<2>(0)
    },))
}

/// Scores `(action - mean) / sigma^2 / sqrt K` of actions `[K, N, out]` under `N(mean, diag sigma^2)`.
///
/// With actions drawn afresh from the distribution the factors estimate the Fisher matrix without bias (`sampled`);
/// with the actions taken they are the empirical Fisher, unbiased only while the policy has not moved. `mean` is
/// `[N, out]`, `log_std` `[out]`.
pub fn score_seeds(actions: Tensor<3>, mean: Tensor<2>, log_std: Tensor<1>) -> FisherSeeds {
    let [k, _, _] = actions.dims();
    let precision = log_std.mul_scalar(-2.0).exp().unsqueeze_dims::<3>(&[0, 1]);
    let error = actions - mean.unsqueeze_dim::<3>(0);
    FisherSeeds::PerSample((error * precision).div_scalar((k as f32).sqrt()))
}
