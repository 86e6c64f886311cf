//! Writes an environment on tensors and trains in it: `cargo run -p trainer --example write_a_vectorised_environment`.
//!
//! Gardens: every day one is as dry as x, a number that wanders evenly over 0 to 1. Water u, 0 to 1, brings a harvest of x u, and
//! there are 25 of it for 100 days. The best is to water the driest quarter of the days, x > 3/4: 100 (1/4) (7/8) = 21.9.

use anyhow::{Result, ensure};
use burn::tensor::{Device, Int, Tensor};
use compute::State;
use envs::{EnvError, EnvSpec, StepBatch, VecEnv};
use trainer::config::{Actions, TrainConfig};
use trainer::evaluate::evaluate;
use trainer::runner::Runner;

const DAYS: usize = 100;
/// What dryness grows by per day, modulo 1: the golden ratio's multiples are spread most evenly.
const GROWTH: f32 = 0.618_034;

/// B gardens; every tensor is `[B]`.
struct Gardens {
    spec: EnvSpec,
    device: Device,
    dryness: Tensor<1>,
    day: Tensor<1>,
    partial: Tensor<1>,
    harvest: Tensor<1>,
    water: Tensor<1>,
}

fn fraction(x: Tensor<1>) -> Tensor<1> {
    x.clone() - x.floor()
}

impl Gardens {
    fn new(num_envs: usize, device: &Device) -> Self {
        let spec = EnvSpec {
            id: "Gardens-v0".to_owned(),
            obs_dim: 1,
            action_dim: 1,
            max_episode_steps: DAYS,
            constraints: vec!["water".to_owned()],
        };
        let zeros = Tensor::zeros([num_envs], device);
        let each = |tensor: &Tensor<1>| tensor.clone();
        let (day, partial, harvest, water) = (each(&zeros), each(&zeros), each(&zeros), zeros);
        let number = Tensor::<1, Int>::arange(0..num_envs as i64, device).float();
        Self { spec, device: device.clone(), dryness: fraction(number * 0.414_214), day, partial, harvest, water }
    }

    fn obs(&self) -> Tensor<2> {
        self.dryness.clone().unsqueeze_dim(1)
    }

    fn parts(&mut self) -> [(&'static str, &mut Tensor<1>); 5] {
        let Self { dryness, day, partial, harvest, water, .. } = self;
        [("dryness", dryness), ("day", day), ("partial", partial), ("harvest", harvest), ("water", water)]
    }
}

impl VecEnv for Gardens {
    fn spec(&self) -> &EnvSpec {
        &self.spec
    }

    fn num_envs(&self) -> usize {
        self.dryness.dims()[0]
    }

    fn device(&self) -> &Device {
        &self.device
    }

    fn reset(&mut self, staggered: bool) -> Tensor<2> {
        let zeros = self.day.zeros_like();
        (self.harvest, self.water) = (zeros.clone(), zeros.clone());
        // Episodes that begin in their middle end at different times; they are marked as parts of one.
        let middle = (self.dryness.clone() * DAYS as f32).floor();
        (self.day, self.partial) = if staggered { (middle, zeros + 1.0) } else { (zeros.clone(), zeros) };
        self.obs()
    }

    fn step(&mut self, action: Tensor<2>) -> StepBatch {
        let water = (action.clamp(-1.0, 1.0).squeeze_dim::<1>(1) + 1.0) / 2.0;
        let reward = self.dryness.clone() * water.clone();
        self.dryness = fraction(self.dryness.clone() + GROWTH);
        let day = self.day.clone() + 1.0;
        let (harvest, used) = (self.harvest.clone() + reward.clone(), self.water.clone() + water.clone());
        let over = day.clone().greater_equal_scalar(DAYS as f32).float();
        let goes_on = over.clone().neg() + 1.0;
        let partial = self.partial.clone();
        (self.day, self.partial) = (day.clone() * goes_on.clone(), partial.clone() * goes_on.clone());
        (self.harvest, self.water) = (harvest.clone() * goes_on.clone(), used.clone() * goes_on);
        StepBatch {
            obs: self.obs(),
            final_obs: self.obs(),
            reward,
            costs: water.unsqueeze_dim(0),
            terminated: over.zeros_like(),
            truncated: over,
            episode_return: harvest,
            episode_costs: used.unsqueeze_dim(0),
            episode_length: day,
            episode_partial: partial,
            kinds: None,
        }
    }

    fn state(&self) -> Result<State, EnvError> {
        let Self { dryness, day, partial, harvest, water, .. } = self;
        let mut state = State::new();
        for (name, tensor) in
            [("dryness", dryness), ("day", day), ("partial", partial), ("harvest", harvest), ("water", water)]
        {
            state.put_tensor(name, tensor)?;
        }
        Ok(state)
    }

    fn load_state(&mut self, state: &State) -> Result<(), EnvError> {
        let device = self.device.clone();
        for (name, tensor) in self.parts() {
            *tensor = state.tensor(name, tensor.dims(), &device)?;
        }
        Ok(())
    }
}

/// Trains, then tends ten fresh gardens by the policy's mean; prints harvest and water.
///
/// # Errors
/// When a setting does not hold, or the harvest is far from the best.
pub fn main() -> Result<()> {
    let device = Device::flex();
    let mut config = TrainConfig { num_envs: 64, rollout_steps: DAYS, cost_limit: 25.0.into(), ..Default::default() };
    config.total_steps = 100 * config.batch_size() as u64;
    (config.policy.hidden, config.critic.hidden) = (vec![16, 16], vec![16, 16]);
    let (env, measured) = (Gardens::new(64, &device), Gardens::new(16, &device));
    let mut runner = Runner::with_env(config, Box::new(env), device.clone())?.with_deployed_env(Box::new(measured))?;
    while !runner.done() {
        runner.iterate()?;
    }
    let episodes = evaluate(&runner.snapshot()?, Box::new(Gardens::new(10, &device)), 0, Actions::Mean)?;
    let mean = |sum: f64| sum / episodes.len() as f64;
    let harvest = mean(episodes.iter().map(|episode| episode.ret).sum());
    let water = mean(episodes.iter().map(|episode| episode.costs[0]).sum());
    println!("harvest {harvest:.1} of 21.9, water {water:.1} of 25");
    ensure!(harvest > 20.0 && water <= 26.5, "the gardens are not watered well");
    Ok(())
}
