//! `--device` where a driver is missing or no device is to be seen: a message and exit code 1, for `auto` the CPU.
//!
//! Every backend that is compiled in is tried: `cargo test --release -p trainer --features vulkan,cuda --test devices`.

use test_support::program::{Finished, Sandbox, tiny_args};

/// Hides Vulkan's and OpenGL's drivers and NVIDIA's devices from a program; harmless where there are none.
const NO_DEVICES: &[(&str, &str)] = &[
    ("VK_DRIVER_FILES", "/dev/null"),
    ("VK_ICD_FILENAMES", "/dev/null"),
    ("__EGL_VENDOR_LIBRARY_FILENAMES", "/dev/null"),
    ("CUDA_VISIBLE_DEVICES", "-1"),
];

/// Trains a tiny run on `device` where no GPU can be seen.
fn train_without_devices(sandbox: &Sandbox, device: &str) -> Finished {
    let device = format!("--device={device}");
    let args = tiny_args("run", 512, &["--json"]);
    let args: Vec<&str> = args.iter().map(|arg| if arg == "--device=cpu" { device.as_str() } else { arg }).collect();
    sandbox.command(&args).envs(NO_DEVICES.iter().copied()).output().unwrap().into()
}

#[test]
fn auto_takes_the_cpu_where_no_gpu_is() {
    let finished = train_without_devices(&Sandbox::new(), "auto");
    assert_eq!(finished.code, Some(0), "{}", finished.stderr);
    assert_eq!(finished.json()["device"], "cpu");
    assert!(!finished.stderr.contains("panicked"), "{}", finished.stderr);
}

#[cfg(any(feature = "wgpu", feature = "cuda"))]
fn refuses(device: &str, part: &str) {
    let sandbox = Sandbox::new();
    let finished = train_without_devices(&sandbox, device);
    assert_eq!(finished.code, Some(1), "{}", finished.stderr);
    assert!(finished.stderr.starts_with("error: ") && finished.stderr.contains(part), "{}", finished.stderr);
    assert!(finished.stderr.contains("--device cpu"), "{}", finished.stderr);
    for wrong in ["panic", "internal error"] {
        assert!(!finished.stderr.contains(wrong), "{}", finished.stderr);
    }
    assert!(!sandbox.path("run").exists(), "a device that is not there must not leave a run behind");
}

#[cfg(feature = "wgpu")]
#[test]
fn wgpu_without_an_adapter_is_a_message() {
    refuses("wgpu", "wgpu finds no adapter");
}

#[cfg(feature = "vulkan")]
#[test]
fn vulkan_without_an_adapter_is_a_message() {
    refuses("vulkan", "Vulkan finds no adapter");
}

/// Skips itself where there is a GPU, or no adapter at all.
#[cfg(feature = "vulkan")]
#[test]
fn vulkan_on_a_software_renderer_is_a_message() {
    use burn::tensor::{Device, DeviceType};
    let adapters: Vec<String> = Device::enumerate(DeviceType::Vulkan).into_iter().map(|a| format!("{a:?}")).collect();
    if adapters.is_empty() || adapters.iter().any(|adapter| !adapter.contains("Cpu")) {
        eprintln!("not only software renderers: {adapters:?}");
        return;
    }
    let sandbox = Sandbox::new();
    for device in ["vulkan", "wgpu"] {
        let finished: Finished =
            sandbox.command(&["train", "--device", device, "--out", "run"]).output().unwrap().into();
        assert_eq!(finished.code, Some(1), "{}", finished.stderr);
        assert!(finished.stderr.contains("software renderer"), "{}", finished.stderr);
        assert!(!sandbox.path("run").exists(), "a device that is refused must not leave a run behind");
    }
}

#[cfg(feature = "cuda")]
#[test]
fn cuda_without_a_device_is_a_message() {
    refuses("cuda", "no CUDA device");
    refuses("cuda:3", "no CUDA device");
}
