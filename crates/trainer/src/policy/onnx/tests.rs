//! The model's bytes; what it computes, tests/onnx holds against two runtimes.

use super::*;
use crate::config::TrainConfig;
use crate::runner::Runner;
use burn::tensor::Device;

fn policy() -> PolicySnapshot {
    let mut config = TrainConfig { num_envs: 1, rollout_steps: 1, ..TrainConfig::default() };
    config.policy.hidden = vec![4];
    Runner::new(config, Device::flex()).expect("a configuration").snapshot().expect("readable")
}

#[test]
fn a_model_is_told_from_other_files_and_has_noise_where_it_is_asked_for() {
    let mean = to_bytes(&policy(), Actions::Mean);
    let sampled = to_bytes(&policy(), Actions::Sampled);
    let holds = |bytes: &[u8], text: &str| bytes.windows(text.len()).any(|window| window == text.as_bytes());
    assert!(is_onnx(&mean) && !is_onnx(b"{}\n") && !is_onnx(&[]) && !is_onnx(&[8, 8]));
    assert!(holds(&mean, "obs") && holds(&mean, "actions") && !holds(&mean, "RandomNormalLike"));
    assert!(holds(&sampled, "RandomNormalLike"));
    assert_eq!(mean, to_bytes(&policy(), Actions::Mean));
}
