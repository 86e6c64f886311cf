//! Steps environments under random actions: `random_steps ENV NUM_ENVS STEPS`, for profilers.

use burn::tensor::{Device, Distribution, Tensor};
use envs::{Navigation, VecEnv};

fn main() -> Result<(), Box<dyn std::error::Error>> {
    // `cargo bench` adds flags of its own.
    let args: Vec<String> = std::env::args().skip(1).filter(|argument| !argument.starts_with("--")).collect();
    let [env, num_envs, steps] = args.as_slice() else { return Err("usage: random_steps ENV NUM_ENVS STEPS".into()) };
    let (num_envs, steps): (usize, usize) = (num_envs.parse()?, steps.parse()?);
    let device = Device::flex();
    device.seed(0);
    let spec = envs::find(env)?;
    let shape = [num_envs, spec.env.action_dim];
    let actions: Vec<Tensor<2>> =
        (0..16).map(|_| Tensor::random(shape, Distribution::Uniform(-1.0, 1.0), &device)).collect();
    let mut env = Navigation::new(spec, num_envs, 0, &device)?;
    env.reset(true);
    for step in 0..steps {
        env.step(actions[step % actions.len()].clone());
    }
    Ok(())
}
