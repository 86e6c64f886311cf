//! Reads an exported policy by `safetensors` alone and acts by it: `read_a_policy FILE.safetensors`, an observation on stdin.

use anyhow::{Context, Result};
use safetensors::SafeTensors;

/// A policy as it is in its file.
pub struct Reader<'a> {
    file: SafeTensors<'a>,
    activation: fn(f32) -> f32,
    clip: f32,
    std_floor: f32,
}

impl<'a> Reader<'a> {
    /// Takes the file's bytes.
    ///
    /// # Errors
    /// When they are no such file.
    pub fn new(bytes: &'a [u8]) -> Result<Self> {
        let (_, header) = SafeTensors::read_metadata(bytes)?;
        let metadata = header.metadata().as_ref().context("a policy has metadata")?;
        anyhow::ensure!(metadata["format"] == "kfcpo-policy-1", "another format: {}", metadata["format"]);
        Ok(Self {
            file: SafeTensors::deserialize(bytes)?,
            activation: if metadata["activation"] == "tanh" { f32::tanh } else { |x| x.max(0.0) },
            clip: metadata["obs_clip"].parse()?,
            std_floor: metadata["std_floor"].parse()?,
        })
    }

    fn array(&self, name: &str) -> Option<Vec<f32>> {
        let words = self.file.tensor(name).ok()?.data().to_vec();
        Some(words.chunks_exact(4).map(|w| f32::from_le_bytes([w[0], w[1], w[2], w[3]])).collect())
    }

    /// The mean action, within its bounds; a sample adds `exp(log_std)` times a normal number before the bounds.
    ///
    /// # Errors
    /// When an array is missing.
    pub fn act(&self, obs: &[f32]) -> Result<Vec<f32>> {
        let (mean, std) = self.array("obs_mean").zip(self.array("obs_std")).context("no normaliser")?;
        let scaled = obs.iter().zip(mean).zip(std).map(|((o, mean), std)| (o - mean) / std.max(self.std_floor));
        let mut x: Vec<f32> = scaled.map(|x| x.clamp(-self.clip, self.clip)).collect();
        let layer = |i: usize| self.array(&format!("layers.{i}.weight")).zip(self.array(&format!("layers.{i}.bias")));
        for (i, (weight, bias)) in (0..).map_while(|i| Some((i, layer(i)?))) {
            let inputs: Vec<f32> = if i == 0 { x } else { x.into_iter().map(self.activation).collect() };
            let row = |o: usize| {
                weight[o * inputs.len()..][..inputs.len()].iter().zip(&inputs).map(|(w, x)| w * x).sum::<f32>()
            };
            x = bias.iter().enumerate().map(|(o, bias)| row(o) + bias).collect();
        }
        Ok(x.into_iter().map(|action| action.clamp(-1.0, 1.0)).collect())
    }
}

/// Acts by the file that is named, once for every line of numbers on stdin.
///
/// # Errors
/// When the file is no exported policy, or a line is no observation.
pub fn main() -> Result<()> {
    let bytes = std::fs::read(std::env::args().nth(1).context("the name of an exported policy")?)?;
    let policy = Reader::new(&bytes)?;
    for line in std::io::stdin().lines() {
        let obs: Vec<f32> = line?.split_whitespace().map(str::parse).collect::<Result<_, _>>()?;
        println!("{:?}", policy.act(&obs)?);
    }
    Ok(())
}
