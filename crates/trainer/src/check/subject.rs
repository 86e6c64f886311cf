//! The device that is checked, and what it is compared with.

use anyhow::{Context, Result};
use burn::tensor::Device;
use rayon::{ThreadPool, ThreadPoolBuilder};

use crate::device;

/// A device and its reference.
pub struct Subject {
    device: Device,
    name: String,
    reference: Reference,
}

enum Reference {
    /// A GPU is compared with the CPU.
    Cpu(Device),
    /// The CPU is compared with itself: where every operation is one of burn's, and on one thread.
    Itself { operations: Device, one_thread: ThreadPool },
}

impl Subject {
    /// This device, under this name in reports.
    ///
    /// # Errors
    /// When the CPU backend is not compiled in, or no thread can be started.
    pub fn new(device: Device, name: impl Into<String>) -> Result<Self> {
        let cpu = device::cpu()?;
        let reference = if compute::cpu::is_cpu(&device) {
            let one_thread = ThreadPoolBuilder::new().num_threads(1).build().context("cannot start a thread")?;
            Reference::Itself { operations: device::by_tensor_operations(&device), one_thread }
        } else {
            Reference::Cpu(cpu)
        };
        Ok(Self { device, name: name.into(), reference })
    }

    /// The device's name.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// What it is compared with, in words.
    pub fn against(&self) -> &'static str {
        match self.reference {
            Reference::Cpu(_) => "the CPU",
            Reference::Itself { .. } => {
                "itself: kernels with burn's tensor operations, environments and iterations with one thread"
            }
        }
    }

    /// The device.
    pub(super) fn device(&self) -> &Device {
        &self.device
    }

    /// Whether the device is the CPU.
    pub(super) fn is_cpu(&self) -> bool {
        matches!(self.reference, Reference::Itself { .. })
    }

    /// Whether the device can only be a software renderer.
    pub(super) fn is_software(&self) -> bool {
        device::is_software(&self.device)
    }

    /// What an operation gives on the reference.
    pub(super) fn operation<T>(&self, run: impl Fn(&Device) -> Result<T>) -> Result<T> {
        match &self.reference {
            Reference::Cpu(cpu) => run(cpu),
            Reference::Itself { operations, .. } => run(operations),
        }
    }

    /// What an operation gives on the reference and on the device.
    pub(super) fn both<T>(&self, run: impl Fn(&Device) -> Result<T>) -> Result<[T; 2]> {
        Ok([self.operation(&run)?, run(&self.device)?])
    }

    /// What environments or a whole program give on the reference: those need its kernels, so that the CPU is compared with
    /// one thread of itself.
    pub(super) fn reference<T: Send>(&self, run: impl Fn(&Device) -> Result<T> + Sync) -> Result<T> {
        match &self.reference {
            Reference::Cpu(cpu) => run(cpu),
            Reference::Itself { one_thread, .. } => one_thread.install(|| run(&self.device)),
        }
    }
}
