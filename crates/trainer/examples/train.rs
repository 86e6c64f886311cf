//! Trains a policy and looks at how it does: `cargo run -p trainer --example train`.

use burn::tensor::Device;
use envs::Navigation;
use trainer::config::{Actions, TrainConfig};
use trainer::evaluate::evaluate;
use trainer::runner::Runner;

/// A hundred iterations of KFCPO in small networks, a second or two, then ten fresh episodes.
///
/// # Errors
/// When a setting does not hold.
pub fn main() -> anyhow::Result<()> {
    let mut config = TrainConfig { env: "PointCircle1".into(), num_envs: 64, rollout_steps: 32, ..Default::default() };
    config.total_steps = 100 * config.batch_size() as u64;
    (config.policy.hidden, config.critic.hidden) = (vec![32, 32], vec![32, 32]);
    let device = Device::flex();
    let mut runner = Runner::new(config, device.clone())?;
    while !runner.done() {
        let report = runner.iterate()?;
        if report.iteration % 20 == 0 {
            println!(
                "{} steps: return {:.1}, cost {:.1}",
                report.steps, report.sampled.step_return, report.sampled.step_costs[0]
            );
        }
    }
    // A snapshot is the policy with its normaliser, on the host: to be evaluated, exported or compared.
    let policy = runner.snapshot()?;
    let fresh = Navigation::new(envs::find(&policy.env)?, 10, 7, &device)?;
    let episodes = evaluate(&policy, Box::new(fresh), 7, Actions::Mean)?;
    let mean = episodes.iter().map(|episode| episode.ret).sum::<f64>() / episodes.len() as f64;
    println!("{} episodes: return {mean:.1}", episodes.len());
    Ok(())
}
