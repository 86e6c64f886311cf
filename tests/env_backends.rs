//! A GPU steps the environments as the CPU does: `cargo test --release -p trainer --features wgpu --test env_backends`.
//!
//! Every step starts both from the CPU's state, so that rounding (a GPU fuses multiplications with additions) cannot
//! grow. Without an adapter there is nothing to compare and the test says so. On software Vulkan the first step
//! takes two minutes to compile.

use burn::tensor::{Device, DeviceKind, DeviceType, Tensor};
use envs::{VecEnv, find};

const ENVS: usize = 256;
const STEPS: usize = 100;
/// The accelerometer, whose servo term multiplies a yaw rate's rounding by thousands, is left out.
const AFTER_ACCELEROMETER: usize = 3;
/// Largest difference of a number of an observation; a yaw rate's rounding may grow some thousandfold in a step.
const TOLERANCE: f32 = 1e-2;
/// Share of the numbers that may differ by more than 1e-5.
const ROUGH_SHARE: f64 = 0.01;

fn values<const D: usize>(tensor: Tensor<D>) -> Vec<f32> {
    tensor.into_data().try_to_vec::<f32>().expect("float32")
}

/// Driving forward more often than not, so that vases are struck.
fn actions(step: usize) -> Vec<f32> {
    let mut x = 0x9E37_79B9_7F4A_7C15u64.wrapping_mul(step as u64 + 1);
    let mut next = || {
        x = x.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (x >> 40) as f32 / (1u64 << 23) as f32 - 1.0
    };
    (0..ENVS).flat_map(|_| [(next() + 1.0).min(1.0), next()]).collect()
}

#[test]
fn a_gpu_steps_the_environments_as_the_cpu_does() {
    if Device::enumerate(DeviceType::Wgpu).into_vec().is_empty() {
        eprintln!("no wgpu adapter: nothing compared");
        return;
    }
    let (cpu, gpu) = (Device::flex(), Device::wgpu(DeviceKind::DefaultDevice));
    let spec = find("PointGoal2").expect("a registered id");
    let make = |device| VecEnv::new(spec.clone(), ENVS, 5, device).expect("a supported device");
    let (mut host, mut device) = (make(&cpu), make(&gpu));
    let first = values(host.reset_staggered()).into_iter().zip(values(device.reset_staggered()));
    assert!(first.clone().all(|(a, b)| (a - b).abs() < 1e-5), "first observations");

    let (mut rough, mut compared) = (0usize, 0usize);
    for step in 0..STEPS {
        let state = host.state();
        let shape = state.dims();
        let copy = Tensor::<1>::from_floats(values(state).as_slice(), &gpu).reshape(shape);
        device.set_state(copy).expect("the same environments");
        let action = actions(step);
        let on = |to: &Device| Tensor::<1>::from_floats(action.as_slice(), to).reshape([ENVS, spec.action_dim]);
        let (a, b) = (host.step(on(&cpu)), device.step(on(&gpu)));
        for (row_a, row_b) in values(a.final_obs).chunks(spec.obs_dim).zip(values(b.final_obs).chunks(spec.obs_dim)) {
            for k in AFTER_ACCELEROMETER..spec.obs_dim {
                let error = (row_a[k] - row_b[k]).abs();
                assert!(error < TOLERANCE, "step {step} obs[{k}]: {} {}", row_a[k], row_b[k]);
                rough += usize::from(error > 1e-5);
                compared += 1;
            }
        }
        let scalars = [
            (a.reward, b.reward),
            (a.cost, b.cost),
            (a.terminated, b.terminated),
            (a.truncated, b.truncated),
            (a.episode_return, b.episode_return),
            (a.episode_cost, b.episode_cost),
            (a.episode_length, b.episode_length),
            (a.episode_partial, b.episode_partial),
        ];
        for (i, (a, b)) in scalars.into_iter().enumerate() {
            let pairs = values(a).into_iter().zip(values(b));
            pairs.for_each(|(a, b)| assert!((a - b).abs() < 1e-4, "step {step} scalar {i}: {a} {b}"));
        }
    }
    let share = rough as f64 / compared as f64;
    assert!(share < ROUGH_SHARE, "{share} of {compared} numbers differ by more than 1e-5");
}
