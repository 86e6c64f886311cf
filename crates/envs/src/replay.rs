//! Teacher-forced comparison with recordings of the original.
//!
//! Every environment step is simulated from the *recorded* state before it, and the outcome is
//! compared with the recorded state after it: errors do not accumulate, so a systematic one cannot
//! hide behind the chaos of the yaw servo. The functions are those of a training step; only the random
//! respawn of a reached goal is replaced by the recorded one.

use crate::agent::{Agent, AgentKind, Point};
use crate::error::EnvError;
use crate::level::{ObjectKind, TaskKind};
use crate::math::{sin_cos, wrap_angle};
use crate::registry::{EnvSpec, find};
use crate::state::{COS, LANES, OMEGA, SIN, TOUCHED, VX, VY, X, Y, YAW};
use crate::step::{SCRATCH, cost_one, observe_one};
use crate::task::{Goal, Task};

/// A recorded trajectory: T steps, T + 1 states; world frame, SI. Arrays are row-major; an empty
/// array means "not recorded", a NaN "not applicable", and neither is scored.
#[derive(Clone, Debug, Default)]
pub struct Recording {
    /// Name for messages.
    pub file: String,
    /// Environment id.
    pub env: String,
    /// State rows a step spans: 1, or 10 where every MuJoCo timestep was recorded (0 reads as 1).
    pub rows_per_step: usize,
    /// `[T, action_dim]`
    pub action: Vec<f64>,
    /// `[rows, obs_dim]`
    pub obs: Vec<f32>,
    /// `[T]`
    pub reward: Vec<f64>,
    /// `[T]`
    pub cost: Vec<f64>,
    /// `[rows, 3]`
    pub agent_pos: Vec<f64>,
    /// `[rows]`
    pub agent_yaw: Vec<f64>,
    /// `[rows, 3]`, of the body origin.
    pub agent_linvel: Vec<f64>,
    /// `[rows, 3]`
    pub agent_angvel: Vec<f64>,
    /// `[rows, 3]`, row t + 1 after any respawn in step t.
    pub goal_pos: Vec<f64>,
    /// Names of the movable objects, K of them.
    pub free_names: Vec<String>,
    /// `[rows, K, 3]`
    pub obj_pos: Vec<f64>,
    /// `[rows, K, 4]`, w first.
    pub obj_quat: Vec<f32>,
    /// `[rows, K, 3]`
    pub obj_linvel: Vec<f32>,
    /// `[rows, K, 3]`
    pub obj_angvel: Vec<f32>,
    /// Names of the fixed objects, S of them.
    pub static_names: Vec<String>,
    /// `[S, 3]`
    pub static_pos: Vec<f64>,
    /// `[rows]`: what the agent touches at that moment, empty for nothing.
    pub agent_contact_bodies: Vec<String>,
}

/// Spread of an absolute error; NaN where nothing was scored.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct ErrorSpread {
    /// Median.
    pub p50: f64,
    /// 99th percentile (nearest rank).
    pub p99: f64,
    /// Largest.
    pub max: f64,
}

impl ErrorSpread {
    fn of(mut errors: Vec<f64>) -> Self {
        if errors.is_empty() {
            return Self { p50: f64::NAN, p99: f64::NAN, max: f64::NAN };
        }
        errors.sort_by(f64::total_cmp);
        let rank = |q: f64| errors[((q * errors.len() as f64).ceil() as usize).clamp(1, errors.len()) - 1];
        Self { p50: rank(0.5), p99: rank(0.99), max: rank(1.0) }
    }
}

/// Errors over a set of steps.
#[derive(Clone, Debug)]
pub struct SplitErrors {
    /// Steps in the set.
    pub scored: usize,
    /// Agent position, Euclidean \[m\].
    pub pos: ErrorSpread,
    /// Agent yaw \[rad\].
    pub yaw: ErrorSpread,
    /// Agent velocity, Euclidean \[m/s\].
    pub vel: ErrorSpread,
    /// Yaw rate \[rad/s\].
    pub omega: ErrorSpread,
    /// Largest lidar error of a step.
    pub lidar: ErrorSpread,
    /// Largest error of a step over the whole observation, each number in its own unit.
    pub obs: ErrorSpread,
    /// Reward.
    pub reward: ErrorSpread,
    /// Position of the movable objects, Euclidean, the worst of a step \[m\].
    pub object_pos: ErrorSpread,
    /// Steps whose cost differs.
    pub cost_mismatches: usize,
    /// Those of them where the recorded agent is within 1e-5 m of a hazard's edge.
    pub cost_mismatches_at_edge: usize,
}

/// What [`replay`] found.
#[derive(Clone, Debug)]
pub struct ParityReport {
    /// The recording's name.
    pub file: String,
    /// Environment id.
    pub env: String,
    /// Steps in the recording.
    pub steps: usize,
    /// All scored steps.
    pub all: SplitErrors,
    /// Steps in which the agent touched nothing.
    pub free: SplitErrors,
    /// Steps in which the agent touched an object: before, after, or (by our simulation) during it.
    pub contact: SplitErrors,
}

impl ParityReport {
    /// Every figure by name, in a fixed order: `pos_err_max`, ..., `pos_err_max_free`, ...,
    /// `pos_err_max_contact`, ...; NaN where nothing was scored.
    pub fn figures(&self) -> Vec<(String, f64)> {
        let mut out = vec![
            ("steps".to_owned(), self.steps as f64),
            ("scored".to_owned(), self.all.scored as f64),
            ("contact_steps".to_owned(), self.contact.scored as f64),
        ];
        for (set, suffix) in [(&self.all, ""), (&self.free, "_free"), (&self.contact, "_contact")] {
            let spreads: [(&str, &ErrorSpread, bool); 8] = [
                ("pos_err", &set.pos, true),
                ("yaw_err", &set.yaw, true),
                ("vel_err", &set.vel, true),
                ("omega_err", &set.omega, true),
                ("lidar_err", &set.lidar, false),
                ("obs_err", &set.obs, true),
                ("reward_err", &set.reward, false),
                ("object_pos_err", &set.object_pos, false),
            ];
            for (name, spread, median) in spreads {
                if median {
                    out.push((format!("{name}_p50{suffix}"), spread.p50));
                }
                out.push((format!("{name}_p99{suffix}"), spread.p99));
                out.push((format!("{name}_max{suffix}"), spread.max));
            }
            out.push((format!("cost_mismatches{suffix}"), set.cost_mismatches as f64));
            let at_edge = set.cost_mismatches_at_edge as f64;
            out.push((format!("cost_mismatches_at_edge{suffix}"), at_edge));
        }
        out
    }
}

/// Replays a recording step by step, each from its recorded state.
///
/// # Errors
/// [`EnvError::UnknownEnv`], or [`EnvError::Recording`] where arrays are missing or of the wrong size.
pub fn replay(recording: &Recording) -> Result<ParityReport, EnvError> {
    let spec = find(&recording.env)?;
    let rows = Rows::check(recording, &spec)?;
    Ok(match (spec.agent, spec.level.task) {
        (AgentKind::Point, TaskKind::Goal) => compare::<Point, Goal>(recording, &spec, &rows),
    })
}

/// Sizes of a recording that has been checked, and where its objects lie in the state.
struct Rows {
    steps: usize,
    per_step: usize,
    goal_at: usize,
    statics: Vec<usize>,
    bodies: Vec<usize>,
}

impl Rows {
    fn check(recording: &Recording, spec: &EnvSpec) -> Result<Self, EnvError> {
        let fail = |problem: String| EnvError::Recording { file: recording.file.clone(), problem };
        let per_step = recording.rows_per_step.max(1);
        let steps = recording.action.len() / spec.action_dim;
        let rows = steps * per_step + 1;
        let (bodies, statics) = (recording.free_names.len(), recording.static_names.len());
        let sizes = [
            ("action", recording.action.len(), steps * spec.action_dim, true),
            ("obs", recording.obs.len(), rows * spec.obs_dim, false),
            ("reward", recording.reward.len(), steps, false),
            ("cost", recording.cost.len(), steps, false),
            ("agent_pos", recording.agent_pos.len(), rows * 3, true),
            ("agent_yaw", recording.agent_yaw.len(), rows, true),
            ("agent_linvel", recording.agent_linvel.len(), rows * 3, true),
            ("agent_angvel", recording.agent_angvel.len(), rows * 3, true),
            ("goal_pos", recording.goal_pos.len(), rows * 3, false),
            ("obj_pos", recording.obj_pos.len(), rows * bodies * 3, bodies > 0),
            ("obj_quat", recording.obj_quat.len(), rows * bodies * 4, bodies > 0),
            ("obj_linvel", recording.obj_linvel.len(), rows * bodies * 3, bodies > 0),
            ("obj_angvel", recording.obj_angvel.len(), rows * bodies * 3, bodies > 0),
            ("static_pos", recording.static_pos.len(), statics * 3, statics > 0),
            ("agent_contact_bodies", recording.agent_contact_bodies.len(), rows, false),
        ];
        for (name, got, expected, required) in sizes {
            if got != expected && (required || got != 0) {
                return Err(fail(format!("`{name}` has {got} numbers, expected {expected}")));
            }
        }
        let place =
            |name: &String| state_field(spec, name).ok_or_else(|| fail(format!("{} has no object `{name}`", spec.id)));
        Ok(Self {
            steps,
            per_step,
            goal_at: place(&"goal".to_owned())?,
            statics: recording.static_names.iter().map(place).collect::<Result<_, _>>()?,
            bodies: recording.free_names.iter().map(place).collect::<Result<_, _>>()?,
        })
    }
}

/// The state field at which the object called `name` (kind and number, as `hazard3`) begins.
fn state_field(spec: &EnvSpec, name: &str) -> Option<usize> {
    let kind = name.trim_end_matches(|c: char| c.is_ascii_digit());
    let number: usize = if kind == name { 0 } else { name[kind.len()..].parse().ok()? };
    let mut at = spec.state_dim() - spec.level.groups.iter().map(|g| g.count * g.kind.fields()).sum::<usize>();
    for group in spec.level.groups {
        if group.kind.object_name() == kind {
            return (number < group.count).then_some(at + number * group.kind.fields());
        }
        at += group.count * group.kind.fields();
    }
    None
}

/// Errors of every step of one set, before they are summarised.
#[derive(Default)]
struct Samples {
    scored: usize,
    series: [Vec<f64>; 8],
    cost_mismatches: usize,
    cost_mismatches_at_edge: usize,
}

const POS: usize = 0;
const YAW_ERROR: usize = 1;
const VEL: usize = 2;
const OMEGA_ERROR: usize = 3;
const LIDAR: usize = 4;
const OBS: usize = 5;
const REWARD: usize = 6;
const OBJECT: usize = 7;

impl Samples {
    fn push(&mut self, step: &StepErrors) {
        self.scored += 1;
        for (series, value) in self.series.iter_mut().zip(step.errors) {
            series.extend(value);
        }
        self.cost_mismatches += usize::from(step.cost_mismatch);
        self.cost_mismatches_at_edge += usize::from(step.cost_mismatch && step.at_edge);
    }

    fn summarise(self) -> SplitErrors {
        let [pos, yaw, vel, omega, lidar, obs, reward, object_pos] = self.series.map(ErrorSpread::of);
        SplitErrors {
            scored: self.scored,
            pos,
            yaw,
            vel,
            omega,
            lidar,
            obs,
            reward,
            object_pos,
            cost_mismatches: self.cost_mismatches,
            cost_mismatches_at_edge: self.cost_mismatches_at_edge,
        }
    }
}

/// Errors of one step; None where the recording has nothing to compare with.
#[derive(Default)]
struct StepErrors {
    errors: [Option<f64>; 8],
    cost_mismatch: bool,
    at_edge: bool,
    contact: bool,
}

fn compare<A: Agent, T: Task>(recording: &Recording, spec: &EnvSpec, rows: &Rows) -> ParityReport {
    let params = spec.params(0);
    let (mut all, mut free, mut contact) = (Samples::default(), Samples::default(), Samples::default());
    for t in 0..rows.steps {
        let step = compare_step::<A, T>(recording, spec, rows, &params, t);
        all.push(&step);
        if step.contact { contact.push(&step) } else { free.push(&step) }
    }
    ParityReport {
        file: recording.file.clone(),
        env: spec.id.clone(),
        steps: rows.steps,
        all: all.summarise(),
        free: free.summarise(),
        contact: contact.summarise(),
    }
}

/// Simulates step `t` from its recorded state (in lane 0 of a block) and measures the outcome.
fn compare_step<A: Agent, T: Task>(
    recording: &Recording,
    spec: &EnvSpec,
    rows: &Rows,
    params: &[f32],
    t: usize,
) -> StepErrors {
    let (before, after) = (t * rows.per_step, (t + 1) * rows.per_step);
    let mut state = vec![0.0; spec.state_dim() * LANES];
    let mut scratch = vec![0.0; SCRATCH];
    load::<A>(recording, rows, before, &mut state);

    let action = &recording.action[t * spec.action_dim..];
    A::advance(params, &mut state, 0, action[0] as f32, action[1] as f32, &mut scratch, 0);
    let reward = f64::from(T::reward(params, &mut state, 0));
    let cost = f64::from(cost_one(params, &mut state, 0));
    set_goal(recording, rows, after, &mut state);
    let mut obs = vec![0.0; spec.obs_dim];
    observe_one::<A>(params, &mut state, 0, &mut obs, 0);

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
        let recorded = &recording.obs[after * spec.obs_dim..][..spec.obs_dim];
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
    let touching = |row: usize| recording.agent_contact_bodies.get(row).is_some_and(|b| !b.is_empty());
    step.contact = (before..=after).any(touching) || get(TOUCHED) > 0.5;
    step
}

/// Writes the recorded state of `row` into lane 0.
fn load<A: Agent>(recording: &Recording, rows: &Rows, row: usize, state: &mut [f32]) {
    let yaw = wrap_angle(recording.agent_yaw[row].sin().atan2(recording.agent_yaw[row].cos()) as f32);
    A::reset(state, 0, yaw);
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
    for (field, value) in agent {
        state[field * LANES] = value as f32;
    }
    for (field, position) in rows.statics.iter().zip(recording.static_pos.chunks_exact(3)) {
        state[field * LANES] = position[0] as f32;
        state[(field + 1) * LANES] = position[1] as f32;
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
    }
    set_goal(recording, rows, row, state);
}

fn set_goal(recording: &Recording, rows: &Rows, row: usize, state: &mut [f32]) {
    if let Some(goal) = recording.goal_pos.get(row * 3..row * 3 + 2) {
        state[rows.goal_at * LANES] = goal[0] as f32;
        state[(rows.goal_at + 1) * LANES] = goal[1] as f32;
    }
}

/// Whether `position` is so near a hazard's edge that float32 decides the cost.
fn at_hazard_edge(recording: &Recording, spec: &EnvSpec, position: [f64; 2]) -> bool {
    const EDGE: f64 = 1e-5;
    let hazards = spec.level.groups.iter().find(|group| group.kind == ObjectKind::Hazard);
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
    fn percentiles_are_nearest_ranks() {
        let spread = ErrorSpread::of((1..=200).rev().map(f64::from).collect());
        assert_eq!((spread.p50, spread.p99, spread.max), (100.0, 198.0, 200.0));
        assert!(ErrorSpread::of(Vec::new()).max.is_nan());
    }

    #[test]
    fn objects_are_found_by_name_and_number() {
        let spec = find("PointGoal2").unwrap();
        let goal = state_field(&spec, "goal").unwrap();
        assert_eq!(state_field(&spec, "hazard0"), Some(goal + 2));
        assert_eq!(state_field(&spec, "hazard9"), Some(goal + 20));
        assert_eq!(state_field(&spec, "vase1"), Some(goal + 22 + 13));
        assert_eq!(state_field(&spec, "hazard10"), None);
        assert_eq!(state_field(&spec, "gremlin0"), None);
    }

    #[test]
    fn missing_arrays_are_reported_by_name() {
        let recording = Recording { env: "PointGoal0".into(), action: vec![0.0; 20], ..Recording::default() };
        let message = replay(&recording).unwrap_err().to_string();
        assert!(message.contains("agent_pos"), "{message}");
    }
}
