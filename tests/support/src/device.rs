//! The devices of tests: the one under test, and the GPU that is compared with the CPU.
//!
//! Tests that mean any device run on `KFCPO_TEST_DEVICE` = cpu (without it), wgpu, vulkan or cuda, which must be compiled
//! in: `KFCPO_TEST_DEVICE=vulkan cargo test --release --workspace --features trainer/vulkan`. Tests that compare a GPU with
//! the CPU take whichever is there, say so where there is none, and fail there with `KFCPO_REQUIRE_GPU=1`.

use std::io::Write;

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

/// The GPU that is compared with the CPU: CUDA's first device, else wgpu's default adapter; the one named by
/// `KFCPO_TEST_DEVICE` where that is a GPU.
///
/// `None` where there is none, which the test's output says whether or not it is captured.
///
/// # Panics
///
/// Where there is none and `KFCPO_REQUIRE_GPU=1`.
pub fn gpu() -> Option<Device> {
    if !on_cpu() {
        return Some(test_device());
    }
    let found = find_gpu();
    if found.is_none() {
        let required = std::env::var("KFCPO_REQUIRE_GPU").is_ok_and(|value| value == "1");
        assert!(!required, "KFCPO_REQUIRE_GPU=1, and there is no GPU adapter");
        skip("no GPU adapter (KFCPO_REQUIRE_GPU=1 makes this a failure)");
    }
    found
}

/// The CPU and the GPU to compare, or `None` as [`gpu`].
pub fn cpu_and_gpu() -> Option<[Device; 2]> {
    gpu().map(|gpu| [Device::flex(), gpu])
}

/// Says that the calling test checks nothing, past the capture of its output.
pub fn skip(reason: &str) {
    let thread = std::thread::current();
    let line = format!("\nSKIPPED {}: {reason}\n", thread.name().unwrap_or("a test"));
    std::io::stderr().write_all(line.as_bytes()).expect("stderr takes a line");
}

fn find_gpu() -> Option<Device> {
    #[cfg(feature = "cuda")]
    if !Device::enumerate(burn::tensor::DeviceType::Cuda).is_empty() {
        return Some(Device::cuda(0));
    }
    #[cfg(feature = "wgpu")]
    if !Device::enumerate(burn::tensor::DeviceType::Wgpu).is_empty() {
        return Some(Device::wgpu(burn::tensor::DeviceKind::DefaultDevice));
    }
    None
}

/// Whether the GPU is a software renderer: wgpu's, on a machine without another adapter.
pub fn gpu_is_software() -> bool {
    #[cfg(feature = "wgpu")]
    if gpu().is_some_and(|gpu| format!("{gpu:?}").contains("Wgpu")) {
        let adapters = Device::enumerate(burn::tensor::DeviceType::Wgpu);
        return adapters.into_iter().all(|adapter| format!("{adapter:?}").contains("Cpu"));
    }
    false
}
