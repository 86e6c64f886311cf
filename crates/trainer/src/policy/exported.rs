//! A trained policy on the host: what is evaluated, exported and compared.

use crate::atomic_file::write_output;
use crate::config::{Actions, TrainConfig};
use crate::container;
use crate::policy::Policy;
use anyhow::{Context, Result, bail, ensure};
use burn::tensor::{Device, Tensor, TensorData};
use compute::HostTensor;
use kfac::{Activation, MlpSpec};
use safe_rl::{Normalizer, NormalizerConfig};
use std::collections::BTreeMap;
use std::path::Path;

/// Value of the metadata entry `format` of an exported policy: another layout of the arrays gets another name.
pub const FORMAT: &str = "kfcpo-policy-1";
/// Value of the metadata entry `format_version`. Its second number grows with entries that a reader may pass over: 1.0 had
/// neither `deployed_actions` nor the bounds of actions, 1.1 had no `obs_count`.
pub const FORMAT_VERSION: &str = "1.2";
/// Observations that statistics without a count are taken for: enough that a rollout does not sweep them away.
const UNCOUNTED: f64 = 1e6;
/// Bounds of every action.
pub const ACTION_BOUNDS: [f32; 2] = [-1.0, 1.0];

/// A Gaussian MLP policy with its observation normaliser, in host memory.
#[derive(Clone, Debug, PartialEq)]
pub struct PolicySnapshot {
    /// Environment id the policy was trained on.
    pub env: String,
    /// Hidden activation.
    pub activation: Activation,
    /// Layer widths, `[obs_dim, hidden.., act_dim]`.
    pub sizes: Vec<usize>,
    /// Flat parameters: per layer a row-major `[in + 1, out]` block whose last row is the bias.
    pub theta: Vec<f32>,
    /// Log standard deviation, `[act_dim]`.
    pub log_std: Vec<f32>,
    /// Mean of the observations, `[obs_dim]`.
    pub obs_mean: Vec<f32>,
    /// Standard deviation of the observations, `[obs_dim]`, before the floor.
    pub obs_std: Vec<f32>,
    /// Bound on a normalised observation.
    pub obs_clip: f32,
    /// Observations that mean and standard deviation are of.
    pub obs_count: f64,
    /// Smallest standard deviation divided by.
    pub std_floor: f32,
    /// The actions that it is meant to take.
    pub deployed_actions: Actions,
}

impl PolicySnapshot {
    /// Copies a policy and its normaliser from the device.
    ///
    /// # Errors
    /// When the device cannot be read.
    pub fn capture(config: &TrainConfig, policy: &Policy, normalizer: &Normalizer) -> Result<Self> {
        let mut theta = host(policy.params())?;
        let log_std = theta.split_off(policy.spec().num_params());
        Ok(Self {
            env: config.env.id().to_owned(),
            activation: config.policy.activation,
            sizes: policy.spec().sizes().to_vec(),
            theta,
            log_std,
            obs_mean: host(&normalizer.mean())?,
            obs_std: host(&normalizer.std())?,
            obs_count: normalizer.count(),
            obs_clip: config.normalizer.clip as f32,
            std_floor: config.normalizer.std_floor as f32,
            deployed_actions: config.deployed.actions,
        })
    }

    /// The same with these parameters `[P + A]`; none where there are not as many.
    pub fn with_params(&self, params: &[f32]) -> Option<Self> {
        let (theta, log_std) = params.split_at_checked(self.theta.len())?;
        let same = log_std.len() == self.log_std.len();
        same.then(|| Self { theta: theta.to_vec(), log_std: log_std.to_vec(), ..self.clone() })
    }

    /// The policy on a device.
    ///
    /// # Errors
    /// When sizes and parameters do not fit together.
    pub fn policy(&self, device: &Device) -> Result<Policy> {
        let spec = MlpSpec::new(self.sizes.clone(), self.activation)?;
        Policy::from_params(spec, upload(&[self.theta.as_slice(), &self.log_std].concat(), device))
    }

    /// The frozen normaliser on a device.
    ///
    /// # Errors
    /// When clip or floor is not positive.
    pub fn normalizer(&self, device: &Device) -> Result<Normalizer> {
        let config = NormalizerConfig { clip: self.obs_clip.into(), std_floor: self.std_floor.into() };
        Ok(Normalizer::frozen(upload(&self.obs_mean, device), upload(&self.obs_std, device), config)?)
    }

    /// Whether every number of it is.
    pub fn is_finite(&self) -> bool {
        let parts = [&self.theta, &self.log_std, &self.obs_mean, &self.obs_std];
        parts.into_iter().flatten().all(|value| value.is_finite())
    }

    /// Writes the policy as safetensors: `obs_mean`, `obs_std`, `layers.i.weight` `[out, in]`, `layers.i.bias`,
    /// `log_std`, and the metadata a reader needs to rebuild it. The file appears whole or not at all.
    ///
    /// # Errors
    /// When the file cannot be written.
    pub fn write_safetensors(&self, path: &Path) -> Result<()> {
        let mut arrays = BTreeMap::new();
        let mut put = |name: String, shape: Vec<usize>, values: Vec<f32>| -> Result<()> {
            arrays.insert(name, HostTensor::new(shape, values)?);
            Ok(())
        };
        for (name, values) in [("obs_mean", &self.obs_mean), ("obs_std", &self.obs_std), ("log_std", &self.log_std)] {
            put(name.into(), vec![values.len()], values.clone())?;
        }
        let mut offset = 0;
        for (i, pair) in self.sizes.windows(2).enumerate() {
            let (inputs, outputs) = (pair[0], pair[1]);
            let block = &self.theta[offset..offset + (inputs + 1) * outputs];
            let weight = (0..outputs).flat_map(|o| (0..inputs).map(move |k| block[k * outputs + o])).collect();
            put(format!("layers.{i}.weight"), vec![outputs, inputs], weight)?;
            put(format!("layers.{i}.bias"), vec![outputs], block[inputs * outputs..].to_vec())?;
            offset += block.len();
        }
        let metadata = [
            ("format", FORMAT.to_string()),
            ("format_version", FORMAT_VERSION.to_string()),
            ("deployed_actions", self.deployed_actions.to_string()),
            ("action_low", ACTION_BOUNDS[0].to_string()),
            ("action_high", ACTION_BOUNDS[1].to_string()),
            ("env", self.env.clone()),
            ("activation", self.activation.name().to_string()),
            ("obs_clip", self.obs_clip.to_string()),
            ("obs_count", self.obs_count.to_string()),
            ("std_floor", self.std_floor.to_string()),
        ];
        let metadata = metadata.into_iter().map(|(key, value)| (key.to_string(), value)).collect();
        write_output(path, &container::to_bytes(&arrays, &metadata))
    }

    /// Reads a policy that [`Self::write_safetensors`] wrote.
    ///
    /// # Errors
    /// When the file cannot be read, is no such policy, or misses a part (named).
    pub fn read_safetensors(path: &Path) -> Result<Self> {
        let bytes = std::fs::read(path).with_context(|| format!("cannot read {}", path.display()))?;
        Self::parse(&bytes).with_context(|| format!("{} is not an exported policy", path.display()))
    }

    pub(crate) fn parse(bytes: &[u8]) -> Result<Self> {
        let (arrays, metadata) = container::from_bytes(bytes)?;
        let entry = |key: &str| metadata.get(key).with_context(|| format!("metadata entry `{key}` is missing"));
        let format = entry("format")?;
        ensure!(format == FORMAT, "format is `{format}`, this version reads `{FORMAT}`");
        let array = |name: &str| arrays.get(name).with_context(|| format!("array `{name}` is missing"));
        let obs_mean = array("obs_mean")?.values.clone();
        let (mut sizes, mut theta) = (vec![obs_mean.len()], Vec::new());
        while let Some(weight) = arrays.get(&format!("layers.{}.weight", sizes.len() - 1)) {
            let (i, inputs) = (sizes.len() - 1, sizes[sizes.len() - 1]);
            let bias = &array(&format!("layers.{i}.bias"))?.values;
            let expected = [bias.len(), inputs];
            ensure!(weight.shape == expected, "layers.{i}.weight has shape {:?}, not {expected:?}", weight.shape);
            theta.extend((0..inputs).flat_map(|k| (0..bias.len()).map(move |o| weight.values[o * inputs + k])));
            theta.extend(bias);
            sizes.push(bias.len());
        }
        ensure!(sizes.len() > 1, "array `layers.0.weight` is missing");
        let number = |key: &str| -> Result<f32> {
            entry(key)?.parse().with_context(|| format!("metadata entry `{key}` is not a number"))
        };
        Ok(Self {
            env: entry("env")?.clone(),
            activation: match entry("activation")?.as_str() {
                "tanh" => Activation::Tanh,
                "relu" => Activation::Relu,
                other => bail!("activation `{other}` is not tanh or relu"),
            },
            sizes,
            theta,
            log_std: array("log_std")?.values.clone(),
            obs_std: array("obs_std")?.values.clone(),
            obs_mean,
            obs_clip: number("obs_clip")?,
            obs_count: match metadata.get("obs_count") {
                None => UNCOUNTED,
                Some(text) => {
                    let count: f64 = text.parse().context("metadata entry `obs_count` is not a number")?;
                    ensure!((0.0..1e18).contains(&count), "obs_count `{text}` is no number of observations");
                    count
                }
            },
            std_floor: number("std_floor")?,
            deployed_actions: match metadata.get("deployed_actions").map(String::as_str) {
                None | Some("mean") => Actions::Mean,
                Some("sampled") => Actions::Sampled,
                Some(other) => bail!("deployed_actions `{other}` is not mean or sampled"),
            },
        })
    }
}

/// Copies a vector to the host.
///
/// # Errors
/// When the device cannot be read.
pub fn host<const D: usize>(tensor: &Tensor<D>) -> Result<Vec<f32>> {
    Ok(compute::read("a tensor", tensor.clone())?)
}

/// Copies a vector to a device, `[len]`.
pub fn upload(values: &[f32], device: &Device) -> Tensor<1> {
    Tensor::from_data(TensorData::new(values.to_vec(), [values.len()]), device)
}

/// Reads a one-element tensor.
///
/// # Errors
/// When the device cannot be read.
pub fn scalar(tensor: Tensor<1>) -> Result<f64> {
    let value = host(&tensor)?;
    value.first().map(|v| f64::from(*v)).context("an empty tensor has no value")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn policy() -> PolicySnapshot {
        PolicySnapshot {
            env: "SafetyPointGoal1-v0".into(),
            activation: Activation::Tanh,
            sizes: vec![3, 2, 1],
            theta: (0..11).map(|i| i as f32).collect(),
            log_std: vec![-0.5],
            obs_mean: vec![0.0, 1.0, 2.0],
            obs_std: vec![1.0, 0.5, 0.0],
            obs_clip: 5.0,
            obs_count: 20_480.0,
            std_floor: 0.01,
            deployed_actions: Actions::Sampled,
        }
    }

    #[test]
    fn an_exported_policy_reads_back_as_it_was_and_holds_transposed_weights() {
        let dir = tempfile::tempdir().expect("a temporary directory");
        let path = dir.path().join("policy.safetensors");
        policy().write_safetensors(&path).expect("writable");
        assert_eq!(PolicySnapshot::read_safetensors(&path).expect("readable"), policy());
        let (arrays, metadata) = container::from_bytes(&std::fs::read(&path).expect("readable")).expect("safetensors");
        assert_eq!(arrays["layers.0.weight"].shape, [2, 3]);
        assert_eq!(arrays["layers.0.weight"].values, [0.0, 2.0, 4.0, 1.0, 3.0, 5.0]);
        assert_eq!(arrays["layers.0.bias"].values, [6.0, 7.0]);
        assert_eq!((metadata["deployed_actions"].as_str(), metadata["format_version"].as_str()), ("sampled", "1.2"));
        assert_eq!((metadata["action_low"].as_str(), metadata["action_high"].as_str()), ("-1", "1"));
    }

    #[test]
    fn a_file_of_the_first_version_is_meant_to_act_by_its_mean() {
        let dir = tempfile::tempdir().expect("a temporary directory");
        let path = dir.path().join("policy.safetensors");
        policy().write_safetensors(&path).expect("writable");
        let (arrays, mut metadata) =
            container::from_bytes(&std::fs::read(&path).expect("readable")).expect("safetensors");
        metadata.remove("deployed_actions");
        let read = PolicySnapshot::parse(&container::to_bytes(&arrays, &metadata)).expect("a policy");
        assert_eq!(read.deployed_actions, Actions::Mean);
        metadata.insert("deployed_actions".to_owned(), "loud".to_owned());
        assert!(
            PolicySnapshot::parse(&container::to_bytes(&arrays, &metadata)).unwrap_err().to_string().contains("loud")
        );
    }

    #[test]
    fn a_file_that_is_no_policy_is_refused_by_name_and_part() {
        let error = PolicySnapshot::parse(b"not safetensors").unwrap_err();
        assert!(!error.to_string().is_empty());
        let empty = container::to_bytes(&BTreeMap::new(), &BTreeMap::new());
        let error = PolicySnapshot::parse(&empty).unwrap_err();
        assert!(error.to_string().contains("`format`"), "{error}");
    }
}
