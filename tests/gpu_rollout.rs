//! The rollout in one launch against the same rollout step by step, on the device and on the CPU.

use burn::tensor::{Device, Tensor};
use compute::noise::{NoiseKey, Stream};
use envs::{Navigation, VecEnv};
use kfac::Activation;
use safe_rl::{Normalizer, NormalizerConfig, Rollout, RolloutBuilder};
use test_support::device::{cpu_and_gpu, gpu, gpu_is_software, skip};
use test_support::numbers::{Apart, values};
use trainer::config::TrainConfig;
use trainer::deployed::Deployed;
use trainer::policy::rollout::gpu::collect;
use trainer::policy::{Act, Policy};
use trainer::runner::rollout_step;

const ENVS: usize = 96;
const STEPS: usize = 12;

/// Everything a rollout begins with, the same on every device.
struct Start {
    env: Navigation,
    obs: Tensor<2>,
    normalizer: Normalizer,
    policy: Policy,
}

fn start(id: &str, hidden: &[usize], activation: Activation, device: &Device) -> Start {
    let mut config = TrainConfig { env: id.into(), seed: 11, ..TrainConfig::default() };
    config.policy.hidden = hidden.to_vec();
    config.policy.activation = activation;
    config.policy.output_gain = 1.0; // means that differ from state to state
    let spec = envs::find(id).expect("a registered id");
    let (obs_dim, action_dim) = (spec.env.obs_dim, spec.env.action_dim);
    let mut env = Navigation::new(spec, ENVS, config.seed, device).expect("a supported device");
    let obs = env.reset(true);
    end_soon(&mut env);
    let constant = |value: f32| Tensor::full([obs_dim], value, device);
    let normalizer =
        Normalizer::frozen(constant(0.1), constant(0.7), NormalizerConfig::default()).expect("valid constants");
    let policy = Policy::new(&config.policy, obs_dim, action_dim, config.seed, device).expect("a usable shape");
    Start { env, obs, normalizer, policy }
}

/// Puts every third environment a few steps before the end of its episode.
fn end_soon(env: &mut Navigation) {
    let (shape, horizon, device) = (env.fields().dims(), env.spec().max_episode_steps, env.device().clone());
    let [_, fields, lanes] = shape;
    let mut state = values(env.fields());
    for e in (0..env.num_envs()).step_by(3) {
        state[e / lanes * fields * lanes + e % lanes] = (horizon - 1 - e % (STEPS + 4)) as f32;
    }
    let state = Tensor::<1>::from_floats(state.as_slice(), &device).reshape(shape);
    env.set_fields(state).expect("the same environments");
}

fn key(step: usize) -> NoiseKey {
    NoiseKey { seed: 11, stream: Stream::Other(3), step: (1 << 33) + step as u64 }
}

fn stepwise(start: &mut Start) -> Rollout {
    let mut builder = RolloutBuilder::with_capacity(STEPS);
    for step in 0..STEPS {
        let obs = start.normalizer.observe(start.obs.clone());
        let act = start.policy.act(obs.clone(), key(step));
        let batch = start.env.step(act.action.clone());
        start.obs = batch.obs.clone();
        builder.push(rollout_step(obs, act.action, act.mean, act.log_prob, batch)).expect("equal shapes");
    }
    let last = start.normalizer.apply(start.obs.clone());
    builder
        .finish(last, start.policy.log_std().clone(), |obs| start.normalizer.apply(obs))
        .expect("a device that works")
}

fn fused(start: &mut Start, steps_per_launch: usize) -> Rollout {
    let Start { env, obs, normalizer, policy } = start;
    let arrays = collect(env, obs, normalizer, policy, key(0), STEPS, steps_per_launch).expect("a GPU").arrays;
    Rollout::from_arrays(arrays, |obs| start.normalizer.apply(obs)).expect("a device that works")
}

/// Largest difference relative to numbers above 1, and the fraction of numbers further apart than `bound`.
fn apart(a: &[f32], b: &[f32], bound: f32) -> (f32, f64) {
    let apart = Apart::of(a, b, [bound; 2]);
    (apart.worst, apart.fractions()[0])
}

/// Holds two rollouts of one device equal: the same numbers went through the same bodies.
fn assert_equal(a: &Rollout, b: &Rollout) {
    let fields = |r: &Rollout| {
        [
            ("critic inputs", values(r.critic_inputs())),
            ("actions", values(r.action.clone())),
            ("means", values(r.mean.clone())),
            ("log-probabilities", values(r.log_prob.clone())),
            ("rewards and costs", values(r.signals.clone().flatten::<1>(0, 2))),
            ("ends", values(r.done.clone())),
        ]
    };
    assert_eq!(a.truncated_samples(), b.truncated_samples(), "truncations");
    for ((name, a), (_, b)) in fields(a).into_iter().zip(fields(b)) {
        let (worst, far) = apart(&a, &b, 1e-4);
        eprintln!("{name}: worst {worst:.1e}");
        // A product of matrices may add in another order, and a contact fall to the other side for it.
        assert!(far <= 1e-3, "{name}: {far:.1e} of the numbers are further apart than 1e-4");
    }
    assert_eq!(a.finished.len(), b.finished.len(), "finished episodes");
    for (a, b) in a.finished.iter().zip(&b.finished) {
        assert!((a.episode_return - b.episode_return).abs() < 1e-3, "{a:?} {b:?}");
        assert_eq!((a.length, a.partial), (b.length, b.partial));
    }
    assert!((a.mean_step_reward - b.mean_step_reward).abs() < 1e-5, "mean reward");
}

/// Holds what the policy did on the device equal to what it does on the CPU, at the observations of the device.
fn assert_same_policy(rollout: &Rollout, policy: &Policy) {
    let cpu = Device::flex();
    let obs = Tensor::<1>::from_floats(values(rollout.obs.clone()).as_slice(), &cpu).reshape(rollout.obs.dims());
    let acts: Vec<_> = (0..STEPS).map(|t| policy.act(obs.clone().narrow(0, t * ENVS, ENVS), key(t))).collect();
    let of = |get: fn(&Act) -> Vec<f32>| acts.iter().flat_map(get).collect::<Vec<f32>>();
    for (name, host, device) in [
        ("actions", of(|act| values(act.action.clone())), values(rollout.action.clone())),
        ("means", of(|act| values(act.mean.clone())), values(rollout.mean.clone())),
        ("log-probabilities", of(|act| values(act.log_prob.clone())), values(rollout.log_prob.clone())),
    ] {
        let (worst, _) = apart(&host, &device, 1.0);
        eprintln!("{name} on the CPU: worst {worst:.1e}");
        assert!(worst < 2e-5, "{name}: {worst}");
    }
}

/// Holds the course of a rollout near that on the CPU. Rounding grows from step to step: the accelerometer shows the yaw
/// servo's chatter, and the policy acts on it. Hence accounts are compared and not observations; those only of the first
/// step, and `env_backends` step by step.
fn assert_same_course(host: &Rollout, device: &Rollout) {
    assert_eq!(host.truncated_samples(), device.truncated_samples(), "truncations");
    let first = |r: &Rollout| values(r.obs.clone().narrow(0, 0, ENVS));
    let near = |name: &str, a: Vec<f32>, b: Vec<f32>, bound: f32, share: f64| {
        let (worst, far) = apart(&a, &b, bound);
        eprintln!("{name} on the CPU: worst {worst:.1e}, beyond {bound:.0e} {far:.1e}");
        assert!(far <= share, "{name}: {far:.1e} of the numbers are further apart than {bound:.0e}");
    };
    near("first observations", first(host), first(device), 1e-5, 1e-3);
    let signal = |r: &Rollout, s: usize| values(r.signals.clone().narrow(0, s, 1));
    near("rewards", signal(host, 0), signal(device, 0), 1e-2, 1e-2);
    near("costs", signal(host, 1), signal(device, 1), 0.5, 1e-2);
    near("ends", values(host.done.clone()), values(device.done.clone()), 0.5, 0.0);
}

fn compare(id: &str, hidden: &[usize], activation: Activation) {
    let Some([cpu, gpu]) = cpu_and_gpu() else { return };
    let begin = |device: &Device| start(id, hidden, activation, device);
    let (mut a, mut b, mut c) = (begin(&cpu), begin(&gpu), begin(&gpu));
    let host = stepwise(&mut a);
    assert!(host.bootstraps() > ENVS / 6, "{id}: {} episodes ended", host.bootstraps());
    let single = fused(&mut b, 1);
    let plain = stepwise(&mut c);
    assert_equal(&plain, &single);
    assert_same_policy(&single, &a.policy);
    assert_same_course(&host, &single);
    let [_, one, other] = [&a, &b, &c].map(|start| values(start.obs.clone()));
    assert!(apart(&one, &other, 1e-3).1 <= 1e-3, "next observations");
    for start in [&mut b, &mut c] {
        start.normalizer.commit();
    }
    let moments = [&b, &c].map(|s| [values(s.normalizer.mean()), values(s.normalizer.std())].concat());
    let (worst, _) = apart(&moments[1], &moments[0], 1.0);
    eprintln!("moments of the observations: worst {worst:.1e}");
    assert!(worst < 1e-4, "moments of the observations differ by {worst}");
}

#[test]
fn point_goal() {
    compare("PointGoal1", &[64, 64], Activation::Tanh);
}

#[test]
fn odd_widths_and_relu() {
    compare("PointCircle0", &[13, 40, 7], Activation::Relu);
}

#[test]
fn car_on_the_bare_floor() {
    if gpu_is_software() {
        skip("software Vulkan takes ten minutes and more to compile the Car");
        return;
    }
    compare("CarGoal0", &[24], Activation::Tanh);
}

/// The deployed policy is measured in one launch as it is on the CPU step by step, by its means.
#[test]
fn means_are_measured() {
    let Some([cpu, gpu]) = cpu_and_gpu() else { return };
    let measured = |device: &Device| {
        let Start { env, normalizer, policy, .. } = start("PointGoal1", &[64, 64], Activation::Tanh, device);
        let mut deployed = Deployed::new(Box::new(env), 0.9, 3);
        deployed.measure(&policy, &normalizer, STEPS).expect("a device that works");
        let report = deployed.report();
        (report.figures.step_return, report.figures.step_costs[0], report.steps)
    };
    let ((host_return, host_cost, host_steps), (gpu_return, gpu_cost, gpu_steps)) = (measured(&cpu), measured(&gpu));
    eprintln!("return {host_return} {gpu_return}, cost {host_cost} {gpu_cost}");
    assert_eq!((host_steps, gpu_steps), ((STEPS * ENVS) as u64, (STEPS * ENVS) as u64));
    // Means of 1,152 steps, times 1,000: a tenth is a reward's rounding, 2 are two contacts that fall to the other side.
    assert!((host_return - gpu_return).abs() < 0.1, "{host_return} {gpu_return}");
    assert!((host_cost - gpu_cost).abs() < 2.0, "{host_cost} {gpu_cost}");
}

/// Several steps a launch give the same bits as one: software Vulkan ends long loops, so the rollout is short.
#[test]
fn steps_of_a_launch_do_not_matter() {
    let Some(gpu) = gpu() else { return };
    let run = |steps_per_launch| {
        let mut start = start("PointCircle0", &[8], Activation::Tanh, &gpu);
        let rollout = fused(&mut start, steps_per_launch);
        (values(rollout.critic_inputs()), values(rollout.action), values(rollout.signals), values(start.env.fields()))
    };
    let single = run(1);
    assert!(single == run(5) && single == run(usize::MAX), "the trajectory depends on the launches");
}
