//! The policy: a Gaussian whose mean is a network and whose log sigma is a vector, both in one vector of parameters.

pub mod exported;
pub mod onnx;
pub mod rollout;
pub mod saved;
pub mod source;

use crate::config::PolicyConfig;
use anyhow::{Result, ensure};
use burn::tensor::{Device, Tensor, TensorData};
use compute::State;
use compute::noise::NoiseKey;
use kfac::{FactorSample, FisherSeeds, ForwardPass, InitialWeights, Mlp, MlpSpec, Statistics};
use safe_rl::{Gaussian, Normalizer, Surrogate, clamp_log_std};

/// Log sigma of samples that are the mean: 5.8 of these sigmas, the largest normal drawn, are 5e-13.
const NOISELESS_LOG_STD: f32 = -30.0;

/// A Gaussian policy `pi(a|s) = N(mean(s), diag exp(2 log sigma))`.
///
/// Its parameters are one vector `[P + A]`: the mean network's P numbers, then the A log standard deviations. Gradients,
/// directions and steps have the same layout. Cloning shares the tensors: a clone is a snapshot.
///
/// ```
/// use burn::tensor::{Device, Tensor};
/// use compute::noise::{NoiseKey, Stream};
/// use trainer::config::PolicyConfig;
/// use trainer::policy::Policy;
///
/// # fn main() -> anyhow::Result<()> {
/// let policy = Policy::new(&PolicyConfig::default(), 12, 2, 0, &Device::flex())?;
/// let obs = Tensor::zeros([5, 12], &Device::flex());
/// let act = policy.act(obs, NoiseKey { seed: 0, stream: Stream::Action, step: 0 });
/// assert_eq!((act.action.dims(), act.log_prob.dims()), ([5, 2], [5]));
/// # Ok(())
/// # }
/// ```
#[derive(Clone, Debug)]
pub struct Policy {
    params: Tensor<1>,
    mean: Mlp,
    log_std: Tensor<1>,
}

/// What the policy did on one batch of observations.
pub struct Act {
    /// Sampled actions, `[B, A]`, unclipped.
    pub action: Tensor<2>,
    /// Means they were drawn around, `[B, A]`.
    pub mean: Tensor<2>,
    /// Log density of the actions, `[B]`.
    pub log_prob: Tensor<1>,
}

impl Policy {
    /// A fresh policy of the configured shape, whose weights follow from `seed`: orthogonal where the configuration leaves them to
    /// the algorithm, of which this knows nothing.
    ///
    /// # Errors
    /// When the layer widths are not usable.
    pub fn new(config: &PolicyConfig, obs_dim: usize, action_dim: usize, seed: u64, device: &Device) -> Result<Self> {
        let sizes = [&[obs_dim], config.hidden.as_slice(), &[action_dim]].concat();
        let spec = MlpSpec::new(sizes, config.activation)?;
        let mean = match config.weights.unwrap_or_default() {
            InitialWeights::Orthogonal => Mlp::init(spec, seed, config.output_gain as f32, device),
            InitialWeights::Uniform => Mlp::init_uniform(spec, seed, device),
        };
        let log_std = TensorData::new(vec![config.initial_log_std as f32; action_dim], [action_dim]);
        let log_std = Tensor::from_data(log_std, device);
        Ok(Self { params: Tensor::cat(vec![mean.theta().clone(), log_std.clone()], 0), mean, log_std })
    }

    /// The policy of a network of this shape with the parameters `[P + A]`.
    ///
    /// # Errors
    /// When the number of parameters does not fit the network.
    pub fn from_params(spec: MlpSpec, params: Tensor<1>) -> Result<Self> {
        let (network, actions) = (spec.num_params(), spec.output_size());
        let [found] = params.dims();
        ensure!(found == network + actions, "a policy of this shape has {} parameters, not {found}", network + actions);
        let mean = Mlp::from_theta(spec, params.clone().narrow(0, 0, network))?;
        Ok(Self { log_std: params.clone().narrow(0, network, actions), mean, params })
    }

    /// The same policy with other parameters `[P + A]`.
    ///
    /// # Panics
    /// If their number differs.
    #[must_use]
    pub fn with_params(&self, params: Tensor<1>) -> Self {
        assert_eq!(params.dims(), self.params.dims(), "parameters must be [P + A]");
        let (network, actions) = (self.spec().num_params(), self.action_dim());
        Self {
            mean: self.mean.with_theta(params.clone().narrow(0, 0, network)),
            log_std: params.clone().narrow(0, network, actions),
            params,
        }
    }

    /// The same policy with log sigma within [`safe_rl::LOG_STD_RANGE`]: beyond it a step of the optimiser has run away, and
    /// its exponential is soon no number.
    #[must_use]
    pub fn bounded(&self) -> Self {
        let (low, high) = safe_rl::LOG_STD_RANGE;
        self.bounded_within(low, high)
    }

    /// The same policy with log sigma within these bounds.
    #[must_use]
    pub fn bounded_within(&self, low: f32, high: f32) -> Self {
        let network = self.spec().num_params();
        let bounded = self.log_std.clone().clamp(low, high);
        self.with_params(Tensor::cat(vec![self.params.clone().narrow(0, 0, network), bounded], 0))
    }

    /// The same policy with so small a sigma that its samples are its means, to the last bit of a float32: for kernels that
    /// always draw.
    #[must_use]
    pub fn noiseless(&self) -> Self {
        let network = self.spec().num_params();
        let log_std = self.log_std.full_like(NOISELESS_LOG_STD);
        self.with_params(Tensor::cat(vec![self.params.clone().narrow(0, 0, network), log_std], 0))
    }

    /// The policy that does with observations normalised by `now` what this one does with them normalised by `former`, but for what
    /// either clips: the first layer takes up the difference.
    #[must_use]
    pub fn renormalized(&self, former: &Normalizer, now: &Normalizer) -> Self {
        let sizes = self.spec().sizes();
        let (inputs, outputs) = (sizes[0], sizes[1]);
        let [[former_mean, former_divisor], [mean, divisor]] = [former, now].map(Normalizer::scale);
        let first = self.params.clone().narrow(0, 0, (inputs + 1) * outputs).reshape([inputs + 1, outputs]);
        let (weight, bias) = (first.clone().narrow(0, 0, inputs), first.narrow(0, inputs, 1));
        let shift = (mean - former_mean) / former_divisor.clone();
        let bias = bias + (weight.clone() * shift.unsqueeze_dim(1)).sum_dim(0);
        let weight = weight * (divisor / former_divisor).unsqueeze_dim(1);
        let rest = (inputs + 1) * outputs;
        let others = self.params.clone().narrow(0, rest, self.num_params() - rest);
        self.with_params(Tensor::cat(vec![weight.flatten(0, 1), bias.flatten(0, 1), others], 0))
    }

    /// All parameters, `[P + A]`.
    pub fn params(&self) -> &Tensor<1> {
        &self.params
    }

    /// The number of parameters, P + A.
    pub fn num_params(&self) -> usize {
        self.params.dims()[0]
    }

    /// Sizes and activation of the mean network.
    pub fn spec(&self) -> &MlpSpec {
        self.mean.spec()
    }

    /// The mean network, `[N, obs_dim]` to `[N, A]`.
    pub fn network(&self) -> &Mlp {
        &self.mean
    }

    /// Log standard deviations, `[A]`.
    pub fn log_std(&self) -> &Tensor<1> {
        &self.log_std
    }

    /// The number of actions, A.
    pub fn action_dim(&self) -> usize {
        self.spec().output_size()
    }

    /// Where the parameters are.
    pub fn device(&self) -> Device {
        self.params.device()
    }

    /// The mean actions `[N, A]` at normalised observations `[N, obs_dim]`.
    pub fn forward(&self, obs: Tensor<2>) -> Tensor<2> {
        self.mean.forward(obs)
    }

    /// The distribution at normalised observations `[N, obs_dim]`.
    pub fn distribution(&self, obs: Tensor<2>) -> Gaussian {
        Gaussian::new(self.forward(obs), self.log_std.clone())
    }

    /// Samples one action per row of normalised observations `[B, obs_dim]`, by the noise of `key` and the row.
    pub fn act(&self, obs: Tensor<2>, key: NoiseKey) -> Act {
        let policy = self.distribution(obs);
        let (action, log_prob) = policy.act(key);
        Act { action, mean: policy.mean, log_prob }
    }

    /// The distribution at normalised observations `[N, obs_dim]`, with what its derivatives need.
    pub fn pass(&self, obs: Tensor<2>) -> PolicyPass {
        let pass = self.mean.forward_pass(obs);
        PolicyPass { distribution: Gaussian::new(pass.outputs(), self.log_std.clone()), pass }
    }

    /// Gradients `[S, P + A]` of S surrogates at normalised observations `[N, obs_dim]`.
    pub fn gradients(&self, obs: Tensor<2>, surrogate: Surrogate) -> Tensor<2> {
        Tensor::cat(vec![self.mean.gradients(obs, surrogate.mean), surrogate.log_std], 1)
    }

    /// The policy `length` `[1]` further along `direction` `[P + A]`. Log sigma moves and stays within its bounds.
    #[must_use]
    pub fn step(&self, direction: &Tensor<1>, length: &Tensor<1>) -> Self {
        let (network, actions) = (self.spec().num_params(), self.action_dim());
        let theta = direction.clone().narrow(0, 0, network) * length.clone();
        let log_std = direction.clone().narrow(0, network, actions) * length.clone();
        let theta = self.mean.theta().clone() + theta;
        let log_std = clamp_log_std(&self.log_std, log_std);
        self.with_params(Tensor::cat(vec![theta, log_std], 0))
    }

    /// Adds the parameters to a checkpoint.
    ///
    /// # Errors
    /// When the device cannot be read.
    pub fn save(&self, state: &mut State) -> Result<()> {
        Ok(state.put_tensor("policy.params", &self.params)?)
    }

    /// Takes the parameters from a checkpoint.
    ///
    /// # Errors
    /// When they are missing or of another number.
    pub fn load(&mut self, state: &State) -> Result<()> {
        let params = state.tensor("policy.params", self.params.dims(), &self.device())?;
        *self = self.with_params(params);
        Ok(())
    }
}

/// A batch that went through the policy: its distribution, and derivatives without another forward pass.
pub struct PolicyPass {
    /// The policy at the N states.
    pub distribution: Gaussian,
    pass: ForwardPass,
}

impl PolicyPass {
    /// Gradients `[S, P + A]` of S surrogates.
    pub fn gradients(&self, surrogate: Surrogate) -> Tensor<2> {
        Tensor::cat(vec![self.pass.gradients(surrogate.mean), surrogate.log_std], 1)
    }

    /// Gradients `[S, P + A]` of S surrogates and the Kronecker factors of the batch.
    pub fn statistics(&self, surrogate: Surrogate, seeds: FisherSeeds) -> (Tensor<2>, FactorSample) {
        let Statistics { gradients, factors } = self.pass.statistics(surrogate.mean, seeds);
        (Tensor::cat(vec![gradients, surrogate.log_std], 1), factors)
    }

    /// How the means move along a direction `[P + A]`: `[N, A]`.
    pub fn jvp(&self, direction: Tensor<1>) -> Tensor<2> {
        self.pass.jvp(direction)
    }

    /// The exact Fisher matrix of the batch times a vector `[P + A]`.
    ///
    /// For a Gaussian it is `mean_n J_n^T diag(1 / sigma^2) J_n` for the network and `2 I` for log sigma.
    pub fn fisher_product(&self, vector: &Tensor<1>) -> Tensor<1> {
        self.pass.fisher_product(vector.clone(), self.distribution.inverse_variance())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::PolicyConfig;
    use compute::noise::{Stream, normals};
    use exported::host;

    fn policy() -> Policy {
        let config = PolicyConfig { hidden: vec![5], output_gain: 1.0, ..PolicyConfig::default() };
        Policy::new(&config, 3, 2, 7, &Device::flex()).expect("a usable shape")
    }

    fn noise(step: u64, rows: usize, columns: usize) -> Tensor<2> {
        let values = normals(NoiseKey { seed: 3, stream: Stream::Other(0), step }, rows, columns);
        Tensor::<1>::from_floats(values.as_slice(), &Device::flex()).reshape([rows, columns])
    }

    #[test]
    fn parameters_are_the_network_then_log_sigma() {
        let policy = policy();
        let params = host(policy.params()).expect("readable");
        assert_eq!(params.len(), policy.spec().num_params() + 2);
        assert_eq!(params[policy.spec().num_params()..], [-0.5, -0.5]);
        let again = Policy::from_params(policy.spec().clone(), policy.params().clone()).expect("it fits");
        let obs = noise(0, 4, 3);
        assert_eq!(host(&again.forward(obs.clone())).unwrap(), host(&policy.forward(obs)).unwrap());
        assert!(Policy::from_params(policy.spec().clone(), Tensor::zeros([3], &policy.device())).is_err());
    }

    #[test]
    fn a_renormalised_policy_does_the_same_with_raw_observations() {
        let (policy, device) = (policy(), Device::flex());
        let normalizer = |mean: [f32; 3], std: [f32; 3]| {
            let vector = |values| Tensor::<1>::from_floats(values, &device);
            Normalizer::frozen(vector(mean), vector(std), safe_rl::NormalizerConfig::default()).expect("it is valid")
        };
        // The last deviation is below the floor of 0.01 in both.
        let (former, now) =
            (normalizer([0.5, -1.0, 2.0], [1.5, 0.7, 0.001]), normalizer([0.3, -0.8, 2.001], [2.0, 0.5, 0.002]));
        let obs = noise(1, 6, 3) * Tensor::<1>::from_floats([1.0, 1.0, 0.01], &device).unsqueeze()
            + Tensor::<1>::from_floats([0.0, -1.0, 2.0], &device).unsqueeze();
        let before = host(&policy.forward(former.apply(obs.clone()))).unwrap();
        let after = host(&policy.renormalized(&former, &now).forward(now.apply(obs.clone()))).unwrap();
        let unchanged = host(&policy.forward(now.apply(obs))).unwrap();
        let largest = |a: &[f32], b: &[f32]| a.iter().zip(b).map(|(a, b)| (a - b).abs()).fold(0.0, f32::max);
        assert!(largest(&before, &after) < 1e-5, "{before:?} {after:?}");
        assert!(largest(&before, &unchanged) > 0.1);
    }

    #[test]
    fn a_step_moves_the_network_freely_and_log_sigma_within_its_bounds() {
        let policy = policy();
        let count = policy.num_params();
        let direction = Tensor::<1>::ones([count], &policy.device());
        let moved = policy.step(&direction, &Tensor::from_floats([0.5], &policy.device()));
        let (before, after) = (host(policy.params()).unwrap(), host(moved.params()).unwrap());
        for (i, (before, after)) in before.iter().zip(after).enumerate() {
            let expected = if i + 2 < count { 0.5 } else { 0.2 };
            assert!((after - before - expected).abs() < 1e-6, "{i}: {before} {after}");
        }
    }

    #[test]
    fn samples_of_the_noiseless_policy_are_the_means() {
        let (policy, obs) = (policy(), noise(3, 50, 3));
        let act = policy.noiseless().act(obs.clone(), NoiseKey { seed: 1, stream: Stream::Other(2), step: 0 });
        assert_eq!(host(&act.action).unwrap(), host(&policy.forward(obs)).unwrap());
        assert!(host(&act.log_prob).unwrap().iter().all(|log_prob| log_prob.is_finite()));
    }

    #[test]
    fn bounds_touch_log_sigma_alone() {
        let policy = policy();
        let network = policy.spec().num_params();
        let host = |tensor: &Tensor<1>| host(tensor).expect("readable");
        assert_eq!(host(policy.bounded().params()), host(policy.params()));
        let wild = policy.with_params(policy.params().clone() * 1e6);
        let (bounded, wild) = (host(wild.bounded().params()), host(wild.params()));
        assert_eq!(bounded[..network], wild[..network]);
        assert!(bounded[network..].iter().all(|log_std| (-5.0..=2.0).contains(log_std)), "{bounded:?}");
    }

    #[test]
    fn the_fisher_product_is_the_curvature_of_the_kl() {
        let (policy, obs, vector) = (policy(), noise(1, 6, 3), noise(2, 1, 34).reshape([34]));
        assert_eq!(policy.num_params(), 34);
        let pass = policy.pass(obs.clone());
        let product = pass.fisher_product(&vector);
        let quadratic = f64::from(host(&(product * vector.clone()).sum()).unwrap()[0]);
        // KL(pi_0 || pi_h) = h^2 / 2 v F v + O(h^3); both signs cancel the cubic term.
        let h = 0.02;
        let kl = |h: f32| {
            let moved = policy.with_params(policy.params().clone() + vector.clone() * h).distribution(obs.clone());
            f64::from(host(&moved.mean_kl(&pass.distribution.mean, policy.log_std())).unwrap()[0])
        };
        let measured = (kl(h) + kl(-h)) / f64::from(h * h);
        assert!((measured - quadratic).abs() < 2e-2 * quadratic, "{measured} {quadratic}");
    }
}
