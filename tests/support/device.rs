//! The device of the tests that mean any device: `KFCPO_TEST_DEVICE` = cpu (without it), wgpu, vulkan or cuda, which
//! must be compiled in: `KFCPO_TEST_DEVICE=vulkan cargo test --release --workspace --features trainer/vulkan`.
#![allow(dead_code)] // each crate uses a part

use burn::tensor::Device;

/// The device under test.
pub fn test_device() -> Device {
    let name = std::env::var("KFCPO_TEST_DEVICE").unwrap_or_else(|_| "cpu".to_owned());
    match name.as_str() {
        "cpu" => Device::flex(),
        #[cfg(feature = "wgpu")]
        "wgpu" => Device::wgpu(burn::tensor::DeviceKind::DefaultDevice),
        #[cfg(feature = "vulkan")]
        "vulkan" => Device::vulkan(burn::tensor::DeviceKind::DefaultDevice),
        #[cfg(feature = "cuda")]
        "cuda" => Device::cuda(0),
        _ => panic!("KFCPO_TEST_DEVICE={name} is not compiled in: build with --features trainer/{name}"),
    }
}

/// Whether that is the CPU.
pub fn on_cpu() -> bool {
    test_device() == Device::flex()
}

/// A device on which every operation takes the plain path of tensor operations: a GPU does anyway, and on the CPU
/// tensors for automatic differentiation do.
pub fn plain_device() -> Device {
    if on_cpu() { Device::flex().autodiff() } else { test_device() }
}
