//! Steps environments as often as standard input says, for programs that take turns: [`in_turn.py`](in_turn.py) drives it.
//!
//! `steps_on_demand ENV NUM_ENVS`; each line read is a number of steps, each line written the nanoseconds they took. It uses
//! little of the crate, so that it compiles with old commits too.

use std::io::BufRead;
use std::time::Instant;

use burn::tensor::{Device, Tensor, TensorData};
use envs::{Navigation, VecEnv};

/// Batches of random actions, taken in turn.
const ACTIONS: u64 = 16;

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let args: Vec<String> = std::env::args().skip(1).collect();
    let [env, num_envs] = args.as_slice() else { return Err("usage: steps_on_demand ENV NUM_ENVS".into()) };
    let num_envs: usize = num_envs.parse()?;
    let device = Device::flex();
    let spec = envs::find(env)?;
    let shape = [num_envs, spec.env.action_dim];
    let actions: Vec<Tensor<2>> = (1..=ACTIONS).map(|seed| uniform(seed, shape, &device)).collect();
    let mut env = Navigation::new(spec, num_envs, 1, &device)?;
    env.reset(true);
    let mut next = actions.iter().cycle();
    for line in std::io::stdin().lock().lines() {
        let steps: usize = line?.trim().parse()?;
        let start = Instant::now();
        for action in next.by_ref().take(steps) {
            env.step(action.clone());
        }
        println!("{}", start.elapsed().as_nanos());
    }
    Ok(())
}

/// Numbers between -1 and 1, the same in every program (a shift register, Marsaglia 2003).
fn uniform(seed: u64, shape: [usize; 2], device: &Device) -> Tensor<2> {
    let mut bits = 0x9E37_79B9_7F4A_7C15u64.wrapping_mul(seed);
    let number = |_| {
        bits ^= bits << 13;
        bits ^= bits >> 7;
        bits ^= bits << 17;
        (bits >> 40) as f32 / (1u64 << 23) as f32 - 1.0
    };
    let numbers: Vec<f32> = (0..shape[0] * shape[1]).map(number).collect();
    Tensor::from_data(TensorData::new(numbers, shape), device)
}
