//! The parameter slice: what scalar bodies know of their level.

use super::{LIDAR_BINS, Level, ObjectGroup};
use crate::agent::AgentKind;
use crate::object::BodyModel;
use crate::rng::seed_parts;
use crate::state::AGENT_OWN;

/// Numbers the seed takes in the parameter slice.
pub const SEED_PARTS: usize = 4;
/// First part of the seed.
pub const PARAM_SEED: usize = 0;
/// The agent starts within plus or minus this, on either axis \[m\].
pub const PARAM_AGENT_RANGE: usize = 4;
/// Steps after which an episode is truncated.
pub const PARAM_MAX_STEPS: usize = 5;
/// The agent's clearance in a fresh layout \[m\].
pub const PARAM_AGENT_KEEPOUT: usize = 6;
/// Range of the lidars \[m\].
pub const PARAM_LIDAR_RANGE: usize = 7;
/// Number of object groups.
pub const PARAM_GROUPS: usize = 8;
/// Walls of the Circle task: 0, 2 or 4.
pub const PARAM_WALLS: usize = 9;
/// Field of the first free object (a level has one kind of them).
pub const PARAM_BODY_FIRST: usize = 10;
/// Number of free objects.
pub const PARAM_BODIES: usize = 11;
/// State fields of one of them.
pub const PARAM_BODY_FIELDS: usize = 12;
/// Their [`super::ObjectKind::code`].
pub const PARAM_BODY_KIND: usize = 13;
/// 1 where touching one costs.
pub const PARAM_BODY_COSTS: usize = 14;
/// Half-width of the box \[m\].
pub const PARAM_BODY_HALF: usize = 15;
/// Mass \[kg\].
pub const PARAM_BODY_MASS: usize = 16;
/// Moment of inertia about a horizontal axis \[kg m^2\].
pub const PARAM_BODY_MOMENT: usize = 17;
/// Moment of inertia about the vertical axis \[kg m^2\].
pub const PARAM_BODY_SPIN_MOMENT: usize = 18;
/// Reach from the centre to the farthest corner \[m\].
pub const PARAM_BODY_REACH: usize = 19;
/// Height of the centre at rest \[m\].
pub const PARAM_BODY_REST_Z: usize = 20;
/// Field of the first solid object (a level has one kind of them).
pub const PARAM_SOLID_FIRST: usize = 21;
/// Number of solid objects.
pub const PARAM_SOLIDS: usize = 22;
/// Their [`super::ObjectKind::code`].
pub const PARAM_SOLID_KIND: usize = 23;
/// Their radius \[m\].
pub const PARAM_SOLID_RADIUS: usize = 24;
/// 1 where touching one costs (of buttons: a wrong one).
pub const PARAM_SOLID_COSTS: usize = 25;
/// MuJoCo's timestep \[s\], ten of which are a step.
pub const PARAM_SUBSTEP: usize = 26;
/// First number of the first group's row.
pub const PARAM_GROUP: usize = 27;
/// Length of a group's row.
pub const GROUP_ROW: usize = 9;

/// Column of a group's row: [`super::ObjectKind::code`].
pub const GROUP_KIND: usize = 0;
/// Column: number of objects.
pub const GROUP_COUNT: usize = 1;
/// Column: field of the first object's x in the state.
pub const GROUP_OFFSET: usize = 2;
/// Column: fields of one object.
pub const GROUP_FIELDS: usize = 3;
/// Column: clearance \[m\].
pub const GROUP_KEEPOUT: usize = 4;
/// Column: radius or half-width \[m\].
pub const GROUP_SIZE: usize = 5;
/// Column: 1 where the group costs.
pub const GROUP_CONSTRAINED: usize = 6;
/// Column: first bin of the group's lidar in the observation.
pub const GROUP_LIDAR: usize = 7;
/// Column: objects are placed within plus or minus this, on either axis \[m\].
pub const GROUP_RANGE: usize = 8;

impl Level {
    /// The parameter slice of this level for `agent` under `seed`.
    pub fn params(&self, seed: u64, agent: AgentKind) -> Vec<f32> {
        let flag = |is: bool| f32::from(u8::from(is));
        let groups = self.groups(agent);
        let mut p = vec![0.0; PARAM_GROUP + GROUP_ROW * groups.len()];
        p[PARAM_SEED..PARAM_SEED + SEED_PARTS].copy_from_slice(&seed_parts(seed));
        p[PARAM_AGENT_RANGE] = self.agent_extent - self.agent_keepout;
        p[PARAM_MAX_STEPS] = self.max_episode_steps as f32;
        p[PARAM_AGENT_KEEPOUT] = self.agent_keepout;
        p[PARAM_LIDAR_RANGE] = self.lidar_range;
        p[PARAM_GROUPS] = groups.len() as f32;
        p[PARAM_WALLS] = self.walls as f32;
        p[PARAM_SUBSTEP] = agent.substep();
        let mut offset = AGENT_OWN + agent.state_fields();
        for (i, group) in groups.iter().enumerate() {
            if group.kind.is_free() {
                let model = BodyModel::of(group.kind, group.size);
                p[PARAM_BODY_FIRST] = offset as f32;
                p[PARAM_BODIES] = group.count as f32;
                p[PARAM_BODY_FIELDS] = group.kind.fields() as f32;
                p[PARAM_BODY_KIND] = group.kind.code();
                p[PARAM_BODY_COSTS] = flag(group.constrained);
                p[PARAM_BODY_HALF] = group.size;
                p[PARAM_BODY_MASS] = model.mass;
                p[PARAM_BODY_MOMENT] = model.moment;
                p[PARAM_BODY_SPIN_MOMENT] = model.spin_moment;
                p[PARAM_BODY_REACH] = model.reach;
                p[PARAM_BODY_REST_Z] = model.rest_z;
            }
            if group.kind.is_solid() {
                p[PARAM_SOLID_FIRST] = offset as f32;
                p[PARAM_SOLIDS] = group.count as f32;
                p[PARAM_SOLID_KIND] = group.kind.code();
                p[PARAM_SOLID_RADIUS] = group.size;
                p[PARAM_SOLID_COSTS] = flag(group.constrained);
            }
            let row = &mut p[PARAM_GROUP + i * GROUP_ROW..][..GROUP_ROW];
            row[GROUP_KIND] = group.kind.code();
            row[GROUP_COUNT] = group.count as f32;
            row[GROUP_OFFSET] = offset as f32;
            row[GROUP_FIELDS] = group.kind.fields() as f32;
            row[GROUP_KEEPOUT] = group.keepout;
            row[GROUP_SIZE] = group.size;
            row[GROUP_CONSTRAINED] = flag(group.constrained);
            row[GROUP_LIDAR] = (agent.sensor_dim() + i * LIDAR_BINS) as f32;
            row[GROUP_RANGE] = self.range_of(group);
            offset += group.count * group.kind.fields();
        }
        p
    }

    /// Half-width of the square in which `group`'s centres lie \[m\]; the circle stays at the origin.
    fn range_of(&self, group: &ObjectGroup) -> f32 {
        if group.kind == super::ObjectKind::Circle { 0.0 } else { self.half_extent - group.keepout }
    }
}
