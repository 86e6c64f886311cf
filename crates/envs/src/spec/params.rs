//! Fills the parameter slice from an agent and a level.

use super::NavigationSpec;
use crate::level::{CostKind, CostRule};
use crate::lidar::LIDAR_BINS;
use crate::object::{BodyModel, ObjectGroup, ObjectKind};
use crate::params::*;
use crate::rng::seed_parts;
use crate::state::AGENT_OWN;

/// The bit of the kind of cost that touching an object of the group brings.
fn touch_cost(group: &ObjectGroup) -> f32 {
    let kind = match group.kind {
        ObjectKind::Vase => CostKind::VasesContact,
        ObjectKind::Pillar => CostKind::Pillars,
        ObjectKind::Gremlin => CostKind::Gremlins,
        ObjectKind::Button => CostKind::Buttons,
        ObjectKind::PushBox => CostKind::PushBox,
        ObjectKind::Goal | ObjectKind::Hazard | ObjectKind::Circle => return 0.0,
    };
    if group.constrained { kind.bit() as f32 } else { 0.0 }
}

impl NavigationSpec {
    /// Parameters of the scalar bodies for this environment under `seed`.
    pub(crate) fn params(&self, seed: u64) -> Vec<f32> {
        let flag = |is: bool| f32::from(u8::from(is));
        let (agent, level, groups) = (self.agent, &self.level, self.groups());
        let mut p = vec![0.0; PARAM_GROUP + GROUP_ROW * groups.len()];
        p[PARAM_SEED..PARAM_SEED + SEED_PARTS].copy_from_slice(&seed_parts(seed));
        let (middle, half) = level.agent_place();
        [p[PARAM_AGENT_X], p[PARAM_AGENT_Y]] = middle;
        [p[PARAM_AGENT_RANGE], p[PARAM_AGENT_RANGE_Y]] = half;
        p[PARAM_MAX_STEPS] = level.max_episode_steps as f32;
        p[PARAM_AGENT_KEEPOUT] = level.agent_keepout;
        p[PARAM_LIDAR_RANGE] = level.lidar_range;
        p[PARAM_GROUPS] = groups.len() as f32;
        p[PARAM_WALLS] = level.walls as f32;
        p[PARAM_WALL_DISTANCE] = level.wall_distance;
        p[PARAM_SUBSTEP] = agent.substep();
        p[PARAM_STAGES] = agent.stages() as f32;
        p[PARAM_CONTINUE] = flag(level.continue_goal);
        p[PARAM_COST_END] = level.terminate_at_cost.unwrap_or(f32::MAX);
        let mut offset = AGENT_OWN + agent.state_fields();
        for (i, group) in groups.iter().enumerate() {
            if group.kind.is_free() {
                let model = BodyModel::of(group.kind, group.size);
                p[PARAM_BODY_FIRST] = offset as f32;
                p[PARAM_BODIES] = group.count as f32;
                p[PARAM_BODY_FIELDS] = group.kind.fields() as f32;
                p[PARAM_BODY_KIND] = group.kind.code();
                p[PARAM_BODY_COSTS] = touch_cost(group);
                p[PARAM_BODY_HALF] = group.size;
                p[PARAM_BODY_MASS] = model.mass;
                p[PARAM_BODY_MOMENT] = model.moment;
                p[PARAM_BODY_SPIN_MOMENT] = model.spin_moment;
                p[PARAM_BODY_REACH] = model.reach;
                p[PARAM_BODY_REST_Z] = model.rest_z;
                let before: usize = groups[..i].iter().map(|group| group.count).sum();
                p[PARAM_LAYOUT_BODIES] = (LAYOUT_OBJECTS + POSE * before) as f32;
            }
            if group.kind.is_solid() {
                p[PARAM_SOLID_FIRST] = offset as f32;
                p[PARAM_SOLIDS] = group.count as f32;
                p[PARAM_SOLID_KIND] = group.kind.code();
                p[PARAM_SOLID_RADIUS] = group.size;
                p[PARAM_SOLID_COSTS] = touch_cost(group);
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
        let sums = level.cost_sums();
        p[PARAM_COSTS] = sums.len() as f32;
        p[PARAM_COST_FIRST] = p.len() as f32;
        p[PARAM_COST_STATE] = offset as f32;
        for sum in &sums {
            let bits: u32 = sum.kinds.iter().map(|kind| kind.bit()).sum();
            p.extend([bits as f32, flag(level.cost != CostRule::Indicator)]);
            p.extend(CostKind::ALL.iter().map(|kind| level.weight(*kind)));
        }
        let layouts = self.layout_rows();
        p[PARAM_LAYOUTS] = layouts.len() as f32;
        p[PARAM_LAYOUT_FIRST] = p.len() as f32;
        p[PARAM_LAYOUT_ROW] = layouts.first().map_or(0, Vec::len) as f32;
        p.extend(layouts.into_iter().flatten());
        p
    }

    /// Half-width of the square in which `group`'s centres lie \[m\]; the circle stays at the origin.
    fn range_of(&self, group: &ObjectGroup) -> f32 {
        if group.kind == ObjectKind::Circle { 0.0 } else { self.level.half_extent - group.keepout }
    }
}
