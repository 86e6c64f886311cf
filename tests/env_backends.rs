//! A GPU steps the environments as the CPU does: `cargo test --release -p trainer --features wgpu --test env_backends`.
//!
//! The comparisons are those of `trainer check`, parts `env/..` (`trainer::check`), an environment at a time. Without an
//! adapter there is nothing to compare: the test says so, and fails with `KFCPO_REQUIRE_GPU=1`. The two agents' kernels take
//! minutes to compile on software Vulkan, less with `GALLIVM_PERF=nopt`; `--nocapture` shows how far apart the two are.

#[path = "check/part.rs"]
mod part;

use envs::{AgentKind, EnvError, Navigation, TaskKind, find, registry};
use part::holds;
use test_support::device::gpu;

fn compare_all(agent: AgentKind, task: TaskKind) {
    let kinds = registry().iter().filter(|spec| spec.agent == agent && spec.level.task == task);
    kinds.for_each(|spec| holds(&format!("env/{}", spec.short_id())));
}

#[test]
fn more_environments_than_working_memory_holds_at_once() {
    holds("env/many");
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
fn point_run() {
    compare_all(AgentKind::Point, TaskKind::Run);
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

#[test]
fn car_run() {
    compare_all(AgentKind::Car, TaskKind::Run);
}

#[test]
fn racecar_goal() {
    compare_all(AgentKind::Racecar, TaskKind::Goal);
}

#[test]
fn racecar_button() {
    compare_all(AgentKind::Racecar, TaskKind::Button);
}

#[test]
fn racecar_push() {
    compare_all(AgentKind::Racecar, TaskKind::Push);
}

#[test]
fn racecar_circle() {
    compare_all(AgentKind::Racecar, TaskKind::Circle);
}

#[test]
fn racecar_run() {
    compare_all(AgentKind::Racecar, TaskKind::Run);
}
