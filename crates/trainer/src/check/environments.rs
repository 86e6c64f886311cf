//! The environments, step by step.
//!
//! Every step starts from the reference's state, so that rounding (a GPU fuses multiplications with additions) cannot grow
//! from step to step. Within a step it can: a yaw servo multiplies a rounding by thousands, and where a contact sticks or
//! slips by a hair, iterative solutions differ. So most numbers must agree to rounding, and few may differ.
//!
//! Software Vulkan (Mesa's) stops the loops of a program, all together, after 65,535 rounds: the layouts of Button 1 and 2
//! take up to 60,000 tries each, and a step of the Car among obstacles takes some 300,000 rounds. What it cannot finish is
//! not compared there.

use anyhow::Result;
use burn::tensor::{Device, Tensor};
use envs::{AgentKind, Navigation, NavigationSpec, StepBatch, TaskKind, VecEnv, find};

use super::findings::{Findings, Measure};
use super::numbers::{tensor, values};
use super::subject::Subject;

const ENVS: usize = 128;
const STEPS: usize = 60;
/// Steps an action is held, so that agents get somewhere.
const HELD: usize = 8;
/// Differences that are counted: more than rounding, and more than a contact that sticks or slips by a hair.
const BOUNDS: [f32; 2] = [1e-5, 1e-2];

const ROUNDING: &str = "rounding, which a contact or a servo may multiply: few numbers, and nothing systematic";
const EDGE: &str = "a placement or a contact on the edge may fall to the other side, rarely";
const SAME: &str = "the bits of the CPU do not depend on the number of threads";

/// What a step gave, and the state that it began with.
struct Stepped {
    before: Vec<f32>,
    sensors: Vec<f32>,
    lidars: Vec<f32>,
    account: Vec<f32>,
}

/// Steps of environments on one device.
struct Course {
    first: Vec<f32>,
    steps: Vec<Stepped>,
}

/// Steps an environment on both devices, the device's steps from the reference's states.
pub(super) fn steps(subject: &Subject, findings: &mut Findings, id: &str) -> Result<()> {
    let spec = find(id)?;
    let obstacles = spec.level.groups.iter().any(|group| group.kind.is_free() || group.kind.is_solid());
    if subject.is_software() && spec.agent != AgentKind::Point && obstacles {
        findings.skip("software Vulkan stops the loops of a Car among obstacles");
        return Ok(());
    }
    let expected = subject.reference(|device| course(&spec, device, None))?;
    let got = course(&spec, subject.device(), Some(&expected))?;
    let all = |course: &Course, part: fn(&Stepped) -> &[f32]| -> Vec<f32> {
        course.steps.iter().flat_map(|step| part(step).iter().copied()).collect()
    };
    let pair = |part: fn(&Stepped) -> &[f32]| [&expected, &got].map(|course| all(course, part));
    let first = [expected.first.clone(), got.first.clone()];
    // Of the numbers of a step, those beyond either bound at most.
    let limits = [
        ("first observations", first, [1e-3, 1e-3]),
        ("sensors", pair(|step| &step.sensors), [2e-2, 2e-3]),
        ("lidars", pair(|step| &step.lidars), [2e-3, 1e-4]),
        ("rewards, costs and ends", pair(|step| &step.account), [1e-4, 2e-5]),
    ];
    let layouts_end = subject.is_software() && spec.level.task == TaskKind::Button && !spec.level.name.ends_with('0');
    for (what, [expected, got], shares) in limits {
        if subject.is_cpu() {
            findings.compare(what, Measure::Differing, [&expected, &got], 0.0, SAME);
            continue;
        }
        if layouts_end && what == "first observations" {
            continue;
        }
        let reason = if what == "first observations" { EDGE } else { ROUNDING };
        for (bound, share) in BOUNDS.into_iter().zip(shares) {
            let named = format!("{what} beyond {bound:.0e}");
            findings.compare(named, Measure::ShareBeyond(bound), [&expected, &got], share, reason);
        }
    }
    Ok(())
}

/// Steps the environments, from the states of `from` where there are any.
fn course(spec: &NavigationSpec, device: &Device, from: Option<&Course>) -> Result<Course> {
    let mut env = Navigation::new(spec.clone(), ENVS, 5, device)?;
    let first = values(env.reset(true))?;
    let shape = env.fields().dims();
    let mut steps = Vec::with_capacity(STEPS);
    for step in 0..STEPS {
        if let Some(from) = from {
            env.set_fields(tensor(&from.steps[step].before, shape, device))?;
        }
        let before = values(env.fields())?;
        let batch = env.step(tensor(&actions(spec, ENVS, step), [ENVS, spec.env.action_dim], device));
        let (mut sensors, mut lidars) = (Vec::new(), Vec::new());
        for obs in values(batch.final_obs.clone())?.chunks(spec.env.obs_dim) {
            let (of_agent, of_objects) = obs.split_at(spec.agent.sensor_dim());
            sensors.extend_from_slice(of_agent);
            lidars.extend_from_slice(of_objects);
        }
        steps.push(Stepped { before, sensors, lidars, account: account(batch)? });
    }
    Ok(Course { first, steps })
}

/// Reward, ends and running totals of a step, then its costs.
fn account(batch: StepBatch) -> Result<Vec<f32>> {
    let rows = [batch.reward, batch.terminated, batch.truncated, batch.episode_return];
    let more = [batch.episode_length, batch.episode_partial];
    let costs = [batch.costs, batch.episode_costs].map(|rows| rows.flatten::<1>(0, 1));
    values(Tensor::cat(rows.into_iter().chain(more).chain(costs).collect(), 0))
}

/// Random commands `[envs, action_dim]`; two environments in three drive ahead more often than not, so that objects are met.
fn actions(spec: &NavigationSpec, envs: usize, step: usize) -> Vec<f32> {
    let dim = spec.env.action_dim;
    let car = spec.agent == AgentKind::Car;
    let command = |(at, u): (usize, f32)| {
        let ahead = (car || at % dim == 0) && !(at / dim).is_multiple_of(3);
        let u = if ahead { (u + 1.0).min(1.0) } else { u };
        if car { 0.03 * u } else { u }
    };
    uniform(step / HELD, dim * envs).into_iter().enumerate().map(command).collect()
}

/// `n` uniform numbers in [-1, 1), from a generator of their own.
fn uniform(batch: usize, n: usize) -> Vec<f32> {
    let mut x = 0x9E37_79B9_7F4A_7C15u64.wrapping_mul(batch as u64 + 1);
    let mut next = || {
        x = x.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (x >> 40) as f32 / (1u64 << 23) as f32 - 1.0
    };
    (0..n).map(|_| next()).collect()
}

/// More environments than a GPU's working memory holds at once: 19 kB each; a buffer of software Vulkan has 128 MiB.
pub(super) fn many(subject: &Subject, findings: &mut Findings) -> Result<()> {
    const MANY: usize = 7001;
    let spec = find("PointGoal1")?;
    let action = actions(&spec, MANY, 0);
    let step = |device: &Device| {
        let mut env = Navigation::new(spec.clone(), MANY, 8, device)?;
        env.reset(true);
        let batch = env.step(tensor(&action, [MANY, spec.env.action_dim], device));
        Ok([values(batch.final_obs)?, values(batch.reward)?])
    };
    let (expected, got) = (subject.reference(step)?, step(subject.device())?);
    for ((what, expected), got) in ["observations", "rewards"].iter().zip(&expected).zip(&got) {
        findings.compare(*what, Measure::ShareBeyond(BOUNDS[0]), [expected, got], 1e-3, ROUNDING);
    }
    Ok(())
}
