//! A trained policy on the host: what is evaluated, exported and compared.

use crate::actor::Actor;
use crate::config::{ActivationName, TrainConfig};
use anyhow::{Context, Result, bail, ensure};
use burn::tensor::{Device, Tensor, TensorData};
use kfac::{Activation, Mlp, MlpSpec};
use safe_rl::{Normalizer, NormalizerConfig};
use safetensors::{Dtype, SafeTensors, tensor::TensorView};
use std::collections::HashMap;
use std::path::Path;

/// Value of the metadata entry `format` of an exported policy.
pub const FORMAT: &str = "kfcpo-policy-1";

/// A Gaussian MLP policy with its observation normaliser, in host memory.
#[derive(Clone, Debug, PartialEq)]
pub struct PolicySnapshot {
    /// Environment id the policy was trained on.
    pub env: String,
    /// Hidden activation.
    pub activation: ActivationName,
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
    /// Smallest standard deviation divided by.
    pub std_floor: f32,
}

impl PolicySnapshot {
    /// Copies an actor and its normaliser from the device.
    ///
    /// # Errors
    /// When the device cannot be read.
    pub fn capture(config: &TrainConfig, actor: &Actor, normalizer: &Normalizer) -> Result<Self> {
        Ok(Self {
            env: config.env.clone(),
            activation: config.policy.activation,
            sizes: actor.mean.spec().sizes().to_vec(),
            theta: host(actor.mean.theta())?,
            log_std: host(&actor.log_std)?,
            obs_mean: host(&normalizer.mean())?,
            obs_std: host(&normalizer.std())?,
            obs_clip: config.normalizer.clip as f32,
            std_floor: config.normalizer.std_floor as f32,
        })
    }

    /// The policy network and log sigma on a device.
    ///
    /// # Errors
    /// When sizes and parameters do not fit together.
    pub fn actor(&self, device: &Device) -> Result<Actor> {
        let spec = MlpSpec::new(self.sizes.clone(), activation(self.activation))?;
        let mean = Mlp::from_theta(spec, upload(&self.theta, device))?;
        Ok(Actor { mean, log_std: upload(&self.log_std, device) })
    }

    /// The frozen normaliser on a device.
    ///
    /// # Errors
    /// When clip or floor is not positive.
    pub fn normalizer(&self, device: &Device) -> Result<Normalizer> {
        let config = NormalizerConfig { clip: self.obs_clip, std_floor: self.std_floor };
        Ok(Normalizer::frozen(upload(&self.obs_mean, device), upload(&self.obs_std, device), config)?)
    }

    /// Writes the policy as safetensors: `obs_mean`, `obs_std`, `layers.i.weight` `[out, in]`, `layers.i.bias`,
    /// `log_std`, and the metadata a reader needs to rebuild it.
    ///
    /// # Errors
    /// When the file cannot be written.
    pub fn write_safetensors(&self, path: &Path) -> Result<()> {
        let mut arrays: Vec<(String, Vec<usize>, Vec<f32>)> = vec![
            ("obs_mean".into(), vec![self.obs_mean.len()], self.obs_mean.clone()),
            ("obs_std".into(), vec![self.obs_std.len()], self.obs_std.clone()),
            ("log_std".into(), vec![self.log_std.len()], self.log_std.clone()),
        ];
        let mut offset = 0;
        for (i, pair) in self.sizes.windows(2).enumerate() {
            let (inputs, outputs) = (pair[0], pair[1]);
            let block = &self.theta[offset..offset + (inputs + 1) * outputs];
            let weight = (0..outputs).flat_map(|o| (0..inputs).map(move |k| block[k * outputs + o])).collect();
            arrays.push((format!("layers.{i}.weight"), vec![outputs, inputs], weight));
            arrays.push((format!("layers.{i}.bias"), vec![outputs], block[inputs * outputs..].to_vec()));
            offset += block.len();
        }
        let bytes: Vec<_> = arrays.iter().map(|(_, _, v)| to_bytes(v)).collect();
        let mut views = Vec::with_capacity(arrays.len());
        for ((name, shape, _), data) in arrays.iter().zip(&bytes) {
            views.push((name.as_str(), TensorView::new(Dtype::F32, shape.clone(), data)?));
        }
        let metadata: HashMap<String, String> = [
            ("format", FORMAT.to_string()),
            ("env", self.env.clone()),
            ("activation", self.activation.name().to_string()),
            ("obs_clip", self.obs_clip.to_string()),
            ("std_floor", self.std_floor.to_string()),
        ]
        .into_iter()
        .map(|(k, v)| (k.to_string(), v))
        .collect();
        let file = safetensors::serialize(views, Some(metadata))?;
        std::fs::write(path, file).with_context(|| format!("cannot write {}", path.display()))
    }

    /// Reads a policy that [`Self::write_safetensors`] wrote.
    ///
    /// # Errors
    /// When the file cannot be read, is no such policy, or misses a part (named).
    pub fn read_safetensors(path: &Path) -> Result<Self> {
        let bytes = std::fs::read(path).with_context(|| format!("cannot read {}", path.display()))?;
        Self::parse(&bytes).with_context(|| format!("{} is not an exported policy", path.display()))
    }

    fn parse(bytes: &[u8]) -> Result<Self> {
        let (_, header) = SafeTensors::read_metadata(bytes)?;
        let metadata = header.metadata().clone().unwrap_or_default();
        let entry = |key: &str| metadata.get(key).cloned().with_context(|| format!("metadata entry `{key}` is missing"));
        let format = entry("format")?;
        ensure!(format == FORMAT, "format is `{format}`, this version reads `{FORMAT}`");
        let file = SafeTensors::deserialize(bytes)?;
        let array = |name: &str| -> Result<(Vec<usize>, Vec<f32>)> {
            let view = file.tensor(name).with_context(|| format!("array `{name}` is missing"))?;
            ensure!(view.dtype() == Dtype::F32, "array `{name}` is {:?}, not F32", view.dtype());
            Ok((view.shape().to_vec(), from_bytes(view.data())))
        };
        let obs_mean = array("obs_mean")?.1;
        let (mut sizes, mut theta) = (vec![obs_mean.len()], Vec::new());
        for i in 0.. {
            let Ok((shape, weight)) = array(&format!("layers.{i}.weight")) else { break };
            let bias = array(&format!("layers.{i}.bias"))?.1;
            let inputs = sizes[i];
            ensure!(
                shape == [bias.len(), inputs],
                "layers.{i}.weight has shape {shape:?}, expected [{}, {inputs}]",
                bias.len()
            );
            theta.extend((0..inputs).flat_map(|k| (0..bias.len()).map(move |o| (k, o))).map(|(k, o)| weight[o * inputs + k]));
            theta.extend(&bias);
            sizes.push(bias.len());
        }
        ensure!(sizes.len() > 1, "array `layers.0.weight` is missing");
        let number = |key: &str| -> Result<f32> {
            entry(key)?.parse().with_context(|| format!("metadata entry `{key}` is not a number"))
        };
        Ok(Self {
            env: entry("env")?,
            activation: match entry("activation")?.as_str() {
                "tanh" => ActivationName::Tanh,
                "relu" => ActivationName::Relu,
                other => bail!("activation `{other}` is not tanh or relu"),
            },
            sizes,
            theta,
            log_std: array("log_std")?.1,
            obs_std: array("obs_std")?.1,
            obs_mean,
            obs_clip: number("obs_clip")?,
            std_floor: number("std_floor")?,
        })
    }
}

/// The network crate's activation of a configured name.
pub fn activation(name: ActivationName) -> Activation {
    match name {
        ActivationName::Tanh => Activation::Tanh,
        ActivationName::Relu => Activation::Relu,
    }
}

/// Copies a vector to the host.
///
/// # Errors
/// When the device cannot be read.
pub fn host<const D: usize>(tensor: &Tensor<D>) -> Result<Vec<f32>> {
    let data = tensor.clone().into_data();
    data.try_to_vec::<f32>().map_err(|e| anyhow::anyhow!("cannot read a tensor from the device: {e:?}"))
}

/// Copies a vector to a device, `[len]`.
pub fn upload(values: &[f32], device: &Device) -> Tensor<1> {
    Tensor::from_data(TensorData::new(values.to_vec(), [values.len()]), device)
}

fn to_bytes(values: &[f32]) -> Vec<u8> {
    values.iter().flat_map(|v| v.to_le_bytes()).collect()
}

fn from_bytes(bytes: &[u8]) -> Vec<f32> {
    bytes.chunks_exact(4).map(|b| f32::from_le_bytes([b[0], b[1], b[2], b[3]])).collect()
}

/// Reads a one-element tensor.
///
/// # Errors
/// When the device cannot be read.
pub fn scalar(tensor: Tensor<1>) -> Result<f64> {
    let value = host(&tensor)?;
    value.first().map(|v| f64::from(*v)).context("an empty tensor has no value")
}
