//! Teacher-forced comparison with recordings of the original.
//!
//! Every environment step is simulated from the *recorded* state before it, and the outcome is
//! compared with the recorded state after it: errors do not accumulate, so a systematic one cannot
//! hide behind the chaos of the yaw servo. The functions are those of a training step; only the random
//! choices within a step (where a reached goal goes, which button is the next target) are replaced by the recorded ones.

mod errors;
mod recording;

pub use errors::{ErrorSpread, ParityReport, SplitErrors};
pub use recording::Recording;

use self::errors::{LIDAR, OBJECT, OBS, OMEGA_ERROR, POS, REWARD, Samples, StepErrors, VEL, YAW_ERROR};
use self::recording::Rows;
use crate::agent::AgentModel;
use crate::error::EnvError;
use crate::kinds::for_kind;
use crate::math::{sin_cos, wrap_angle};
use crate::object::{GREMLIN_HOME, GREMLIN_HOME_QUAT, ObjectKind, cost_of, mark_hazards};
use crate::params::PARAM_COST_FIRST;
use crate::registry::find;
use crate::spec::NavigationSpec;
use crate::state::{AGE, COS, LANES, OMEGA, SIN, TOUCH, TOUCHED, VX, VY, X, Y, YAW};
use crate::step::{SCRATCH, observe};
use crate::task::{TARGET, TIMER, TaskModel};

/// Replays a recording step by step, each from its recorded state.
///
/// The first step of a Car, or among gremlins, is not scored: gaps to the floor are exactly zero then, and in the
/// original rounding decides what touches.
///
/// # Errors
/// [`EnvError::UnknownEnv`], or [`EnvError::Recording`] where arrays are missing or of the wrong size.
pub fn replay(recording: &Recording) -> Result<ParityReport, EnvError> {
    let spec = find(&recording.env)?;
    let rows = Rows::check(recording, &spec)?;
    let model = for_kind!(spec.agent, spec.level.task, Model::of)();
    Ok(compare(&model, recording, &spec, &rows))
}

/// [`crate::agent::Agent::advance`].
type Advance = fn(&[f32], &mut [f32], usize, &[f32], usize, &mut [f32], usize);

/// What of an agent and a task a replay needs, by address: so the comparison is compiled once, and not for every pair.
struct Model {
    starts_touching: bool,
    has_target: bool,
    reset: fn(&mut [f32], usize, f32),
    restore: fn(&mut [f32], usize, &[f64], &[f64]),
    restore_task: fn(&[f32], &mut [f32], usize),
    advance: Advance,
    reward: fn(&[f32], &mut [f32], usize) -> f32,
    costs: fn(&[f32], &mut [f32], usize) -> u32,
    observe: fn(&[f32], &mut [f32], usize, &mut [f32], usize),
}

impl Model {
    fn of<A: AgentModel, T: TaskModel>() -> Self {
        Self {
            starts_touching: A::STARTS_TOUCHING,
            has_target: T::HAS_TARGET,
            reset: A::reset,
            restore: A::restore,
            restore_task: T::restore,
            advance: A::advance,
            reward: T::reward,
            costs: T::costs,
            observe: observe::<A, T>,
        }
    }
}

fn compare(model: &Model, recording: &Recording, spec: &NavigationSpec, rows: &Rows) -> ParityReport {
    let params = spec.params(0);
    let (mut all, mut free, mut contact) = (Samples::default(), Samples::default(), Samples::default());
    let gremlins = spec.groups().iter().any(|group| group.kind == ObjectKind::Gremlin);
    let first = usize::from(model.starts_touching || gremlins);
    for t in first..rows.steps {
        let step = compare_step(model, recording, spec, rows, &params, t);
        all.push(&step);
        if step.contact { contact.push(&step) } else { free.push(&step) }
    }
    ParityReport {
        file: recording.file.clone(),
        env: spec.env.id.clone(),
        steps: rows.steps,
        all: all.summarise(),
        free: free.summarise(),
        contact: contact.summarise(),
    }
}

/// Simulates step `t` from its recorded state (in lane 0 of a block) and measures the outcome.
fn compare_step(
    model: &Model,
    recording: &Recording,
    spec: &NavigationSpec,
    rows: &Rows,
    params: &[f32],
    t: usize,
) -> StepErrors {
    let (before, after) = (t * rows.per_step, (t + 1) * rows.per_step);
    let mut state = vec![0.0; spec.state_dim() * LANES];
    let mut scratch = vec![0.0; SCRATCH];
    load(model, recording, spec, rows, params, before, &mut state);

    let action = &recording.action[t * spec.env.action_dim..][..spec.env.action_dim];
    let scale = spec.agent.action_scale();
    let action: Vec<f32> = action.iter().zip(scale).map(|(number, unit)| (number / unit) as f32).collect();
    (model.advance)(params, &mut state, 0, &action, 0, &mut scratch, 0);
    mark_hazards(params, &mut state, 0);
    let reward = f64::from((model.reward)(params, &mut state, 0));
    let cost = f64::from(cost_of(params, params[PARAM_COST_FIRST] as usize, (model.costs)(params, &mut state, 0)));
    set_task(model, recording, rows, after, &mut state);
    let mut obs = vec![0.0; spec.env.obs_dim];
    (model.observe)(params, &mut state, 0, &mut obs, 0);

    let get = |field: usize| f64::from(state[field * LANES]);
    let vector = |array: &[f64], row: usize| [array[row * 3], array[row * 3 + 1]];
    let position = vector(&recording.agent_pos, after);
    let velocity = vector(&recording.agent_linvel, after);
    let mut step = StepErrors::default();
    step.errors[POS] = Some((get(X) - position[0]).hypot(get(Y) - position[1]));
    let turn = get(YAW) - recording.agent_yaw[after];
    step.errors[YAW_ERROR] = Some(turn.sin().atan2(turn.cos()).abs());
    step.errors[VEL] = Some((get(VX) - velocity[0]).hypot(get(VY) - velocity[1]));
    step.errors[OMEGA_ERROR] = Some((get(OMEGA) - recording.agent_angvel[after * 3 + 2]).abs());

    if !recording.obs.is_empty() {
        let recorded = &recording.obs[after * spec.env.obs_dim..][..spec.env.obs_dim];
        let worst = |from: usize| {
            let pairs = obs[from..].iter().zip(&recorded[from..]).filter(|(_, r)| !r.is_nan());
            pairs.map(|(o, r)| f64::from((o - r).abs())).max_by(f64::total_cmp)
        };
        step.errors[OBS] = worst(0);
        step.errors[LIDAR] = worst(spec.agent.sensor_dim());
    }
    let applicable = |array: &[f64]| array.get(t).copied().filter(|value| !value.is_nan());
    step.errors[REWARD] = applicable(&recording.reward).map(|recorded| (reward - recorded).abs());
    step.errors[OBJECT] = rows
        .bodies
        .iter()
        .enumerate()
        .map(|(k, field)| {
            let recorded = &recording.obj_pos[(after * rows.bodies.len() + k) * 3..][..3];
            (0..3).map(|i| (get(field + i) - recorded[i]).powi(2)).sum::<f64>().sqrt()
        })
        .max_by(f64::total_cmp);
    step.cost_mismatch = applicable(&recording.cost).is_some_and(|recorded| recorded != cost);
    step.at_edge = at_hazard_edge(recording, spec, position);
    let touching = |row: usize| recording.agent_contact_bodies.get(row).map(|bodies| !bodies.is_empty());
    step.contact = (before..=after).any(|row| touching(row) == Some(true)) || get(TOUCHED) > 0.5;
    step.contact_mismatch = touching(after).is_some_and(|recorded| recorded != (get(TOUCH) > 0.5));
    step
}

/// Writes the recorded state of `row` into lane 0.
fn load(
    model: &Model,
    recording: &Recording,
    spec: &NavigationSpec,
    rows: &Rows,
    params: &[f32],
    row: usize,
    state: &mut [f32],
) {
    let yaw = wrap_angle(recording.agent_yaw[row].sin().atan2(recording.agent_yaw[row].cos()) as f32);
    let (sin, cos) = sin_cos(yaw);
    let agent = [
        (X, recording.agent_pos[row * 3]),
        (Y, recording.agent_pos[row * 3 + 1]),
        (VX, recording.agent_linvel[row * 3]),
        (VY, recording.agent_linvel[row * 3 + 1]),
        (OMEGA, recording.agent_angvel[row * 3 + 2]),
        (SIN, f64::from(sin)),
        (COS, f64::from(cos)),
    ];
    (model.reset)(state, 0, yaw);
    for (field, value) in agent {
        state[field * LANES] = value as f32;
    }
    let count = recording.agent_yaw.len();
    let (nq, nv) = (recording.qpos.len() / count, recording.qvel.len() / count);
    (model.restore)(state, 0, &recording.qpos[row * nq..][..nq], &recording.qvel[row * nv..][..nv]);
    for (field, position) in rows.statics.iter().zip(recording.static_pos.chunks_exact(3)) {
        if let Some(field) = field {
            state[field * LANES] = position[0] as f32;
            state[(field + 1) * LANES] = position[1] as f32;
        }
    }
    for (k, field) in rows.bodies.iter().enumerate() {
        let object = row * rows.bodies.len() + k;
        let position = recording.obj_pos[object * 3..][..3].iter().map(|v| *v as f32);
        let turn = &recording.obj_quat[object * 4..][..4];
        let velocity = &recording.obj_linvel[object * 3..][..3];
        let spin = &recording.obj_angvel[object * 3..][..3];
        let rest = turn.iter().chain(velocity).chain(spin).copied();
        for (i, value) in position.chain(rest).enumerate() {
            state[(field + i) * LANES] = value;
        }
        if let Some(home) = rows.homes[k] {
            let first = &recording.obj_quat[k * 4..][..4];
            state[(field + GREMLIN_HOME) * LANES] = home[0] as f32;
            state[(field + GREMLIN_HOME + 1) * LANES] = home[1] as f32;
            state[(field + GREMLIN_HOME_QUAT) * LANES] = first[0];
            state[(field + GREMLIN_HOME_QUAT + 1) * LANES] = first[3];
        }
    }
    let step = f64::from(spec.agent.substep()) * 10.0;
    state[AGE * LANES] = recording.time.get(row).map_or(0.0, |time| (time / step).round() as f32);
    set_task(model, recording, rows, row, state);
    (model.restore_task)(params, state, 0);
}

/// Writes what the task chose by `row`: the goal's place, the target button and its timer.
fn set_task(model: &Model, recording: &Recording, rows: &Rows, row: usize, state: &mut [f32]) {
    if let (Some(field), Some(goal)) = (rows.goal, recording.goal_pos.get(row * 3..row * 3 + 2)) {
        state[field * LANES] = goal[0] as f32;
        state[(field + 1) * LANES] = goal[1] as f32;
    }
    if model.has_target {
        state[TIMER * LANES] = recording.button_timer[row] as f32;
        state[TARGET * LANES] = recording.goal_button[row] as f32;
    }
}

/// Whether `position` is so near a hazard's edge that float32 decides the cost.
fn at_hazard_edge(recording: &Recording, spec: &NavigationSpec, position: [f64; 2]) -> bool {
    const EDGE: f64 = 1e-5;
    let groups = spec.groups();
    let hazards = groups.iter().find(|group| group.kind == ObjectKind::Hazard);
    let Some(radius) = hazards.map(|group| f64::from(group.size)) else { return false };
    let named = recording.static_names.iter().zip(recording.static_pos.chunks_exact(3));
    named
        .filter(|(name, _)| name.starts_with(ObjectKind::Hazard.object_name()))
        .any(|(_, p)| ((p[0] - position[0]).hypot(p[1] - position[1]) - radius).abs() < EDGE)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn missing_arrays_are_reported_by_name() {
        let recording = Recording { env: "PointGoal0".into(), action: vec![0.0; 20], ..Recording::default() };
        let message = replay(&recording).unwrap_err().to_string();
        assert!(message.contains("agent_pos"), "{message}");
    }
}
