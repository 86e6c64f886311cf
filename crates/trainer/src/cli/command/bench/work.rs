//! What a part of the work costs at the least: its floating-point operations, and the bytes it must read and write.
//!
//! Counted are the products, what is done to every number of an observation or of a hidden layer, and inputs and outputs
//! as if each were touched once; a symmetric product counts half. What a cleverer program could spare is not in it: a
//! share of the floor is the share of an ideal execution of this algorithm.

use anyhow::Result;
use envs::NavigationSpec;
use kfac::benchmark::Operations;
use kfac::{Activation, FisherKind, MlpSpec};

use super::FLOAT;
use super::env_operations::operations_per_step;
use crate::algorithm::kfcpo::KfcpoConfig;
use crate::config::TrainConfig;
use crate::runner::Phase;

/// Operations of one tanh: the rational function of `kfac`'s vector path.
const TANH: f64 = 22.0;
/// Operations on each number of an observation: centred, scaled, clipped; its two moments summed.
const NORMALIZE: f64 = 8.0;
/// Operations that draw an action's number and its share of the density.
const SAMPLE: f64 = 40.0;
/// Operations of one advantage, its target and their share of the means.
const ADVANTAGE: f64 = 12.0;
/// Numbers a step writes beside observations: reward, cost, flags and the episode's totals.
const SCALARS: f64 = 8.0;

/// Operations and bytes of a part.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub struct Work {
    /// Multiplications, additions and their like; a fused pair counts two.
    pub operations: f64,
    /// Bytes read and written.
    pub bytes: f64,
    /// Calls among which it is spread: each finds what the one before left in the caches.
    pub calls: f64,
}

/// A multilayer perceptron's sizes as counts.
struct Network {
    /// Weights, biases included.
    weights: f64,
    /// Weights of the layers above the first, without biases: what a backward pass goes through.
    upper: f64,
    hidden: f64,
    inputs: f64,
}

impl Network {
    fn new(sizes: &[usize]) -> Self {
        let layers: Vec<(f64, f64)> = sizes.windows(2).map(|pair| (pair[0] as f64, pair[1] as f64)).collect();
        Self {
            weights: layers.iter().map(|(inputs, outputs)| (inputs + 1.0) * outputs).sum(),
            upper: layers.iter().skip(1).map(|(inputs, outputs)| inputs * outputs).sum(),
            hidden: sizes[1..sizes.len() - 1].iter().sum::<usize>() as f64,
            inputs: sizes[0] as f64,
        }
    }

    /// Operations of a forward pass of one sample.
    fn forward(&self) -> f64 {
        2.0 * self.weights + TANH * self.hidden
    }

    /// Operations of the gradients of `losses` of one sample whose activations are known.
    fn backward(&self, losses: f64) -> f64 {
        losses * (2.0 * self.upper + 2.0 * self.hidden + 2.0 * self.weights)
    }
}

/// A step of `num_envs` environments.
pub fn step(spec: &NavigationSpec, num_envs: f64) -> Work {
    // The state is read and written, the action read, two observations and the scalars written.
    let numbers = 2.0 * spec.state_dim() as f64 + spec.env.action_dim as f64 + 2.0 * spec.env.obs_dim as f64 + SCALARS;
    Work { operations: num_envs * operations_per_step(spec), bytes: num_envs * numbers * FLOAT, calls: 1.0 }
}

/// One policy update on a batch.
///
/// # Errors
/// When the sizes are no network's.
pub fn update(sizes: &[usize], batch: f64, kind: FisherKind) -> Result<Work> {
    let spec = MlpSpec::new(sizes, Activation::Tanh)?;
    let products = Operations::new(&spec, batch as usize, kind).total();
    // Two forward passes: at the policy, and at the candidate for its divergence.
    let activations = 2.0 * TANH * Network::new(sizes).hidden * batch;
    let numbers = sizes[0] as f64 + 2.0 * sizes[sizes.len() - 1] as f64 + 3.0;
    Ok(Work { operations: products + activations, bytes: batch * numbers * FLOAT, calls: 1.0 })
}

/// A phase of one training iteration.
///
/// # Errors
/// When the configured sizes are no network's.
pub fn phase(phase: Phase, config: &TrainConfig, spec: &NavigationSpec) -> Result<Work> {
    let (samples, steps) = (config.batch_size() as f64, config.rollout_steps as f64);
    let (obs, actions) = (spec.env.obs_dim as f64, spec.env.action_dim as f64);
    let policy_sizes = [&[spec.env.obs_dim][..], &config.policy.hidden, &[spec.env.action_dim]].concat();
    let policy = Network::new(&policy_sizes);
    let critic = Network::new(&[&[spec.env.obs_dim][..], &config.critic.hidden, &[1]].concat());
    let (epochs, actor_epochs) = (config.critic.epochs as f64, config.section::<KfcpoConfig>().epochs as f64);
    let record = obs + 2.0 * actions + SCALARS;
    // Operations and numbers of one sample, and calls.
    let (operations, numbers, calls) = match phase {
        Phase::Normalize => (NORMALIZE * obs, 2.0 * obs, steps),
        Phase::Act => (policy.forward() + SAMPLE * actions, policy.inputs + 2.0 * actions + 1.0, steps),
        Phase::Step => {
            let one = step(spec, 1.0);
            (one.operations, one.bytes / FLOAT, steps)
        }
        Phase::Rollout => {
            let one = step(spec, 1.0);
            let operations = NORMALIZE * obs + policy.forward() + SAMPLE * actions + one.operations;
            (operations, one.bytes / FLOAT + obs + 2.0 * actions + 1.0, 1.0)
        }
        Phase::Deployed => {
            // Of the samples as many as there are environments for it.
            let one = step(spec, 1.0);
            let share = config.deployed.measured_envs(config.num_envs) as f64 / config.num_envs as f64;
            let operations = NORMALIZE * obs / 2.0 + policy.forward() + one.operations;
            (share * operations, share * (one.bytes / FLOAT + 2.0 * obs + actions), steps)
        }
        Phase::Assemble => (2.0, 2.0 * record, 1.0),
        Phase::Values => (2.0 * critic.forward(), obs + 2.0, 1.0),
        Phase::Advantages => (2.0 * ADVANTAGE, 2.0 * 6.0, 1.0),
        // Counted for no other algorithm.
        Phase::Actor if config.algo != TrainConfig::default().algo => (0.0, 0.0, 1.0),
        // The divergence of the whole epoch comes on top.
        Phase::Actor => {
            let all = update(&policy_sizes, samples, FisherKind::Exact)?;
            let one = all.operations / samples + policy.forward();
            (actor_epochs * one, actor_epochs * all.bytes / samples / FLOAT, actor_epochs)
        }
        // Samples are put into a new order each epoch (read, written), then read by both networks.
        Phase::Critics => {
            let gradient = critic.forward() + critic.backward(1.0);
            (2.0 * epochs * gradient, epochs * 3.0 * (obs + 2.0), epochs)
        }
    };
    Ok(Work { operations: samples * operations, bytes: samples * numbers * FLOAT, calls })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn operations_of_a_critic_with_one_hidden_unit_by_hand() {
        // Weights (1 + 1) + (1 + 1), one of them above the first layer without its bias.
        let network = Network::new(&[1, 1, 1]);
        assert_eq!((network.weights, network.upper, network.hidden), (4.0, 1.0, 1.0));
        assert_eq!(network.forward(), 8.0 + TANH);
        assert_eq!(network.backward(1.0), 2.0 + 2.0 + 8.0);
    }
}
