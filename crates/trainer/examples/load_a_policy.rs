//! Loads an exported policy and acts by it: `cargo run -p trainer --example load_a_policy [FILE.safetensors]`.

use std::path::Path;

use anyhow::Result;
use burn::tensor::{Device, Tensor};
use trainer::config::TrainConfig;
use trainer::policy::exported::PolicySnapshot;
use trainer::runner::Runner;

/// Acts once by the policy in a file: the one named on the command line, else a fresh one.
///
/// # Errors
/// When the file holds no policy.
pub fn main() -> Result<()> {
    let dir = tempfile::tempdir()?;
    let path = match std::env::args().nth(1).filter(|name| name.ends_with(".safetensors")) {
        Some(name) => name.into(),
        None => export_a_fresh_policy(dir.path())?,
    };
    let policy = PolicySnapshot::read_safetensors(&path)?;
    let device = Device::flex();
    let (network, normalizer) = (policy.policy(&device)?, policy.normalizer(&device)?);
    // Three observations, `[3, obs_dim]`. The mean action is what `eval` and `record` take; environments clip it.
    let obs = Tensor::<2>::ones([3, policy.sizes[0]], &device);
    let actions = network.forward(normalizer.apply(obs)).clamp(-1.0, 1.0);
    println!("{}: actions {actions}", policy.env);
    Ok(())
}

/// What `trainer export RUN` does.
fn export_a_fresh_policy(dir: &Path) -> Result<std::path::PathBuf> {
    let path = dir.join("policy.safetensors");
    let config = TrainConfig { env: "PointGoal1".into(), num_envs: 1, ..Default::default() };
    Runner::new(config, Device::flex())?.snapshot()?.write_safetensors(&path)?;
    Ok(path)
}
