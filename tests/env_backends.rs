//! A GPU steps the environments as the CPU does: `cargo test --release -p trainer --features wgpu --test env_backends`.
//!
//! Every step starts both from the CPU's state, so that rounding (a GPU fuses multiplications with additions) cannot
//! grow from step to step. Within a step it can: a yaw servo multiplies a rounding by thousands, and where a contact
//! sticks or slips by a hair, iterative solutions differ. So most numbers must agree to rounding, and few may differ.
//! Without an adapter there is nothing to compare: the test says so, and fails with `KFCPO_REQUIRE_GPU=1`.
//!
//! Software Vulkan (Mesa's) stops the loops of a program, all together, after 65535 rounds: the layouts of Button 1 and 2
//! take up to 60000 tries each, and a step of the Car among obstacles takes some 300000 rounds. What it cannot finish is
//! shown but judged on GPUs only. The two agents' kernels take minutes to compile on it, less with `GALLIVM_PERF=nopt`;
//! `--nocapture` shows how long, and how far apart the two are.

use std::time::{Duration, Instant};

use burn::tensor::{Device, Tensor};
use envs::{AgentKind, EnvError, Navigation, NavigationSpec, StepBatch, TaskKind, VecEnv, find, registry};
use test_support::device::{cpu_and_gpu, gpu, gpu_is_software};
use test_support::numbers::{Apart, random_actions, values};

const ENVS: usize = 128;
const STEPS: usize = 60;
/// Steps an action is held, so that agents get somewhere.
const HELD: usize = 8;

/// Random commands; two environments in three drive ahead more often than not, so that objects are met.
fn actions(spec: &NavigationSpec, envs: usize, step: usize) -> Vec<f32> {
    let mut drawn = random_actions(step / HELD, 2 * envs).into_iter();
    let mut next = || drawn.next().expect("two commands for every environment");
    let ahead = |u: f32, env: usize| if env % 3 == 0 { u } else { (u + 1.0).min(1.0) };
    (0..envs)
        .flat_map(|env| match spec.agent {
            AgentKind::Point => [ahead(next(), env), next()],
            AgentKind::Car => [ahead(next(), env), ahead(next(), env)].map(|u| 0.03 * u),
        })
        .collect()
}

/// Differences that are counted: more than rounding, and more than a contact that sticks or slips by a hair.
const BOUNDS: [f32; 2] = [1e-5, 1e-2];

fn scalars(batch: &StepBatch) -> Vec<f32> {
    let rows = [&batch.reward, &batch.terminated, &batch.truncated, &batch.episode_return];
    let more = [&batch.episode_length, &batch.episode_partial];
    let costs = [&batch.costs, &batch.episode_costs].into_iter().flat_map(|rows| values(rows.clone()));
    rows.into_iter().chain(more).flat_map(|row| values(row.clone())).chain(costs).collect()
}

fn compare(spec: &NavigationSpec, [cpu, gpu]: &[Device; 2]) {
    let make = |device| Navigation::new(spec.clone(), ENVS, 5, device).expect("a supported device");
    let begun = Instant::now();
    let (mut host, mut device) = (make(cpu), make(gpu));
    let mut first = Apart::default();
    first.add(&values(host.reset(true)), &values(device.reset(true)), BOUNDS);
    let reset = begun.elapsed();

    let (mut sensors, mut lidars) = (Apart::default(), Apart::default());
    let (mut account, mut kept) = (Apart::default(), Apart::default());
    let (mut costs, mut first_step, mut later) = (0.0, Duration::ZERO, Duration::ZERO);
    for step in 0..STEPS {
        let state = host.fields();
        let shape = state.dims();
        let copy = Tensor::<1>::from_floats(values(state).as_slice(), gpu).reshape(shape);
        device.set_fields(copy).expect("the same environments");
        let action = actions(spec, ENVS, step);
        let on = |to: &Device| Tensor::<1>::from_floats(action.as_slice(), to).reshape([ENVS, spec.env.action_dim]);
        let a = host.step(on(cpu));
        let begun = Instant::now();
        let b = device.step(on(gpu));
        let (obs_a, obs_b) = (values(a.final_obs.clone()), values(b.final_obs.clone()));
        *(if step == 0 { &mut first_step } else { &mut later }) += begun.elapsed();
        for (a, b) in obs_a.chunks(spec.env.obs_dim).zip(obs_b.chunks(spec.env.obs_dim)) {
            let lidar = spec.agent.sensor_dim();
            sensors.add(&a[..lidar], &b[..lidar], BOUNDS);
            lidars.add(&a[lidar..], &b[lidar..], BOUNDS);
        }
        costs += values(a.costs.clone()).iter().sum::<f32>();
        account.add(&scalars(&a), &scalars(&b), BOUNDS);
        kept.add(&values(host.fields()), &values(device.fields()), BOUNDS);
    }
    eprintln!(
        "{}: reset {:.1} s, first step {:.1} s, each of the others {:.1} ms; {costs} costs",
        spec.env.id,
        reset.as_secs_f64(),
        first_step.as_secs_f64(),
        later.as_secs_f64() * 1e3 / (STEPS - 1) as f64
    );
    for (what, spread) in
        [("first", &first), ("sensors", &sensors), ("lidars", &lidars), ("account", &account), ("state", &kept)]
    {
        eprintln!("  {what}: {spread}");
    }
    let software = gpu_is_software();
    let obstacles = spec.level.groups.iter().any(|group| group.kind.is_free() || group.kind.is_solid());
    if software && spec.agent == AgentKind::Car && obstacles {
        eprintln!("  not judged on software Vulkan");
        return;
    }
    if software && spec.level.task == TaskKind::Button && !spec.level.name.ends_with('0') {
        first = Apart::of(&[0.0], &[0.0], [0.0; 2]);
    }
    // A placement or a contact on the edge may fall to the other side; nothing systematic may.
    let limits = [(&first, 1e-3, 1e-3), (&sensors, 2e-2, 2e-3), (&lidars, 2e-3, 1e-4), (&account, 1e-4, 2e-5)];
    for (spread, rough, far) in limits {
        let fractions = spread.fractions();
        assert!(fractions[0] <= rough && fractions[1] <= far, "{}: {spread}", spec.env.id);
    }
}

fn compare_all(agent: AgentKind, task: TaskKind) {
    if let Some(devices) = cpu_and_gpu() {
        registry()
            .iter()
            .filter(|spec| spec.agent == agent && spec.level.task == task)
            .for_each(|spec| compare(spec, &devices));
    }
}

#[test]
fn more_environments_than_working_memory_holds_at_once() {
    let Some([cpu, gpu]) = cpu_and_gpu() else { return };
    // 19 kB each; a buffer of software Vulkan has 128 MiB.
    const MANY: usize = 7001;
    let spec = find("PointGoal1").expect("a registered id");
    let action = actions(&spec, MANY, 0);
    let step = |on: &Device| {
        let mut env = Navigation::new(spec.clone(), MANY, 8, on).expect("a supported device");
        env.reset(true);
        let batch = env.step(Tensor::<1>::from_floats(action.as_slice(), on).reshape([MANY, spec.env.action_dim]));
        (values(batch.final_obs), values(batch.reward))
    };
    let (host, device) = (step(&cpu), step(&gpu));
    let (mut seen, mut earned) = (Apart::default(), Apart::default());
    seen.add(&host.0, &device.0, BOUNDS);
    earned.add(&host.1, &device.1, BOUNDS);
    assert!(seen.fractions()[0] <= 1e-3 && earned.fractions()[0] <= 1e-3, "observations: {seen}; rewards: {earned}");
}

#[test]
fn environments_that_no_buffer_holds_are_refused() {
    let Some(gpu) = gpu() else { return };
    let spec = find("PointGoal2").expect("a registered id");
    let refused = Navigation::new(spec, (1 << 24) - 1, 1, &gpu).map(|_| ());
    let Err(EnvError::DeviceMemory { most, .. }) = refused else { panic!("{refused:?}") };
    assert!(most > 10_000, "{most}");
}

#[test]
fn point_goal() {
    compare_all(AgentKind::Point, TaskKind::Goal);
}

#[test]
fn point_button() {
    compare_all(AgentKind::Point, TaskKind::Button);
}

#[test]
fn point_push() {
    compare_all(AgentKind::Point, TaskKind::Push);
}

#[test]
fn point_circle() {
    compare_all(AgentKind::Point, TaskKind::Circle);
}

#[test]
fn car_goal() {
    compare_all(AgentKind::Car, TaskKind::Goal);
}

#[test]
fn car_button() {
    compare_all(AgentKind::Car, TaskKind::Button);
}

#[test]
fn car_push() {
    compare_all(AgentKind::Car, TaskKind::Push);
}

#[test]
fn car_circle() {
    compare_all(AgentKind::Car, TaskKind::Circle);
}
