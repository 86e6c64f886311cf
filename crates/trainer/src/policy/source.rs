//! Where a saved policy is: in a run, in a checkpoint of one, or in a file that was exported.

use std::fmt;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, anyhow, bail, ensure};
use burn::tensor::Device;
use crc32c::crc32c;
use serde::{Deserialize, Serialize};

use crate::bounded_read::read_bounded;
use crate::checkpoint::{self, Checkpoint, Selector};
use crate::config::TrainConfig;
use crate::container;
use crate::error::UsageError;
use crate::policy::exported::{self, PolicySnapshot};
use crate::policy::onnx::is_onnx;
use crate::policy::saved::saved_policy;
use crate::run_dir::{RunDir, is_run};

/// What a file of a policy holds.
#[derive(Debug)]
pub enum Content {
    /// The whole state of a run.
    Checkpoint(Box<Checkpoint>),
    /// A policy with its normaliser.
    Exported(Box<PolicySnapshot>),
}

/// A saved policy and where it was found.
#[derive(Debug)]
pub struct PolicySource {
    /// What was named: a run's directory or a file.
    pub path: PathBuf,
    /// The run, where one was named.
    pub run: Option<RunDir>,
    /// Of the file's bytes.
    pub crc32c: u32,
    /// What the file holds.
    pub content: Content,
    /// What the run's directory had to be read around.
    pub warning: Option<String>,
}

impl PolicySource {
    /// Finds the policy that `path` names: a run's directory, where `selector` chooses the checkpoint (the latest unless said), a
    /// checkpoint, `latest` or `best` of a run's `checkpoints`, or an exported file.
    ///
    /// # Errors
    /// [`UsageError`] where there is none of these, and where a checkpoint is chosen of what is no run; otherwise when the file
    /// cannot be read or is damaged.
    pub fn open(path: &Path, selector: Option<Selector>) -> Result<Self> {
        if is_run(path) {
            return Self::of_run(path, selector.unwrap_or(Selector::Latest));
        }
        if !path.is_file() {
            let message = "is no run directory (it has no config.json), no checkpoint and no exported policy";
            bail!(UsageError::new(format!("{} {message}", path.display())));
        }
        if let Some(selector) = selector {
            let message = format!("--checkpoint {selector} chooses one of a run; {} is a file", path.display());
            bail!(UsageError::new(message));
        }
        let file = checkpoint::named_by(path).unwrap_or_else(|| path.to_owned());
        let bytes = read(&file)?;
        let content = content_of(&bytes).with_context(|| file.display().to_string())?;
        Ok(Self { path: path.to_owned(), run: None, crc32c: crc32c(&bytes), content, warning: None })
    }

    fn of_run(path: &Path, selector: Selector) -> Result<Self> {
        let run = RunDir::open(path)?;
        let (checkpoint, warning) = run.checkpoint(selector)?;
        let crc32c = crc32c(&read(&run.checkpoints().path(checkpoint.steps))?);
        let content = Content::Checkpoint(Box::new(checkpoint));
        Ok(Self { path: path.to_owned(), run: Some(run), crc32c, content, warning })
    }

    /// The state of the run that it is of, where it is all there.
    pub fn checkpoint(&self) -> Option<&Checkpoint> {
        match &self.content {
            Content::Checkpoint(checkpoint) => Some(checkpoint),
            Content::Exported(_) => None,
        }
    }

    /// The policy with its normaliser.
    ///
    /// # Errors
    /// When a part of it is missing, or a number of it is not finite.
    pub fn policy(&self, device: &Device) -> Result<PolicySnapshot> {
        match &self.content {
            Content::Checkpoint(checkpoint) => saved_policy(checkpoint, device),
            Content::Exported(policy) => {
                ensure!(policy.is_finite(), "the policy in {} is not finite: it acts at random", self.path.display());
                Ok(PolicySnapshot::clone(policy))
            }
        }
    }
}

impl fmt::Display for PolicySource {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.path.display())?;
        match self.checkpoint() {
            Some(checkpoint) => write!(f, " after {} steps", checkpoint.steps),
            None => Ok(()),
        }
    }
}

fn read(path: &Path) -> Result<Vec<u8>> {
    read_bounded(path, checkpoint::LIMIT).with_context(|| format!("cannot read {}", path.display()))
}

/// What bytes hold, by what they say of themselves.
fn content_of(bytes: &[u8]) -> Result<Content> {
    let format = container::from_bytes(bytes).map(|(_, metadata)| metadata.get("format").cloned());
    match format {
        Ok(Some(format)) if format == checkpoint::FORMAT => {
            Ok(Content::Checkpoint(Box::new(Checkpoint::from_bytes(bytes)?)))
        }
        Ok(Some(format)) if format == exported::FORMAT => {
            Ok(Content::Exported(Box::new(PolicySnapshot::parse(bytes)?)))
        }
        Ok(format) => {
            let format = format.map_or_else(|| "says no `format`".to_owned(), |format| format!("has the format `{format}`"));
            Err(anyhow!(
                "it is a safetensors file, but neither a checkpoint (`{}`) nor an exported policy (`{}`): it {format}",
                checkpoint::FORMAT,
                exported::FORMAT
            ))
        }
        Err(_) if is_onnx(bytes) => Err(UsageError::new(
            "it is an ONNX file, which only acts: name the run that it was exported from, or export that as safetensors",
        )
        .into()),
        Err(error) => Err(error.context("neither a checkpoint nor an exported policy, or a damaged one")),
    }
}

/// What a run begins with instead of a fresh policy; as data a path, to which a run adds which file that was.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(from = "Written")]
pub struct InitFrom {
    /// A run's directory, a checkpoint or an exported policy.
    pub path: PathBuf,
    /// Environment steps of the checkpoint, where it is one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub steps: Option<u64>,
    /// CRC-32C of the file, eight hexadecimal digits.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub crc32c: Option<String>,
}

/// How it may be written.
#[derive(Deserialize)]
#[serde(untagged)]
enum Written {
    Path(PathBuf),
    File(WrittenFile),
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct WrittenFile {
    path: PathBuf,
    steps: Option<u64>,
    crc32c: Option<String>,
}

impl From<Written> for InitFrom {
    fn from(written: Written) -> Self {
        match written {
            Written::Path(path) => Self { path, steps: None, crc32c: None },
            Written::File(WrittenFile { path, steps, crc32c }) => Self { path, steps, crc32c },
        }
    }
}

impl InitFrom {
    /// Reads the policy; where it is known which file that was, it must be the same.
    ///
    /// # Errors
    /// As [`PolicySource::open`], and [`UsageError`] when the file is another than before.
    pub fn open(&self) -> Result<PolicySource> {
        let selector = self.steps.filter(|_| is_run(&self.path)).map(Selector::Step);
        let source = PolicySource::open(&self.path, selector).context("init_from")?;
        let found = format!("{:08x}", source.crc32c);
        if let Some(expected) = self.crc32c.as_ref().filter(|expected| **expected != found) {
            bail!(UsageError::new(format!(
                "init_from: {} is no longer the file that the run began with: its CRC-32C is {found}, it was {expected}",
                self.path.display()
            )));
        }
        Ok(source)
    }
}

/// Reads the policy that a configuration begins with, if it names one, holds it against the networks of the run and adds to
/// the configuration which file it is.
///
/// # Errors
/// As [`InitFrom::open`], and [`UsageError`] with both shapes when the policy does not fit.
pub fn pin_init(config: &mut TrainConfig) -> Result<()> {
    let Some(init) = &mut config.init_from else { return Ok(()) };
    let source = init.open()?;
    init.steps = source.checkpoint().map(|checkpoint| checkpoint.steps);
    init.crc32c = Some(format!("{:08x}", source.crc32c));
    let device = Device::flex();
    let (policy, shape) = (source.policy(&device)?, Shape::configured(config, &device)?);
    Ok(ensure_fits(&source, &Shape::of(&policy), &shape)?)
}

/// Widths and activation of a policy's network.
#[derive(Debug, PartialEq, Eq)]
pub struct Shape {
    sizes: Vec<usize>,
    activation: &'static str,
}

impl Shape {
    /// That of a saved policy.
    pub fn of(policy: &PolicySnapshot) -> Self {
        Self { sizes: policy.sizes.clone(), activation: policy.activation.name() }
    }

    /// That of a policy in use.
    pub fn of_policy(policy: &crate::policy::Policy) -> Self {
        Self { sizes: policy.spec().sizes().to_vec(), activation: policy.spec().activation().name() }
    }

    /// That of the policy that a configuration trains.
    fn configured(config: &TrainConfig, device: &Device) -> Result<Self> {
        let spec = config.env.env_spec()?;
        let protocol = crate::protocol::configured(config, &spec, 1, device)?;
        let obs_dim = spec.obs_dim + protocol.map_or(0, |protocol| protocol.extra_obs());
        let sizes = [&[obs_dim], config.policy.hidden.as_slice(), &[spec.action_dim]].concat();
        Ok(Self { sizes, activation: config.policy.activation.name() })
    }
}

impl fmt::Display for Shape {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let sizes: Vec<String> = self.sizes.iter().map(usize::to_string).collect();
        write!(f, "{} ({})", sizes.join("-"), self.activation)
    }
}

/// Refuses a policy of another shape than the run's.
///
/// # Errors
/// [`UsageError`] with both.
pub fn ensure_fits(source: &PolicySource, theirs: &Shape, own: &Shape) -> Result<(), UsageError> {
    if theirs == own {
        return Ok(());
    }
    let inner = |shape: &Shape| shape.sizes[1..shape.sizes.len() - 1].to_vec();
    let outer = |shape: &Shape| (shape.sizes[0], shape.sizes[shape.sizes.len() - 1]);
    let why = if outer(theirs) == outer(own) {
        let widths: Vec<String> = inner(theirs).iter().map(usize::to_string).collect();
        format!(
            "--set policy.hidden={} and --set policy.activation={} make it fit",
            widths.join(","),
            theirs.activation
        )
    } else {
        "the environments' observations or actions are of other sizes".to_owned()
    };
    Err(UsageError::new(format!("init_from: {source}: its policy has the shape {theirs}, this run's has {own}: {why}")))
}

/// What a run took from another.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Taken {
    /// From where, in words.
    pub from: String,
    /// Whether the critics were taken beside policy and normaliser.
    pub critics: bool,
    /// Whether the algorithm took something: KFCPO its Kronecker factors.
    pub algorithm: bool,
}

impl fmt::Display for Taken {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let more = [(self.critics, ", critics"), (self.algorithm, ", the algorithm's statistics")];
        let more: String = more.into_iter().filter_map(|(taken, name)| taken.then_some(name)).collect();
        let fresh = if self.critics { "" } else { "; the critics are new" };
        write!(f, "from {}: policy, normaliser{more}{fresh}", self.from)
    }
}
