//! A policy as an ONNX model: normaliser, network, noise where it is asked for, and clip in one graph.
//!
//! `obs` `[batch, D]` in, `actions` `[batch, A]` out, float32, the batch of any size; opset 17.

mod protobuf;

use std::path::Path;

use anyhow::Result;
use kfac::Activation;

use self::protobuf::{Kind, Message};
use super::exported::{ACTION_BOUNDS, FORMAT_VERSION, PolicySnapshot};
use crate::atomic_file::write_output;
use crate::config::Actions;

/// Version of the file format: that of ONNX 1.10 to 1.15, whose readers know everything in it.
const IR_VERSION: u64 = 8;
/// Version of the operators.
const OPSET: u64 = 17;
/// What the graph takes.
const INPUT: &str = "obs";
/// What the graph gives.
const OUTPUT: &str = "actions";
/// Name of the size of the batch.
const BATCH: &str = "batch";

/// A graph while it is written: nodes in their order, and the constants they use.
#[derive(Default)]
struct Graph {
    nodes: Vec<Message>,
    constants: Vec<Message>,
}

impl Graph {
    /// A constant of this shape; returns its name.
    fn constant(&mut self, name: &str, shape: &[usize], values: &[f32]) -> String {
        self.constants.push(protobuf::tensor(name, shape, values));
        name.to_owned()
    }

    /// An operation on named values; returns the name of what it gives.
    fn node(&mut self, op: &str, inputs: &[&str], output: &str) -> String {
        self.nodes.push(protobuf::node(op, inputs, output));
        output.to_owned()
    }
}

/// The bytes of a model that acts as the policy does, by its mean or by samples, within the bounds of actions.
pub fn to_bytes(policy: &PolicySnapshot, actions: Actions) -> Vec<u8> {
    let mut graph = Graph::default();
    let (obs_dim, action_dim) = (policy.obs_mean.len(), policy.log_std.len());
    let divisor: Vec<f32> = policy.obs_std.iter().map(|std| std.max(policy.std_floor)).collect();
    let mean = graph.constant("obs_mean", &[obs_dim], &policy.obs_mean);
    let divisor = graph.constant("obs_divisor", &[obs_dim], &divisor);
    let lowest = graph.constant("obs_low", &[], &[-policy.obs_clip]);
    let highest = graph.constant("obs_high", &[], &[policy.obs_clip]);
    let centred = graph.node("Sub", &[INPUT, &mean], "centred_obs");
    let scaled = graph.node("Div", &[&centred, &divisor], "scaled_obs");
    let mut value = graph.node("Clip", &[&scaled, &lowest, &highest], "normalized_obs");

    let (layers, mut offset) = (policy.sizes.len() - 1, 0);
    for (i, pair) in policy.sizes.windows(2).enumerate() {
        let (inputs, outputs) = (pair[0], pair[1]);
        let block = &policy.theta[offset..offset + (inputs + 1) * outputs];
        offset += block.len();
        // As it lies in the parameters, `[in, out]`: a product needs no transposition.
        let weight = graph.constant(&format!("layers.{i}.weight"), &[inputs, outputs], &block[..inputs * outputs]);
        let bias = graph.constant(&format!("layers.{i}.bias"), &[outputs], &block[inputs * outputs..]);
        let is_last = i + 1 == layers;
        let name = if is_last { "mean".to_owned() } else { format!("layers.{i}") };
        value = graph.node("Gemm", &[&value, &weight, &bias], &name);
        if !is_last {
            let op = match policy.activation {
                Activation::Tanh => "Tanh",
                Activation::Relu => "Relu",
            };
            value = graph.node(op, &[&value], &format!("hidden.{i}"));
        }
    }
    if actions == Actions::Sampled {
        let std: Vec<f32> = policy.log_std.iter().map(|log_std| log_std.exp()).collect();
        let std = graph.constant("std", &[action_dim], &std);
        let noise = graph.node("RandomNormalLike", &[&value], "noise");
        let noise = graph.node("Mul", &[&noise, &std], "scaled_noise");
        value = graph.node("Add", &[&value, &noise], "sample");
    }
    let low = graph.constant("action_low", &[], &[ACTION_BOUNDS[0]]);
    let high = graph.constant("action_high", &[], &[ACTION_BOUNDS[1]]);
    graph.node("Clip", &[&value, &low, &high], OUTPUT);

    model(policy, actions, graph, (obs_dim, action_dim)).into_bytes()
}

/// Writes [`to_bytes`] to a file, which appears whole or not at all.
///
/// # Errors
/// When the file cannot be written.
pub fn write(policy: &PolicySnapshot, actions: Actions, path: &Path) -> Result<()> {
    write_output(path, &to_bytes(policy, actions))
}

/// The graph as a model, with what a reader may want to know of the policy. The numbers are those of the fields in
/// `onnx.proto`.
fn model(policy: &PolicySnapshot, actions: Actions, graph: Graph, (obs_dim, action_dim): (usize, usize)) -> Message {
    let body = graph.nodes.into_iter().fold(Message::new(), |body, node| body.message(1, node));
    let body = graph.constants.into_iter().fold(body.text(2, "policy"), |body, constant| body.message(5, constant));
    let body = body.message(11, protobuf::value(INPUT, BATCH, obs_dim));
    let body = body.message(12, protobuf::value(OUTPUT, BATCH, action_dim));
    let model = Message::new().number(1, IR_VERSION).text(2, "kfcpo").text(3, env!("CARGO_PKG_VERSION"));
    let model = model.message(7, body).message(8, Message::new().number(2, OPSET));
    let entries = [
        ("env", policy.env.clone()),
        ("actions", actions.to_string()),
        ("deployed_actions", policy.deployed_actions.to_string()),
        ("policy_version", FORMAT_VERSION.to_owned()),
    ];
    entries.into_iter().fold(model, |model, (key, text)| model.message(14, Message::new().text(1, key).text(2, &text)))
}

/// Whether bytes begin as those of an ONNX model do: the version of the format, then the name of what wrote it.
pub fn is_onnx(bytes: &[u8]) -> bool {
    let varint = |number: u8| number << 3 | Kind::Varint as u8;
    let text = |number: u8| number << 3 | Kind::Bytes as u8;
    bytes.len() > 2 && bytes[0] == varint(1) && (1..=20).contains(&bytes[1]) && bytes[2] == text(2)
}

#[cfg(test)]
mod tests;
