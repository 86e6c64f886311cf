//! Recorded trajectories of the original, and where their numbers belong in our state.

use crate::error::EnvError;
use crate::object::ObjectKind;
use crate::spec::NavigationSpec;

/// Name of what is painted only.
const WALL: &str = "sigwall";

/// A recorded trajectory: T steps, T + 1 states; world frame, SI. Arrays are row-major; an empty
/// array means "not recorded", a NaN "not applicable", and neither is scored.
#[derive(Clone, Debug, Default)]
pub struct Recording {
    /// Name for messages.
    pub file: String,
    /// Environment id.
    pub env: String,
    /// State rows per step: 1, or 10 where every MuJoCo timestep was recorded (0 reads as 1).
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
    /// `[rows, NQ]`, MuJoCo's; the agent's numbers come first. Needed for the Car.
    pub qpos: Vec<f64>,
    /// `[rows, NV]`, MuJoCo's; the agent's numbers come first. Needed for the Car.
    pub qvel: Vec<f64>,
    /// `[rows]`: steps until wrong buttons cost.
    pub button_timer: Vec<f64>,
    /// `[rows]`: number of the target button.
    pub goal_button: Vec<f64>,
    /// `[rows]`: simulated time \[s\].
    pub time: Vec<f64>,
    /// Names in the layout, L of them.
    pub layout_names: Vec<String>,
    /// `[L, 2]`: where the layout put them.
    pub layout_xy: Vec<f64>,
    /// `[rows]`: what the agent touches at that moment, empty for nothing.
    pub agent_contact_bodies: Vec<String>,
}

/// Where a recording's objects lie in the state, and its sizes, checked.
pub(super) struct Rows {
    /// Environment steps.
    pub steps: usize,
    /// State rows of a step.
    pub per_step: usize,
    /// State field of the goal, if the task has one.
    pub goal: Option<usize>,
    /// State fields of the fixed objects; None for what is only painted.
    pub statics: Vec<Option<usize>>,
    /// State fields of the free objects.
    pub bodies: Vec<usize>,
    /// First places of the gremlins among them \[m\].
    pub homes: Vec<Option<[f64; 2]>>,
}

impl Rows {
    /// # Errors
    /// [`EnvError::Recording`] where arrays are missing or of the wrong size.
    pub fn check(recording: &Recording, spec: &NavigationSpec) -> Result<Self, EnvError> {
        let fail = |problem: String| EnvError::Recording { file: recording.file.clone(), problem };
        let per_step = recording.rows_per_step.max(1);
        let steps = recording.action.len() / spec.env.action_dim;
        let rows = steps * per_step + 1;
        let (bodies, statics) = (recording.free_names.len(), recording.static_names.len());
        let (agent_nq, agent_nv) = spec.agent.coordinates();
        let (nq, nv) = (recording.qpos.len() / rows, recording.qvel.len() / rows);
        if nq < agent_nq || nv < agent_nv {
            let agent = spec.agent.name();
            return Err(fail(format!(
                "`qpos`, `qvel` have {nq} and {nv} numbers per row, a {agent} has {agent_nq}, {agent_nv}"
            )));
        }
        let buttons = spec.level.task.has_target();
        let gremlins = spec.groups().iter().any(|group| group.kind == ObjectKind::Gremlin);
        let sizes = [
            ("action", recording.action.len(), steps * spec.env.action_dim, true),
            ("obs", recording.obs.len(), rows * spec.env.obs_dim, false),
            ("reward", recording.reward.len(), steps, false),
            ("cost", recording.cost.len(), steps, false),
            ("agent_pos", recording.agent_pos.len(), rows * 3, true),
            ("agent_yaw", recording.agent_yaw.len(), rows, true),
            ("agent_linvel", recording.agent_linvel.len(), rows * 3, true),
            ("agent_angvel", recording.agent_angvel.len(), rows * 3, true),
            ("qpos", recording.qpos.len(), rows * nq, agent_nq > 0),
            ("qvel", recording.qvel.len(), rows * nv, agent_nv > 0),
            ("goal_pos", recording.goal_pos.len(), rows * 3, false),
            ("button_timer", recording.button_timer.len(), rows, buttons),
            ("goal_button", recording.goal_button.len(), rows, buttons),
            ("time", recording.time.len(), rows, gremlins),
            ("obj_pos", recording.obj_pos.len(), rows * bodies * 3, bodies > 0),
            ("obj_quat", recording.obj_quat.len(), rows * bodies * 4, bodies > 0),
            ("obj_linvel", recording.obj_linvel.len(), rows * bodies * 3, bodies > 0),
            ("obj_angvel", recording.obj_angvel.len(), rows * bodies * 3, bodies > 0),
            ("static_pos", recording.static_pos.len(), statics * 3, statics > 0),
            ("layout_xy", recording.layout_xy.len(), recording.layout_names.len() * 2, gremlins),
            ("agent_contact_bodies", recording.agent_contact_bodies.len(), rows, false),
        ];
        for (name, got, expected, required) in sizes {
            if got != expected && (required || got != 0) {
                return Err(fail(format!("`{name}` has {got} numbers, expected {expected}")));
            }
        }
        let place = |name: &String| {
            state_field(spec, name).ok_or_else(|| fail(format!("{} has no object `{name}`", spec.env.id)))
        };
        let fixed = |name: &String| if name.starts_with(WALL) { Ok(None) } else { place(name).map(Some) };
        let home = |name: &String| -> Result<Option<[f64; 2]>, EnvError> {
            if !name.starts_with(ObjectKind::Gremlin.object_name()) {
                return Ok(None);
            }
            let plain = name.trim_end_matches("obj");
            let found = recording.layout_names.iter().position(|n| n == plain);
            let at = found.ok_or_else(|| fail(format!("`layout_names` lacks `{plain}`")))?;
            Ok(Some([recording.layout_xy[at * 2], recording.layout_xy[at * 2 + 1]]))
        };
        Ok(Self {
            steps,
            per_step,
            goal: state_field(spec, ObjectKind::Goal.object_name()),
            statics: recording.static_names.iter().map(fixed).collect::<Result<_, EnvError>>()?,
            bodies: recording.free_names.iter().map(place).collect::<Result<_, EnvError>>()?,
            homes: recording.free_names.iter().map(home).collect::<Result<_, EnvError>>()?,
        })
    }
}

/// The state field at which the object called `name` (kind and number, as `hazard3` or `gremlin0obj`) begins.
fn state_field(spec: &NavigationSpec, name: &str) -> Option<usize> {
    let name = name.trim_end_matches("obj");
    let kind = name.trim_end_matches(|c: char| c.is_ascii_digit());
    let number: usize = if kind == name { 0 } else { name[kind.len()..].parse().ok()? };
    let groups = spec.groups();
    let mut at = spec.state_dim() - groups.iter().map(|g| g.count * g.kind.fields()).sum::<usize>();
    for group in groups {
        if group.kind.object_name() == kind {
            return (number < group.count).then_some(at + number * group.kind.fields());
        }
        at += group.count * group.kind.fields();
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::registry::find;

    #[test]
    fn objects_are_found_by_name_and_number() {
        let spec = find("PointGoal2").unwrap();
        let goal = state_field(&spec, "goal").unwrap();
        assert_eq!(state_field(&spec, "hazard0"), Some(goal + 2));
        assert_eq!(state_field(&spec, "hazard9"), Some(goal + 20));
        assert_eq!(state_field(&spec, "vase1"), Some(goal + 22 + 13));
        assert_eq!(state_field(&spec, "hazard10"), None);
        assert_eq!(state_field(&spec, "gremlin0obj"), None);
        let spec = find("CarButton1").unwrap();
        let button = state_field(&spec, "button0").unwrap();
        assert_eq!(state_field(&spec, "goal"), Some(button + 8));
        assert_eq!(state_field(&spec, "gremlin1obj"), Some(button + 8 + 2 + 8 + 17));
    }
}
