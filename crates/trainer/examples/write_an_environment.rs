//! Writes an environment and trains in it: `cargo run -p trainer --example write_an_environment`.
//!
//! A cart on a track, a double integrator: its force is bounded by 1 N, its mass is 1 kg, and the way it covers in 10 s is
//! the reward. Every 0.1 s above 1 m/s costs 1, and 5 are allowed. Without a limit the best is to push all the time, 50 m.
//! With it: reach 1 m/s, which takes 1 s and 0.5 m, hold it, and push again for the last 0.5 s: 0.5 + 9 + 0.125 = 9.6 m.

use anyhow::{Result, ensure};
use burn::tensor::{Device, Tensor};
use envs::{Batched, Env, EnvSpec, Outcome, VecEnv};
use trainer::config::TrainConfig;
use trainer::runner::Runner;

const STEPS: usize = 100;
const STEP_SECONDS: f64 = 0.1;
const SPEED_LIMIT: f64 = 1.0;

#[derive(Default)]
struct Cart {
    position: f64,
    velocity: f64,
}

impl Env for Cart {
    fn spec(&self) -> EnvSpec {
        EnvSpec {
            id: "Cart-v0".to_owned(),
            obs_dim: 2,
            action_dim: 1,
            max_episode_steps: STEPS,
            constraints: vec!["speeding".to_owned()],
        }
    }

    fn reset(&mut self, _seed: u64, obs: &mut [f32]) {
        *self = Self::default();
        obs.fill(0.0);
    }

    fn step(&mut self, action: &[f32], obs: &mut [f32]) -> Outcome {
        let before = self.position;
        self.position += STEP_SECONDS * (self.velocity + 0.5 * STEP_SECONDS * f64::from(action[0]));
        self.velocity += STEP_SECONDS * f64::from(action[0]);
        obs.copy_from_slice(&[self.position as f32, self.velocity as f32]);
        let speeding = self.velocity > SPEED_LIMIT + 1e-6;
        let (reward, cost) = ((self.position - before) as f32, f32::from(speeding));
        Outcome { reward, costs: [cost], terminated: false, truncated: false }
    }

    fn state(&self) -> Vec<f64> {
        vec![self.position, self.velocity]
    }

    fn load_state(&mut self, state: &[f64]) {
        (self.position, self.velocity) = (state[0], state[1]);
    }
}

/// So many carts.
///
/// # Errors
/// Never: the specification is one that can be true.
pub fn carts(num_envs: usize) -> Result<Box<dyn VecEnv>> {
    Ok(Box::new(Batched::new(num_envs, 0, &Device::flex(), |_| Cart::default())?))
}

/// Trains, drives once by the policy's mean, and returns the way \[m\] and the cost.
fn train() -> Result<[f32; 2]> {
    let device = Device::flex();
    let mut config = TrainConfig { num_envs: 128, rollout_steps: STEPS, cost_limit: 5.0.into(), ..Default::default() };
    config.total_steps = 150 * config.batch_size() as u64;
    (config.policy.hidden, config.critic.hidden) = (vec![16, 16], vec![16, 16]);
    // The mean action is what is deployed: carts of its own measure it, and its cost steers.
    let mut runner = Runner::with_env(config, carts(128)?, device.clone())?.with_deployed_env(carts(16)?)?;
    while !runner.done() {
        runner.iterate()?;
    }
    let policy = runner.snapshot()?;
    let (network, normalizer, mut env) = (policy.policy(&device)?, policy.normalizer(&device)?, carts(1)?);
    let (mut obs, mut totals) = (env.reset(false), Tensor::<1>::zeros([2], &device));
    for _ in 0..STEPS {
        let step = env.step(network.forward(normalizer.apply(obs)));
        totals = totals + Tensor::cat(vec![step.reward, step.costs.reshape([1])], 0);
        obs = step.obs;
    }
    let totals = compute::read("the totals", totals)?;
    Ok([totals[0], totals[1]])
}

/// Prints what came of it.
///
/// # Errors
/// When a setting does not hold, or the cart is far from the optimum.
pub fn main() -> Result<()> {
    let [way, cost] = train()?;
    println!("{way:.1} m of 9.6 m, cost {cost} of 5");
    ensure!(way > 8.0 && cost <= 7.0, "the cart has not learned to keep to the limit");
    Ok(())
}
