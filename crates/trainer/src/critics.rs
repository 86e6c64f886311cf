//! The reward critic and the cost critic: two MLPs, trained by Adam on the mean squared error.

use crate::config::{CriticConfig, TrainConfig};
use crate::policy::exported::activation;
use anyhow::Result;
use burn::tensor::{Device, Int, Tensor, TensorData};
use compute::State;
use compute::noise::{NoiseKey, Stream};
use kfac::{Mlp, MlpSpec};
use safe_rl::{Adam, AdamConfig, Samples, gather_columns, gather_rows, permutation};

/// Offset of the cost critic's initialisation seed from the run's seed, so that no two networks start alike.
const COST_SEED: u64 = 0xc057;
/// The same for the reward critic.
const REWARD_SEED: u64 = 0x4e3a;

/// One value network with its optimiser.
#[derive(Clone)]
struct Critic {
    name: &'static str,
    value: Mlp,
    adam: Adam,
}

impl Critic {
    fn new(name: &'static str, config: &CriticConfig, obs_dim: usize, seed: u64, device: &Device) -> Result<Self> {
        let sizes = [&[obs_dim], config.hidden.as_slice(), &[1]].concat();
        let spec = MlpSpec::new(sizes, activation(config.activation))?;
        let rate = AdamConfig { learning_rate: config.learning_rate as f32, ..Default::default() };
        let adam = Adam::new(spec.num_params(), rate, device)?;
        Ok(Self { name, value: Mlp::init(spec, seed, 1.0, device), adam })
    }

    /// V(s), `[N]`.
    fn predict(&self, obs: Tensor<2>) -> Tensor<1> {
        self.value.forward(obs).squeeze_dim(1)
    }

    /// Adam steps over consecutive minibatches; returns their losses, `[1]` each.
    fn fit(&mut self, obs: &Tensor<2>, target: &Tensor<2>, size: usize) -> Vec<Tensor<1>> {
        let samples = obs.dims()[0];
        let parts = (samples / size).max(1);
        let losses = (0..parts).map(|i| {
            let (start, end) = (i * samples / parts, (i + 1) * samples / parts);
            let x = obs.clone().narrow(0, start, end - start);
            let y = target.clone().narrow(0, start, end - start);
            let (gradient, loss) = self.value.regression_gradient(x, y);
            let theta = self.adam.step(self.value.theta().clone(), gradient);
            self.value = self.value.with_theta(theta);
            loss
        });
        losses.collect()
    }

    fn save(&self, state: &mut State) -> Result<()> {
        state.put_tensor(&format!("critic.{}.theta", self.name), self.value.theta())?;
        Ok(state.put_part(&format!("critic.{}.adam", self.name), self.adam.state()?)?)
    }

    fn load(&mut self, state: &State) -> Result<()> {
        let theta = self.value.theta();
        let saved = state.tensor(&format!("critic.{}.theta", self.name), theta.dims(), &theta.device())?;
        self.value = self.value.with_theta(saved);
        self.adam.load_state(&state.part(&format!("critic.{}.adam", self.name))?)?;
        Ok(())
    }
}

/// Both value networks.
#[derive(Clone)]
pub struct Critics {
    config: CriticConfig,
    seed: u64,
    reward: Critic,
    cost: Critic,
}

impl Critics {
    /// Fresh critics of the configured shape.
    ///
    /// # Errors
    /// When the layer widths are not usable.
    pub fn new(config: &TrainConfig, obs_dim: usize, device: &Device) -> Result<Self> {
        let critic = |name, offset| Critic::new(name, &config.critic, obs_dim, config.seed ^ offset, device);
        Ok(Self {
            config: config.critic.clone(),
            seed: config.seed,
            reward: critic("reward", REWARD_SEED)?,
            cost: critic("cost", COST_SEED)?,
        })
    }

    /// Values of reward and cost at normalised observations `[N, obs_dim]`, each `[N]`.
    pub fn values(&self, obs: Tensor<2>) -> (Tensor<1>, Tensor<1>) {
        rayon::join(|| self.reward.predict(obs.clone()), || self.cost.predict(obs.clone()))
    }

    /// One iteration's regression on `samples.target` `[2, N]` (reward, cost); returns the mean losses of the last epoch.
    ///
    /// The two networks are independent: on the CPU each has a thread of its own.
    pub fn fit(&mut self, samples: &Samples, iteration: u64) -> (Tensor<1>, Tensor<1>) {
        #[cfg(feature = "gpu")]
        if let Some(losses) = self.fit_together(samples, iteration) {
            return losses;
        }
        let (count, device) = (samples.len(), samples.obs.device());
        let mut losses = (Vec::new(), Vec::new());
        for epoch in 0..self.config.epochs {
            let (obs, target) = self.shuffled(samples, iteration, epoch);
            let column = |i| target.clone().narrow(0, i, 1).reshape([count, 1]);
            let (y_reward, y_cost, size) = (column(0), column(1), self.config.minibatch_size);
            let (reward, cost) = (&mut self.reward, &mut self.cost);
            losses = rayon::join(|| reward.fit(&obs, &y_reward, size), || cost.fit(&obs, &y_cost, size));
        }
        let mean = |losses: Vec<Tensor<1>>| match losses.is_empty() {
            true => Tensor::zeros([1], &device),
            false => Tensor::cat(losses, 0).mean(),
        };
        (mean(losses.0), mean(losses.1))
    }

    /// Observations `[N, obs_dim]` and targets `[2, N]` in the order of an epoch.
    fn shuffled(&self, samples: &Samples, iteration: u64, epoch: usize) -> (Tensor<2>, Tensor<2>) {
        let count = samples.len();
        let step = iteration * self.config.epochs as u64 + epoch as u64;
        let order = permutation(count, NoiseKey { seed: self.seed, stream: Stream::CriticOrder, step });
        let order: Vec<i32> = order.into_iter().map(|i| i as i32).collect();
        let order = Tensor::<1, Int>::from_ints(TensorData::new(order, [count]), &samples.obs.device());
        (gather_rows(&samples.obs, &order), gather_columns(&samples.target, &order))
    }

    /// The same with both networks in every launch, where a GPU has the kernels; else nothing has happened.
    #[cfg(feature = "gpu")]
    fn fit_together(&mut self, samples: &Samples, iteration: u64) -> Option<(Tensor<1>, Tensor<1>)> {
        let (count, network) = (samples.len(), self.reward.value.clone());
        let parts = (count / self.config.minibatch_size).max(1);
        if self.config.epochs == 0 || !compute::gpu::is_gpu(&samples.obs.device()) {
            return None;
        }
        let mut theta = Tensor::cat(vec![self.reward.value.theta().clone(), self.cost.value.theta().clone()], 0);
        let mut adam = Adam::join(&self.reward.adam, &self.cost.adam);
        let mut losses = Vec::new();
        for epoch in 0..self.config.epochs {
            let (obs, target) = self.shuffled(samples, iteration, epoch);
            let target = target.unsqueeze_dim::<3>(2);
            losses.clear();
            for i in 0..parts {
                let range = i * count / parts..(i + 1) * count / parts;
                let (gradient, loss) = kfac::regression_gradients(network.spec(), &theta, &obs, &target, range);
                theta = adam.step(theta, gradient);
                losses.push(loss);
            }
        }
        let [reward, cost] = adam.split();
        (self.reward.adam, self.cost.adam) = (reward, cost);
        let params = network.spec().num_params();
        self.reward.value = self.reward.value.with_theta(theta.clone().narrow(0, 0, params));
        self.cost.value = self.cost.value.with_theta(theta.narrow(0, params, params));
        let mean: Tensor<1> = Tensor::stack::<2>(losses, 0).mean_dim(0).squeeze_dim(0);
        Some((mean.clone().narrow(0, 0, 1), mean.narrow(0, 1, 1)))
    }

    /// Adds both networks to a checkpoint.
    ///
    /// # Errors
    /// When the device cannot be read.
    pub fn save(&self, state: &mut State) -> Result<()> {
        self.reward.save(state)?;
        self.cost.save(state)
    }

    /// Takes both networks from a checkpoint.
    ///
    /// # Errors
    /// When an entry is missing or of another size.
    pub fn load(&mut self, state: &State) -> Result<()> {
        self.reward.load(state)?;
        self.cost.load(state)
    }
}
