//! What a level may hold: the limits of the code that simulates it.

use super::Level;
use crate::contact::MAX_BODIES;
use crate::error::EnvError;
use crate::object::{ObjectGroup, ObjectKind};
use crate::task::TaskKind;

/// Objects of all kinds; the layout sampler has no room for more.
pub const MAX_OBJECTS: usize = 39;
/// Buttons that one float32 can tell apart.
const MAX_BUTTONS: usize = 24;
/// Longest lengths \[m\], far beyond any arena: positions stay exact to a hundredth of a millimetre.
const FARTHEST: f32 = 100.0;
/// Smallest radius or half-width \[m\]: lighter bodies are lost in float32.
const SMALLEST: f32 = 0.01;
/// Largest radius or half-width \[m\].
const LARGEST: f32 = 10.0;
/// Steps that float32 counts exactly.
const MAX_STEPS: usize = 1 << 24;

impl Level {
    /// Whether the environments can be simulated in this level.
    ///
    /// # Errors
    /// [`EnvError::Level`], which names the group or field and what is allowed.
    pub fn validate(&self) -> Result<(), EnvError> {
        let result =
            self.check_fields().and_then(|()| self.check_groups()).and_then(|()| self.task.check(&self.groups));
        let result = result.and_then(|()| self.check_costs()).and_then(|()| self.check_layouts());
        result.map_err(|problem| EnvError::Level { level: self.name.clone(), problem })
    }

    fn check_fields(&self) -> Result<(), String> {
        let named = |c: char| c.is_ascii_alphanumeric() || c == '-' || c == '_';
        if self.name.is_empty() || !self.name.chars().all(named) {
            return Err("`name` must consist of letters, digits, - and _".to_owned());
        }
        let lengths =
            [("half_extent", self.half_extent), ("agent_extent", self.agent_extent), ("lidar_range", self.lidar_range)];
        if let Some((name, value)) = lengths.into_iter().find(|(_, value)| !(*value > 0.0 && *value <= FARTHEST)) {
            return Err(format!("`{name}` = {value}: must be above 0, at most {FARTHEST} m"));
        }
        let (extent, keepout) = (self.agent_extent, self.agent_keepout);
        if let Some(area) = self.agent_area {
            let legal = |x: f32| x.abs() <= FARTHEST;
            if !(area.iter().flatten().all(|x| legal(*x)) && (0..2).all(|axis| area[0][axis] <= area[1][axis])) {
                return Err(format!(
                    "`agent_area` = {area:?}: must be two corners within {FARTHEST} m, the lower left one first"
                ));
            }
        }
        let (_, half) = self.agent_place();
        if !(keepout >= 0.0 && half.iter().all(|room| room.is_finite() && *room >= 0.0)) {
            return Err(match self.agent_area {
                None => format!("`agent_keepout` = {keepout}: must be from 0 to `agent_extent` = {extent}"),
                Some(area) => {
                    format!("`agent_keepout` = {keepout}: must be from 0, and leave room in `agent_area` = {area:?}")
                }
            });
        }
        if !(self.wall_distance > 0.0 && self.wall_distance <= FARTHEST) {
            return Err(format!("`wall_distance` = {}: must be above 0, at most {FARTHEST} m", self.wall_distance));
        }
        if ![0, 2, 4].contains(&self.walls) {
            return Err(format!("`walls` = {}: must be 0, 2 or 4", self.walls));
        }
        if self.max_episode_steps == 0 || self.max_episode_steps >= MAX_STEPS {
            return Err(format!(
                "`max_episode_steps` = {}: must be from 1 to {}",
                self.max_episode_steps,
                MAX_STEPS - 1
            ));
        }
        if let Some(cost) = self.terminate_at_cost.filter(|cost| !(cost.is_finite() && *cost > 0.0)) {
            return Err(format!("`terminate_at_cost` = {cost}: must be positive"));
        }
        if !self.continue_goal && matches!(self.task, TaskKind::Circle | TaskKind::Run) {
            return Err(format!("`continue_goal` = false: {} has no goal to reach", self.task.name()));
        }
        Ok(())
    }

    fn check_groups(&self) -> Result<(), String> {
        for (i, group) in self.groups.iter().enumerate() {
            let kind = group.kind.object_name();
            self.check_group(group).map_err(|problem| format!("groups[{i}] ({kind}): {problem}"))?;
        }
        self.at_most_one("free objects (vase, gremlin, push_box)", ObjectKind::is_free)?;
        self.at_most_one("solid objects (button, pillar)", ObjectKind::is_solid)?;
        self.at_most_one("goals", |kind| kind == ObjectKind::Goal)?;
        let objects: usize = self.groups.iter().map(|group| group.count).sum();
        if objects > MAX_OBJECTS {
            return Err(format!("{objects} objects: at most {MAX_OBJECTS} are possible"));
        }
        Ok(())
    }

    fn at_most_one(&self, what: &str, is: fn(ObjectKind) -> bool) -> Result<(), String> {
        let mut groups = self.groups.iter().enumerate().filter(|(_, group)| is(group.kind));
        match (groups.next(), groups.next()) {
            (Some((first, _)), Some((second, group))) => Err(format!(
                "groups[{second}] ({}): there is room for one group of {what}, and groups[{first}] is one",
                group.kind.object_name()
            )),
            _ => Ok(()),
        }
    }

    fn check_group(&self, group: &ObjectGroup) -> Result<(), String> {
        let most = match group.kind {
            kind if kind.is_free() => MAX_BODIES,
            ObjectKind::Button => MAX_BUTTONS,
            ObjectKind::Goal | ObjectKind::Circle => 1,
            _ => MAX_OBJECTS,
        };
        if group.count == 0 || group.count > most {
            return Err(format!("`count` = {}: must be from 1 to {most}", group.count));
        }
        if !(SMALLEST..=LARGEST).contains(&group.size) {
            return Err(format!("`size` = {}: must be from {SMALLEST} to {LARGEST} m", group.size));
        }
        let circle = group.kind == ObjectKind::Circle;
        if circle && self.task != TaskKind::Circle {
            return Err(format!("belongs to the task Circle, not to {}", self.task.name()));
        }
        if !circle && !(0.0..=self.half_extent).contains(&group.keepout) {
            let extent = self.half_extent;
            return Err(format!("`keepout` = {}: must be from 0 to `half_extent` = {extent}", group.keepout));
        }
        let can_cost = match group.kind {
            ObjectKind::Goal | ObjectKind::Circle => false,
            ObjectKind::Button => self.task == TaskKind::Button,
            _ => true,
        };
        if group.constrained && !can_cost {
            return Err(format!("`constrained`: it costs nothing in the task {}", self.task.name()));
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::level::levels;

    fn level(name: &str) -> Level {
        levels().iter().find(|level| level.name == name).expect("a level of the suite").as_ref().clone()
    }

    /// The message with which `change` of the level `name` is refused.
    fn refusal(name: &str, change: impl FnOnce(&mut Level)) -> String {
        let mut level = level(name);
        change(&mut level);
        level.validate().expect_err("no such level can be simulated").to_string()
    }

    #[test]
    fn every_level_of_the_suite_is_valid() {
        levels().iter().for_each(|level| level.validate().expect("a level of the suite"));
    }

    #[test]
    fn a_refusal_names_the_group_and_what_is_allowed() {
        let gremlins = ObjectGroup { kind: ObjectKind::Gremlin, count: 2, keepout: 0.4, size: 0.1, constrained: true };
        let message = refusal("Goal1", |level| level.groups.push(gremlins));
        assert!(message.contains("`Goal1`") && message.contains("groups[3] (gremlin)"), "{message}");
        assert!(message.contains("one group of free objects") && message.contains("groups[2]"), "{message}");
        let message = refusal("Goal1", |level| level.groups[2].count = 11);
        assert!(message.contains("groups[2] (vase)") && message.contains("from 1 to 10"), "{message}");
        let message = refusal("Goal1", |level| level.groups[1].size = f32::NAN);
        assert!(message.contains("groups[1] (hazard)") && message.contains("`size`"), "{message}");
        let message = refusal("Goal1", |level| level.groups[1].keepout = 2.0);
        assert!(message.contains("groups[1] (hazard)") && message.contains("`half_extent` = 1.5"), "{message}");
        let message = refusal("Goal1", |level| level.groups.swap(0, 1));
        assert!(message.contains("first group must be one goal"), "{message}");
        let message = refusal("Push1", |level| {
            level.groups.pop();
        });
        assert!(message.contains("exactly 1 push_box"), "{message}");
        let message = refusal("Button1", |level| level.groups.swap(0, 1));
        assert!(message.contains("buttons first"), "{message}");
        let message = refusal("Goal1", |level| level.groups[0].constrained = true);
        assert!(message.contains("groups[0] (goal)") && message.contains("constrained"), "{message}");
    }

    #[test]
    fn a_refusal_names_the_field_and_what_is_allowed() {
        type Edit = fn(&mut Level);
        let cases: [(Edit, &str); 9] = [
            (|level| level.walls = 3, "0, 2 or 4"),
            (|level| level.wall_distance = f32::NAN, "`wall_distance`"),
            (|level| level.agent_area = Some([[0.0, 0.5], [1.0, 0.4]]), "lower left"),
            (|level| level.agent_area = Some([[0.0, 0.0], [1.0, 0.5]]), "leave room in `agent_area`"),
            (|level| level.max_episode_steps = 0, "`max_episode_steps`"),
            (|level| level.agent_keepout = 2.0, "`agent_extent` = 1.5"),
            (|level| level.lidar_range = 0.0, "`lidar_range`"),
            (|level| level.name = "a b".to_owned(), "letters"),
            (|level| level.terminate_at_cost = Some(0.0), "`terminate_at_cost`"),
        ];
        for (change, part) in cases {
            let message = refusal("Goal1", change);
            assert!(message.contains(part), "{message}");
        }
    }
}
