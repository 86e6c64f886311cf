//! Random damage to everything that is read: whatever bytes stand in a file, the answer is content or an error.
//!
//! Each target runs a few thousand cases with every `cargo test`; a million cases of each, in the same order, take
//! `KFCPO_FUZZ_CASES=1000000 cargo test -p trainer --lib fuzz`. A case that fails names its seed.

use std::panic::{AssertUnwindSafe, catch_unwind};

use burn::tensor::{Device, Tensor};
use compute::HostTensor;
use envs::{Navigation, NavigationSpec, VecEnv};
use serde_json::{Value, json};

use crate::checkpoint::{Checkpoint, Session};
use crate::config::TrainConfig;
use crate::config::load::{Sources, checked, resolve, resolve_resumed};
use crate::container;
use crate::log::csv::parsed_rows;
use crate::outcome::Rank;
use crate::policy::exported::PolicySnapshot;
use crate::policy::saved::saved_policy;
use crate::runner::Runner;

/// Cases of a target unless `KFCPO_FUZZ_CASES` says otherwise.
const CASES: u64 = 1_000;

/// Runs `case` with seeds 0, 1, ...; each must end without a panic.
pub fn fuzz(target: &str, mut case: impl FnMut(&mut Random)) {
    let cases = std::env::var("KFCPO_FUZZ_CASES").ok().and_then(|cases| cases.parse().ok()).unwrap_or(CASES);
    for seed in 0..cases {
        let survived = catch_unwind(AssertUnwindSafe(|| case(&mut Random(seed))));
        assert!(survived.is_ok(), "{target}: case {seed} of {cases} panicked");
    }
}

/// SplitMix64.
pub struct Random(pub u64);

impl Random {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    /// Uniform in `0..n`.
    pub fn below(&mut self, n: usize) -> usize {
        (self.next() % n.max(1) as u64) as usize
    }

    fn of<'a, T>(&mut self, choices: &'a [T]) -> &'a T {
        &choices[self.below(choices.len())]
    }
}

/// `bytes` with one to four kinds of damage: flipped bits, other bytes, cuts, repetitions, insertions, large numbers.
pub fn damaged(bytes: &[u8], random: &mut Random) -> Vec<u8> {
    let mut bytes = bytes.to_vec();
    for _ in 0..=random.below(4) {
        let at = random.below(bytes.len());
        match random.below(8) {
            _ if bytes.is_empty() => bytes.push(random.below(256) as u8),
            0 => bytes[at] ^= 1 << random.below(8),
            1 => bytes[at] = random.below(256) as u8,
            2 => bytes.truncate(at),
            3 => {
                let end = at + random.below(bytes.len() - at);
                bytes.drain(at..end);
            }
            4 => {
                let end = at + random.below((bytes.len() - at).min(64));
                let part = bytes[at..end].to_vec();
                bytes.splice(at..at, part);
            }
            5 => bytes[at] = *random.of(b"\0\n\r\"{}[],:.-+eE0123456789\\/<>\x7f\xff\xfe"),
            6 => {
                let number =
                    random.of(&["1e999", "-1", "18446744073709551615", "99999999999999999999999", "null", "NaN"]);
                bytes.splice(at..at, number.bytes());
            }
            _ => {
                for byte in bytes.iter_mut().skip(at).take(8) {
                    *byte = 0xff;
                }
            }
        }
    }
    bytes
}

/// A value that might stand in a forged file.
fn odd_value(random: &mut Random) -> Value {
    let choices = [
        json!(null),
        json!(true),
        json!(0),
        json!(-1),
        json!(1),
        json!(u64::MAX),
        json!(i64::MIN),
        json!(1u64 << 53),
        json!(1e308),
        json!(-1e-308),
        json!(0.5),
        json!("NaN"),
        json!("inf"),
        json!("-inf"),
        json!(""),
        json!("../../x\u{1b}<!--"),
        json!([]),
        json!([1, -2, 3e9]),
        json!(["a", null]),
        json!({}),
        json!({"a": {"b": 1}}),
    ];
    random.of(&choices).clone()
}

/// Replaces, removes or adds one leaf somewhere in `tree`.
pub fn disturb(tree: &mut Value, random: &mut Random) {
    match tree {
        Value::Object(entries) if !entries.is_empty() && random.below(8) > 0 => {
            let key = entries.keys().nth(random.below(entries.len())).cloned().unwrap_or_default();
            match random.below(12) {
                0 => drop(entries.remove(&key)),
                1 => drop(entries.insert("unknown".to_owned(), odd_value(random))),
                _ => disturb(&mut entries[&key], random),
            }
        }
        Value::Array(items) if !items.is_empty() && random.below(3) > 0 => {
            let at = random.below(items.len());
            disturb(&mut items[at], random);
        }
        leaf => *leaf = odd_value(random),
    }
}

fn tiny() -> TrainConfig {
    let mut config = TrainConfig { num_envs: 4, rollout_steps: 8, ..TrainConfig::default() };
    config.policy.hidden = vec![4];
    config.critic.hidden = vec![4];
    config
}

fn checkpoint() -> Checkpoint {
    let mut runner = Runner::new(tiny(), Device::flex()).expect("a tiny run");
    for _ in 0..2 {
        runner.iterate().expect("an iteration");
    }
    let session =
        Session { wall_s: 1.0, rank: Some(Rank { episodes: true, excess: 0.5, ret: 2.0 }), ..Session::default() };
    Checkpoint { config: tiny(), steps: runner.steps(), session, state: runner.save().expect("a state") }
}

#[test]
fn damaged_checkpoints_are_refused() {
    let good = checkpoint().to_bytes().expect("bytes");
    fuzz("checkpoints", |random| {
        let bytes = damaged(&good, random);
        assert!(bytes == good || Checkpoint::from_bytes(&bytes).is_err());
    });
}

#[test]
fn forged_checkpoints_are_content_or_an_error() {
    let good = checkpoint();
    let device = Device::flex();
    let mut runner = Runner::new(tiny(), device.clone()).expect("a tiny run");
    fuzz("forged checkpoints", |random| {
        let mut forged = good.clone();
        for _ in 0..=random.below(3) {
            let mut scalars = Value::Object(std::mem::take(&mut forged.state.scalars));
            let names: Vec<String> = forged.state.tensors.keys().cloned().collect();
            match random.below(4) {
                0 | 1 => disturb(&mut scalars, random),
                2 => {
                    let name = random.of(&names).clone();
                    let shape: Vec<usize> = (0..random.below(4)).map(|_| random.below(5)).collect();
                    let number = *random.of(&[0.0f32, -1.0, 1e30, 16_777_216.0, f32::NAN, f32::INFINITY]);
                    let values = vec![number; shape.iter().product()];
                    forged.state.tensors.insert(name, HostTensor::new(shape, values).expect("filled"));
                }
                _ => {
                    let name = random.of(&names).clone();
                    let number = *random.of(&[0.0f32, -1.0, 1e30, 16_777_216.0, f32::NAN, f32::INFINITY]);
                    if let Some(tensor) = forged.state.tensors.get_mut(&name) {
                        let at = random.below(tensor.values.len());
                        tensor.values.iter_mut().skip(at).take(3).for_each(|value| *value = number);
                    }
                }
            }
            if let Value::Object(scalars) = scalars {
                forged.state.scalars = scalars;
            }
        }
        let bytes = forged.to_bytes().expect("bytes");
        if let Ok(read) = Checkpoint::from_bytes(&bytes) {
            let _ = saved_policy(&read, &device);
            // All of a run is slow to load; its parts are damaged often enough.
            if random.below(8) == 0 {
                let _ = runner.load(&read.state);
            }
        }
    });
}

#[test]
fn configurations_are_settings_or_an_error() {
    let good = serde_json::to_value(TrainConfig::default()).expect("JSON");
    let keys =
        ["gamma", "policy.hidden", "kfcpo.damping", "env", "algo", "seed", "cost_limit", "checkpoint.keep", "x.y"];
    fuzz("configurations", |random| {
        let mut tree = good.clone();
        for _ in 0..=random.below(3) {
            disturb(&mut tree, random);
        }
        if let Ok(config) = serde_json::from_value::<TrainConfig>(tree.clone()) {
            let _ = checked(config);
        }
        let text = damaged(tree.to_string().as_bytes(), random);
        let _ = serde_json::from_slice::<TrainConfig>(&text).map(checked);
        let set = format!("{}={}", random.of(&keys), odd_value(random));
        let set = String::from_utf8_lossy(&damaged(set.as_bytes(), random)).into_owned();
        let sources = Sources { sets: vec![set], ..Sources::default() };
        if let Ok(config) = resolve(&sources) {
            let _ = resolve_resumed(&config, &sources);
        }
    });
}

/// A level with everything that levels can have.
fn rich_level() -> Value {
    let mut level = serde_json::to_value(envs::find("PointButton2").expect("known")).expect("JSON");
    level["level"]["terminate_at_cost"] = json!(3.0);
    level["level"]["layouts"] = json!([
        {"seed": 3, "number": 7},
        {"agent": [0, 0, 1], "target": 1, "objects": {
            "button": [[1, 1], [-1, 1], [1, -1], [-1, -1, 2]],
            "hazard": vec![[1.5, 0.0]; 8],
            "gremlin": [[0, 1], [0, 1.5], [0, -1], [0, -1.5], [-1.5, 0], [0.7, 0]]
        }}
    ]);
    level
}

#[test]
fn levels_are_environments_that_can_be_stepped_or_an_error() {
    let suite = envs::registry().iter().map(|spec| serde_json::to_value(spec).expect("JSON"));
    let good: Vec<Value> = suite.chain([rich_level()]).collect();
    let device = Device::flex();
    let keys =
        ["hazards.count", "half_extent", "vases", "walls", "agent", "level.groups", "layouts", "continue_goal", "x"];
    fuzz("levels", |random| {
        let mut tree = random.of(&good).clone();
        for _ in 0..=random.below(3) {
            disturb(&mut tree, random);
        }
        if let Ok(spec) = serde_json::from_value::<NavigationSpec>(tree.clone()) {
            let action_dim = spec.env.action_dim;
            let mut env = Navigation::new(spec, 2, random.below(9) as u64, &device).expect("it passed its checks");
            for _ in 0..3 {
                let batch = env.step(Tensor::ones([2, action_dim], &device));
                let sum = batch.obs.sum() + batch.reward.sum() + batch.costs.sum();
                assert!(sum.into_scalar::<f32>().is_finite(), "{tree}");
            }
        }
        let text = damaged(tree.to_string().as_bytes(), random);
        let _ = serde_json::from_slice::<NavigationSpec>(&text);
        let set = format!("env.{}={}", random.of(&keys), odd_value(random));
        let _ = resolve(&Sources { sets: vec![set], ..Sources::default() });
    });
}

#[test]
fn exported_policies_are_content_or_an_error() {
    let dir = tempfile::tempdir().expect("a directory");
    let path = dir.path().join("policy");
    let device = Device::flex();
    saved_policy(&checkpoint(), &device)
        .and_then(|policy| policy.write_safetensors(&path))
        .expect("an exported policy");
    let good = std::fs::read(&path).expect("readable");
    fuzz("exported policies", |random| {
        let bytes = damaged(&good, random);
        let _ = container::from_bytes(&bytes);
        if let Ok(policy) = PolicySnapshot::parse(&bytes) {
            let _ = policy.policy(&device);
            let _ = policy.normalizer(&device);
        }
    });
}

#[test]
fn metrics_are_rows_or_are_passed_over() {
    let good = "iteration,steps,return_mean\n1,100,\n2,200,0.5\n3,300,-1e-3\n".repeat(3);
    fuzz("metrics", |random| {
        let rows = parsed_rows(&damaged(good.as_bytes(), random));
        assert!(rows.windows(2).all(|pair| pair[0] < pair[1]));
    });
}
