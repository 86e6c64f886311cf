//! Writes an algorithm and trains by it: `cargo run -p trainer --example write_an_algorithm`.

use anyhow::Result;
use burn::tensor::{Device, Tensor};
use safe_rl::Samples;
use trainer::algorithm::{Algorithm, Context, Update};
use trainer::config::TrainConfig;
use trainer::policy::Policy;
use trainer::runner::Runner;

/// Plain gradient ascent on the reward's surrogate, minus that of every constraint whose cost is above its limit.
struct PenalisedAscent {
    step: f32,
    limits: Vec<f64>,
}

impl Algorithm for PenalisedAscent {
    fn update(&mut self, policy: &mut Policy, batch: &Samples, context: &Context) -> Result<Update> {
        let device = policy.device();
        let before = policy.distribution(batch.obs.clone());
        // One row per objective, the reward first: gradients `[S, P + A]`.
        let surrogate = before.surrogate(&batch.action, &batch.log_prob, &batch.advantage, None);
        let gradients = policy.gradients(batch.obs.clone(), surrogate);
        let penalties = context.costs.iter().zip(&self.limits).map(|(cost, limit)| -f32::from(cost.rollout > *limit));
        let weights: Vec<f32> = std::iter::once(1.0).chain(penalties).collect();
        let weights = Tensor::<1>::from_floats(weights.as_slice(), &device).unsqueeze_dim(1);
        let direction = (gradients * weights).sum_dim(0).squeeze_dim(0);
        *policy = policy.step(&direction, &Tensor::from_floats([self.step], &device));
        // Nothing is read from the device here: the loop does it once, for all numbers together.
        let after = policy.distribution(batch.obs.clone());
        let kl = after.mean_kl(&batch.mean, &before.log_std);
        Ok(Update { kl: Some(kl.into()), accepted: Some(1.0.into()), ..Update::default() })
    }
}

/// Twenty iterations by it.
///
/// # Errors
/// When a setting does not hold.
pub fn main() -> Result<()> {
    let mut config = TrainConfig { env: "PointGoal1".into(), num_envs: 64, rollout_steps: 32, ..Default::default() };
    config.total_steps = 20 * config.batch_size() as u64;
    let mut runner = Runner::new(config, Device::flex())?.with_algorithm(|setup| {
        let limits = setup.constraints.iter().map(|constraint| constraint.limit).collect();
        Ok(Box::new(PenalisedAscent { step: 0.05, limits }))
    })?;
    while !runner.done() {
        let report = runner.iterate()?;
        println!(
            "{} steps: return {:.2}, KL {:.1e}",
            report.steps,
            report.sampled.step_return,
            report.update.kl.unwrap_or(0.0)
        );
    }
    Ok(())
}
