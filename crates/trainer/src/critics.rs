//! The critics: a value network per objective, the reward's first, all of one shape, trained by Adam on the mean squared
//! error and, where it is asked for, the size of their parameters.

use crate::comm::{Alone, Comm};
use crate::config::{CriticConfig, TrainConfig};
use anyhow::{Context, Result, bail};
use burn::tensor::{Device, Int, Tensor};
use compute::noise::{NoiseKey, Stream};
use compute::{Graph, GraphUse, State};
use kfac::{InitialWeights, Mlp, MlpSpec, regression_gradients};
use rayon::prelude::*;
use safe_rl::{Adam, AdamConfig, Samples, gather_columns, gather_rows, minibatches, permutation_index};

/// Offset of the reward critic's initialisation seed from the run's seed, so that no two networks start alike.
const REWARD_SEED: u64 = 0x4e3a;
/// The same for the critic of the first cost; that of cost k lies `k << 32` further.
const COST_SEED: u64 = 0xc057;

/// The value networks with their optimiser.
#[derive(Clone)]
pub struct Critics {
    config: CriticConfig,
    seed: u64,
    /// A network of their shape.
    network: Mlp,
    /// Parameters, network after network, `[S * P]`.
    params: Tensor<1>,
    adam: Adam,
    /// A whole regression's launches, where they are replayed.
    graph: Graph,
}

impl Critics {
    /// Fresh critics of `objectives` objectives (the reward and the costs) of the configured shape.
    ///
    /// # Errors
    /// When the layer widths are not usable.
    pub fn new(config: &TrainConfig, objectives: usize, obs_dim: usize, device: &Device) -> Result<Self> {
        let weights = config.first_weights(config.critic.weights);
        let (seed, config) = (config.seed, config.critic.clone());
        let sizes = [&[obs_dim], config.hidden.as_slice(), &[1]].concat();
        let spec = MlpSpec::new(sizes, config.activation)?;
        let offset = |s: usize| if s == 0 { REWARD_SEED } else { COST_SEED ^ ((s as u64 - 1) << 32) };
        let fresh = |s: usize| match weights {
            InitialWeights::Orthogonal => Mlp::init(spec.clone(), seed ^ offset(s), 1.0, device),
            InitialWeights::Uniform => Mlp::init_uniform(spec.clone(), seed ^ offset(s), device),
        };
        let params = (0..objectives).map(|s| fresh(s).theta().clone()).collect();
        let rate = AdamConfig { learning_rate: config.learning_rate, ..Default::default() };
        let adam = Adam::new(objectives, spec.num_params(), rate, device)?;
        Ok(Self { config, seed, network: fresh(0), params: Tensor::cat(params, 0), adam, graph: Graph::default() })
    }

    /// Number S of objectives.
    fn objectives(&self) -> usize {
        self.params.dims()[0] / self.network.spec().num_params()
    }

    /// The network of an objective.
    fn network(&self, s: usize) -> Mlp {
        let length = self.network.spec().num_params();
        self.network.with_theta(self.params.clone().narrow(0, s * length, length))
    }

    /// Values at normalised observations `[N, obs_dim]`, `[S, N]`.
    pub fn values(&self, obs: Tensor<2>) -> Tensor<2> {
        let value = |s| self.network(s).forward(obs.clone()).transpose();
        Tensor::cat((0..self.objectives()).into_par_iter().map(value).collect(), 0)
    }

    /// One iteration's regression on `samples.target` `[S, N]`; returns this shard's mean losses of the last epoch, `[S]`. The
    /// gradients are means over the shards of `comm`, which have as many samples each.
    ///
    /// # Errors
    /// When another shard fails.
    pub fn fit(&mut self, samples: &Samples, iteration: u64, comm: &dyn Comm) -> Result<Tensor<1>> {
        let orders: Vec<_> = (0..self.config.epochs).map(|epoch| self.order(samples, iteration, epoch)).collect();
        if orders.is_empty() || samples.is_empty() {
            return Ok(Tensor::zeros([self.objectives()], &self.params.device()));
        }
        // Sums over shards go through the host, which no graph can.
        if self.config.graph && comm.size() == 1 {
            return self.fit_by_graph(samples, &orders);
        }
        self.regress(&samples.obs, &samples.target, &orders, comm)
    }

    /// The regression on observations `[N, obs_dim]` and targets `[S, N]`, a pass in each of `orders` `[N]`; the mean losses of the
    /// last one, `[S]`.
    fn regress(
        &mut self,
        obs: &Tensor<2>,
        target: &Tensor<2>,
        orders: &[Tensor<1, Int>],
        comm: &dyn Comm,
    ) -> Result<Tensor<1>> {
        let count = obs.dims()[0];
        let parts = self.parts(count, comm);
        let mut losses = Vec::new();
        for order in orders {
            let (obs, target) = (gather_rows(obs, order), gather_columns(target, order).unsqueeze_dim::<3>(2));
            losses.clear();
            for i in 0..parts {
                let range = i * count / parts..(i + 1) * count / parts;
                let (gradient, loss) = regression_gradients(self.network.spec(), &self.params, &obs, &target, range);
                let gradient = self.penalized(comm.mean(gradient)?);
                self.params = self.adam.step(self.params.clone(), gradient);
                losses.push(loss);
            }
        }
        Ok(Tensor::stack::<2>(losses, 0).mean_dim(0).squeeze_dim(0))
    }

    /// [`Self::regress`] of a shard alone, its launches recorded at the first call and replayed as one at later ones.
    fn fit_by_graph(&mut self, samples: &Samples, orders: &[Tensor<1, Int>]) -> Result<Tensor<1>> {
        let (shape, steps) = (samples.obs.dims(), orders.len() * self.parts(samples.len(), &Alone));
        let target_shape = samples.target.dims();
        let [first, second, skipped] = self.adam.moments();
        let rates = self.adam.rates_ahead(steps);
        let (obs, target) = (samples.obs.clone().flatten(0, 1), samples.target.clone().flatten(0, 1));
        let fresh = Self { graph: Graph::default(), ..self.clone() };
        // The host's part of it, sizes and the number of Adam steps, is the same in every iteration: `rates` holds what changes.
        let body = |floats: &[Tensor<1>], orders: &[Tensor<1, Int>]| -> Result<Vec<Tensor<1>>> {
            let [params, first, second, skipped, rates, obs, target] = floats else {
                bail!("a regression has seven arguments");
            };
            let moments = [first, second, skipped].map(Tensor::clone);
            let adam = fresh.adam.planned(moments, rates.clone());
            let mut critics = Self { params: params.clone(), adam, ..fresh.clone() };
            let (obs, target) = (obs.clone().reshape(shape), target.clone().reshape(target_shape));
            let losses = critics.regress(&obs, &target, orders, &Alone)?;
            let [first, second, skipped] = critics.adam.moments();
            Ok(vec![critics.params, first, second, skipped, losses])
        };
        let floats = [self.params.clone(), first, second, skipped, rates, obs, target];
        let results = self.graph.call(&floats, orders, body)?;
        let Ok([params, first, second, skipped, losses]) = <[Tensor<1>; 5]>::try_from(results) else {
            bail!("a regression has five results");
        };
        self.params = params;
        self.adam.take_over([first, second, skipped], steps);
        Ok(losses)
    }

    /// Minibatches of a pass over `count` samples of this shard.
    fn parts(&self, count: usize, comm: &dyn Comm) -> usize {
        minibatches(count, comm.size(), self.config.minibatch_size)
    }

    /// What came of the last regression's graph.
    pub fn graph_use(&self) -> &GraphUse {
        self.graph.last_use()
    }

    /// The gradient `[S * P]` with that of the parameters' own part of the loss.
    fn penalized(&self, gradient: Tensor<1>) -> Tensor<1> {
        if self.config.l2 == 0.0 { gradient } else { gradient + self.params.clone() * (2.0 * self.config.l2) as f32 }
    }

    /// Adam steps that each critic has left out since the run began, because its gradient was not finite, `[S]`.
    pub fn skipped(&self) -> Tensor<1> {
        self.adam.skipped()
    }

    /// The order of an epoch's samples, `[N]`.
    fn order(&self, samples: &Samples, iteration: u64, epoch: usize) -> Tensor<1, Int> {
        let step = iteration * self.config.epochs as u64 + epoch as u64;
        let key = NoiseKey { seed: self.seed, stream: Stream::CriticOrder, step };
        permutation_index(samples.len(), key, &samples.obs.device())
    }

    /// The parameters of all networks, `[S * P]`.
    pub fn params(&self) -> &Tensor<1> {
        &self.params
    }

    /// Adds the networks to a checkpoint.
    ///
    /// # Errors
    /// When the device cannot be read.
    pub fn save(&self, state: &mut State) -> Result<()> {
        state.put_tensor("critics.params", &self.params)?;
        Ok(state.put_part("critics.adam", self.adam.state()?)?)
    }

    /// Takes the networks of another run, their optimiser new, where they are of the same number and shape; returns whether.
    pub fn start_from(&mut self, config: &CriticConfig, state: &State) -> bool {
        let alike = config.hidden == self.config.hidden && config.activation == self.config.activation;
        let params = state.tensor("critics.params", self.params.dims(), &self.params.device());
        match params {
            Ok(params) if alike => self.params = params,
            _ => return false,
        }
        true
    }

    /// Takes the networks from a checkpoint.
    ///
    /// # Errors
    /// When an entry is missing or of another size.
    pub fn load(&mut self, state: &State) -> Result<()> {
        self.params = state.tensor("critics.params", self.params.dims(), &self.params.device())?;
        self.adam.load_state(&state.part("critics.adam")?).context("state `critics.adam`")
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::comm::Alone;
    use compute::noise::normals;
    use compute::read;

    const SAMPLES: usize = 512;

    fn critics() -> Critics {
        let mut config = TrainConfig::default();
        config.critic = CriticConfig { hidden: vec![16], minibatch_size: 64, learning_rate: 3e-3, ..config.critic };
        Critics::new(&config, 3, 4, &Device::flex()).expect("a usable shape")
    }

    /// Three objectives: a line, its negative, a constant.
    fn samples() -> Samples {
        let device = Device::flex();
        let noise = normals(NoiseKey { seed: 1, stream: Stream::Other(0), step: 0 }, SAMPLES, 4);
        let obs = Tensor::<1>::from_floats(noise.as_slice(), &device).reshape([SAMPLES, 4]);
        let line = obs.clone().narrow(1, 0, 1).reshape([1, SAMPLES]);
        let target = Tensor::cat(vec![line.clone(), line.clone().neg(), line.zeros_like() + 2.0], 0);
        let rows = Tensor::zeros([SAMPLES, 1], &device);
        Samples {
            action: rows.clone(),
            mean: rows.clone(),
            log_prob: rows.reshape([SAMPLES]),
            advantage: target.zeros_like(),
            obs,
            target,
        }
    }

    #[test]
    fn every_critic_learns_its_own_objective() {
        let (mut critics, samples) = (critics(), samples());
        let first = read("losses", critics.fit(&samples, 1, &Alone).unwrap()).unwrap();
        let mut last = first.clone();
        for iteration in 2..30 {
            last = read("losses", critics.fit(&samples, iteration, &Alone).unwrap()).unwrap();
        }
        assert_eq!(last.len(), 3);
        assert!(last.iter().zip(&first).all(|(last, first)| *last < 0.1 * first), "{first:?} {last:?}");
        let values = critics.values(samples.obs);
        assert_eq!(values.dims(), [3, SAMPLES]);
        let errors = read("errors", (values - samples.target).square().mean_dim(1)).unwrap();
        assert!(errors.iter().all(|error| *error < 0.05), "{errors:?}");
    }

    #[test]
    fn a_target_that_is_not_finite_holds_back_its_own_critic_alone() {
        let (mut critics, mut samples) = (critics(), samples());
        let before = read("values", critics.values(samples.obs.clone())).unwrap();
        samples.target = samples.target.slice_fill([1..2, 0..SAMPLES], f32::NAN);
        critics.fit(&samples, 1, &Alone).unwrap();
        let after = read("values", critics.values(samples.obs.clone())).unwrap();
        let changed: Vec<bool> =
            before.chunks(SAMPLES).zip(after.chunks(SAMPLES)).map(|(before, after)| before != after).collect();
        assert_eq!(changed, [true, false, true]);
        let skipped = read("skipped", critics.skipped()).unwrap();
        assert!(skipped[1] > 0.0 && skipped[0] + skipped[2] == 0.0, "{skipped:?}");
    }

    #[test]
    fn a_penalty_draws_parameters_to_zero() {
        let (mut free, samples) = (critics(), samples());
        let mut penalized = free.clone();
        penalized.config.l2 = 0.5;
        // d/dw of 0.5 w^2, beside what the samples say.
        let params = read("params", penalized.params.clone()).unwrap();
        let gradient = read("gradient", penalized.penalized(penalized.params.ones_like())).unwrap();
        assert!(gradient.iter().zip(&params).all(|(gradient, param)| (gradient - (1.0 + param)).abs() < 1e-6));
        for iteration in 1..20 {
            free.fit(&samples, iteration, &Alone).unwrap();
            penalized.fit(&samples, iteration, &Alone).unwrap();
        }
        let [free, penalized] = [free, penalized].map(|c| read("size", c.params.square().sum()).unwrap()[0]);
        assert!(penalized < 0.5 * free, "{penalized} {free}");
    }

    #[test]
    fn critics_continue_from_their_state() {
        let (mut whole, samples) = (critics(), samples());
        whole.fit(&samples, 1, &Alone).unwrap();
        let mut state = State::new();
        whole.save(&mut state).unwrap();
        let mut resumed = critics();
        resumed.load(&state).unwrap();
        whole.fit(&samples, 2, &Alone).unwrap();
        resumed.fit(&samples, 2, &Alone).unwrap();
        let [whole, resumed] = [whole, resumed].map(|c| read("values", c.values(samples.obs.clone())).unwrap());
        assert_eq!(whole, resumed);
    }
}
