//! Steps many environments at once: `cargo run -p envs --example step_environments`.

use burn::tensor::{Device, Tensor};
use envs::{Navigation, VecEnv, find};

/// A thousand steps of 64 Cars that drive straight on, most of them into something.
///
/// # Errors
/// When an environment does not exist or cannot be read.
pub fn main() -> Result<(), Box<dyn std::error::Error>> {
    let device = Device::flex();
    let mut env = Navigation::new(find("CarGoal2")?, 64, 0, &device)?;
    println!("{}: {} observations, {} actions", env.spec().id, env.spec().obs_dim, env.spec().action_dim);
    let mut obs = env.reset(false);
    let action = Tensor::full([64, env.spec().action_dim], 0.02, &device);
    let (mut reward, mut cost) = (Tensor::zeros([64], &device), Tensor::zeros([1, 64], &device));
    for _ in 0..1000 {
        let step = env.step(action.clone());
        // A policy would act on `obs` next. Episodes that ended have begun anew in it; `final_obs` is what they led to.
        obs = step.obs;
        reward = reward + step.reward;
        cost = cost + step.costs;
    }
    // Nothing left the device until now.
    let mean = |x: Tensor<1>| x.mean().into_scalar::<f32>();
    println!("after {:?}: return {:.2}, cost {:.1}", obs.dims(), mean(reward), mean(cost.reshape([64])));
    Ok(())
}
