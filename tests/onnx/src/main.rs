//! An exported ONNX model in tract against the exported safetensors file of the same policy:
//! `onnx-check POLICY.safetensors MODEL.onnx`, the model exported with `--actions mean`.

use anyhow::{Result, ensure};
use tract_onnx::prelude::*;

#[path = "../../../crates/trainer/examples/read_a_policy.rs"]
#[allow(dead_code)] // its `main` reads arguments and stdin
mod read_a_policy;

/// Largest difference of an action.
const TOLERANCE: f32 = 1e-5;
/// Sizes of the batch, which the model leaves open.
const BATCHES: [usize; 3] = [1, 2, 333];

fn main() -> Result<()> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let [policy, model] = arguments.as_slice() else {
        anyhow::bail!("usage: onnx-check POLICY.safetensors MODEL.onnx")
    };
    let bytes = std::fs::read(policy)?;
    let reader = read_a_policy::Reader::new(&bytes)?;
    let obs_dim = safetensors::SafeTensors::deserialize(&bytes)?.tensor("obs_mean")?.shape()[0];
    let model = tract_onnx::onnx().model_for_path(model)?.into_optimized()?.into_runnable()?;
    let mut largest = 0.0f32;
    for batch in BATCHES {
        // Some far beyond what the normaliser lets through.
        let obs: Vec<f32> = (0..batch * obs_dim).map(|i| 4.0 * ((i * i + 7 * i) as f32 * 0.37).sin()).collect();
        let result = model.run(tvec!(Tensor::from_shape(&[batch, obs_dim], &obs)?.into()))?;
        let actions = result[0].to_array_view::<f32>()?;
        for (row, actions) in obs.chunks_exact(obs_dim).zip(actions.rows()) {
            let expected = reader.act(row)?;
            ensure!(actions.len() == expected.len(), "{} actions, not {}", actions.len(), expected.len());
            largest = actions.iter().zip(expected).fold(largest, |most, (a, b)| most.max((a - b).abs()));
        }
    }
    println!("largest difference {largest:.1e} over batches of {BATCHES:?}");
    ensure!(largest < TOLERANCE, "it is above {TOLERANCE:.0e}");
    Ok(())
}
