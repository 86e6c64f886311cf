//! Chooses the device. The only file that names backends.
//!
//! Never `Device::default()`: it takes the first backend compiled in, present or not, and panics at the first
//! operation where there is none. A GPU counts as present when it has computed something ([`select_device`]).

pub mod launches;
mod trial;

#[cfg(feature = "kernel-cache")]
mod kernel_cache;

use std::fmt;
use std::str::FromStr;

use anyhow::{Result, bail};
use burn::tensor::Device;

/// What `--device` asks for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum DeviceChoice {
    /// The best GPU compiled in and present, else the CPU.
    #[default]
    Auto,
    /// burn's flex backend.
    Cpu,
    /// Any adapter wgpu finds.
    Wgpu,
    /// wgpu pinned to Vulkan.
    Vulkan,
    /// The CUDA device of this index; without one the first, or each process of a machine its own.
    Cuda(Option<usize>),
}

impl FromStr for DeviceChoice {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        match text {
            "auto" => Ok(Self::Auto),
            "cpu" => Ok(Self::Cpu),
            "wgpu" => Ok(Self::Wgpu),
            "vulkan" => Ok(Self::Vulkan),
            "cuda" => Ok(Self::Cuda(None)),
            _ => (text.strip_prefix("cuda:").and_then(|index| index.parse().ok()))
                .map(|index| Self::Cuda(Some(index)))
                .ok_or_else(|| "expected auto, cpu, wgpu, vulkan, cuda or cuda:N".to_owned()),
        }
    }
}

impl fmt::Display for DeviceChoice {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Auto => f.write_str("auto"),
            Self::Cpu => f.write_str("cpu"),
            Self::Wgpu => f.write_str("wgpu"),
            Self::Vulkan => f.write_str("vulkan"),
            Self::Cuda(None) => f.write_str("cuda"),
            Self::Cuda(Some(index)) => write!(f, "cuda:{index}"),
        }
    }
}

/// A device that is there.
#[derive(Debug, Clone)]
pub struct SelectedDevice {
    /// The device, without autodiff.
    pub device: Device,
    /// Which one it is; never [`DeviceChoice::Auto`] or CUDA without an index.
    pub choice: DeviceChoice,
    /// Why [`DeviceChoice::Auto`] passed over a GPU that is there and does not work; nothing where there is no GPU.
    pub warning: Option<String>,
}

impl SelectedDevice {
    /// Name for reports: `cpu`, `wgpu`, `vulkan`, `cuda:0`.
    pub fn name(&self) -> String {
        self.choice.to_string()
    }

    /// Bytes of a GPU's own memory, where its driver tells; none for the CPU.
    pub fn card_memory(&self) -> Option<f64> {
        #[cfg(feature = "gpu")]
        {
            let number = burn::tensor::Tensor::<1>::zeros([1], &self.device);
            let bytes = compute::gpu::total_memory(&compute::gpu::primitive(&number)?)?;
            Some(bytes as f64)
        }
        #[cfg(not(feature = "gpu"))]
        None
    }
}

/// Finds the chosen device without touching the others, and has a GPU compute something first.
///
/// # Errors
///
/// When it is not compiled in (naming the cargo feature), not present (naming the driver) or does not work (in the
/// driver's words).
pub fn select_device(choice: DeviceChoice) -> Result<SelectedDevice> {
    #[cfg(feature = "kernel-cache")]
    kernel_cache::keep_kernels();
    let device = match choice {
        DeviceChoice::Auto => return select_best(),
        DeviceChoice::Cpu => cpu()?,
        DeviceChoice::Wgpu => wgpu()?,
        DeviceChoice::Vulkan => vulkan()?,
        DeviceChoice::Cuda(index) => return cuda(index),
    };
    Ok(SelectedDevice { device, choice, warning: None })
}

/// Waits until everything queued on the device is done; timings need it.
///
/// # Errors
///
/// When the device failed.
pub fn synchronize(device: &Device) -> Result<()> {
    device.sync().map_err(|error| anyhow::anyhow!("the device failed: {error:?}"))
}

/// Most steps of a rollout in one launch on `device`.
///
/// All of them on a GPU. Software renderers stop a program whose loops have made 65,535 rounds, so that they get one step.
pub fn steps_per_launch(device: &Device) -> usize {
    if is_software(device) { 1 } else { usize::MAX }
}

/// Whether a wgpu device can only be a software renderer: no other adapter is there.
#[cfg(feature = "wgpu")]
pub(crate) fn is_software(device: &Device) -> bool {
    format!("{device:?}").contains("Wgpu") && !has_gpu_adapter()
}

#[cfg(not(feature = "wgpu"))]
pub(crate) fn is_software(_device: &Device) -> bool {
    false
}

/// The same device with every operation taken as one of burn's instead of by a kernel: tensors for automatic
/// differentiation have no kernels of ours.
pub(crate) fn by_tensor_operations(device: &Device) -> Device {
    device.clone().autodiff()
}

/// Bytes that a GPU has set aside for tensors; none for the CPU.
pub(crate) fn memory_used(device: &Device) -> Option<f64> {
    #[cfg(feature = "gpu")]
    {
        let number = burn::tensor::Tensor::<1>::zeros([1], device);
        Some(compute::gpu::memory_reserved(&compute::gpu::primitive(&number)?) as f64)
    }
    #[cfg(not(feature = "gpu"))]
    {
        let _ = device;
        None
    }
}

fn select_best() -> Result<SelectedDevice> {
    let candidates = [
        (cfg!(feature = "cuda"), DeviceChoice::Cuda(None)),
        (cfg!(feature = "vulkan") && has_gpu_adapter(), DeviceChoice::Vulkan),
        (cfg!(feature = "wgpu") && has_gpu_adapter(), DeviceChoice::Wgpu),
    ];
    let mut warning = None;
    for (possible, choice) in candidates {
        match if possible { select_device(choice) } else { continue } {
            Ok(selected) => return Ok(SelectedDevice { warning, ..selected }),
            Err(error) if error.is::<trial::Failed>() => warning = warning.or(Some(error.to_string())),
            Err(_) => (),
        }
    }
    Ok(SelectedDevice { warning, ..select_device(DeviceChoice::Cpu)? })
}

#[cfg(feature = "flex")]
pub(crate) fn cpu() -> Result<Device> {
    Ok(Device::flex())
}

#[cfg(not(feature = "flex"))]
pub(crate) fn cpu() -> Result<Device> {
    bail!("the CPU backend is not compiled in: build with --features flex");
}

/// Whether wgpu finds a GPU. A software renderer is no reason to leave the CPU backend, which is faster.
#[cfg(feature = "wgpu")]
fn has_gpu_adapter() -> bool {
    use burn::tensor::DeviceType;
    let adapters = Device::enumerate(DeviceType::Wgpu);
    adapters.into_iter().any(|adapter| !format!("{adapter:?}").contains("Cpu"))
}

#[cfg(not(feature = "wgpu"))]
fn has_gpu_adapter() -> bool {
    false
}

/// With the feature `vulkan` every Vulkan adapter gets SPIR-V from CubeCL. Version 0.11.3 declares shared memory wrongly for
/// drivers without `VK_KHR_workgroup_memory_explicit_layout` (its `lower_shared_implicit` swaps two types), and Mesa's
/// software renderer, which is one, then ends the program. Without the feature it gets WGSL, which works.
#[cfg(feature = "wgpu")]
fn refuse_unsound_spirv(name: &str) -> Result<()> {
    if cfg!(feature = "vulkan") && !has_gpu_adapter() {
        bail!(
            "{name} is a software renderer, for which CubeCL's SPIR-V is not valid: build with --features wgpu and without \
             vulkan, or use --device cpu"
        );
    }
    Ok(())
}

#[cfg(feature = "wgpu")]
fn wgpu() -> Result<Device> {
    use burn::tensor::{DeviceKind, DeviceType};
    if Device::enumerate(DeviceType::Wgpu).is_empty() {
        bail!("wgpu finds no adapter: install a Vulkan, Metal or DirectX 12 driver, or use --device cpu");
    }
    refuse_unsound_spirv("wgpu's adapter")?;
    let device = Device::wgpu(DeviceKind::DefaultDevice);
    trial::compute(&device, "wgpu's adapter")?;
    Ok(device)
}

#[cfg(not(feature = "wgpu"))]
fn wgpu() -> Result<Device> {
    bail!("wgpu is not compiled in: build with --features wgpu, or use --device cpu");
}

#[cfg(feature = "vulkan")]
fn vulkan() -> Result<Device> {
    use burn::tensor::{DeviceKind, DeviceType};
    if Device::enumerate(DeviceType::Vulkan).is_empty() {
        bail!("Vulkan finds no adapter: install a Vulkan driver, or use --device cpu");
    }
    refuse_unsound_spirv("the Vulkan adapter")?;
    let device = Device::vulkan(DeviceKind::DefaultDevice);
    trial::compute(&device, "the Vulkan adapter")?;
    Ok(device)
}

#[cfg(not(feature = "vulkan"))]
fn vulkan() -> Result<Device> {
    bail!("Vulkan is not compiled in: build with --features vulkan, or use --device cpu");
}

#[cfg(feature = "cuda")]
fn cuda(index: Option<usize>) -> Result<SelectedDevice> {
    use burn::tensor::DeviceType;
    let present = Device::enumerate(DeviceType::Cuda).len();
    if present == 0 {
        bail!("no CUDA device: the NVIDIA driver (libcuda) is missing or sees no GPU; use --device cpu");
    }
    let index = index.unwrap_or_else(|| crate::comm::launch::local_rank().unwrap_or(0) % present);
    if index >= present {
        bail!("cuda:{index} does not exist: the driver sees {present} device(s), counted from 0");
    }
    let device = Device::cuda(index);
    trial::compute(&device, &format!("cuda:{index}"))?;
    Ok(SelectedDevice { device, choice: DeviceChoice::Cuda(Some(index)), warning: None })
}

#[cfg(not(feature = "cuda"))]
fn cuda(_index: Option<usize>) -> Result<SelectedDevice> {
    bail!("CUDA is not compiled in: build with --features cuda, or use --device cpu");
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_make_the_round_trip() {
        for name in ["auto", "cpu", "wgpu", "vulkan", "cuda", "cuda:0", "cuda:3"] {
            assert_eq!(name.parse::<DeviceChoice>().unwrap().to_string(), name);
        }
        for wrong in ["", "CPU", "cuda:", "cuda:x", "gpu"] {
            assert!(wrong.parse::<DeviceChoice>().is_err(), "{wrong}");
        }
    }

    #[cfg(not(feature = "cuda"))]
    #[test]
    fn a_backend_left_out_names_its_feature() {
        let error = select_device(DeviceChoice::Cuda(None)).unwrap_err().to_string();
        assert!(error.contains("--features cuda"), "{error}");
    }

    #[cfg(feature = "flex")]
    #[test]
    fn auto_finds_something_that_computes() {
        let selected = select_device(DeviceChoice::Auto).unwrap();
        assert_ne!(selected.choice, DeviceChoice::Auto);
        let sum = burn::tensor::Tensor::<1>::from_floats([1.0, 2.0], &selected.device).sum();
        assert_eq!(sum.into_scalar::<f32>(), 3.0);
        synchronize(&selected.device).unwrap();
        assert!(selected.choice != DeviceChoice::Cpu || selected.card_memory().is_none());
    }
}
