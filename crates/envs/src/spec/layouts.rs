//! A level's fixed layouts as rows of the parameter slice.

use std::sync::Arc;

use super::NavigationSpec;
use crate::batch::reset_first;
use crate::kinds::for_kind;
use crate::level::{Layout, Level, PlacedLayout, Pose};
use crate::object::ObjectKind;
use crate::params::{DRAWN, LAYOUT_AGENT, LAYOUT_OBJECTS, LAYOUT_TARGET, POSE};
use crate::purpose::Purpose;
use crate::state::{AGENT_OWN, EPISODE, LANES, STATIC_FIELDS, X, Y, YAW};
use crate::task::TARGET;

/// First of the four numbers (w, x, y, z) of a free object's orientation, after its position.
const QUATERNION: usize = 3;

impl NavigationSpec {
    /// A row per layout: agent, target and objects.
    pub(super) fn layout_rows(&self) -> Vec<Vec<f32>> {
        let row = |layout: &Layout| match layout {
            Layout::Numbered { seed, number } => self.numbered_row(*seed, *number),
            Layout::Placed(placed) => self.placed_row(placed),
        };
        self.level.layouts.iter().map(row).collect()
    }

    fn empty_row(&self) -> Vec<f32> {
        let objects: usize = self.level.groups.iter().map(|group| group.count).sum();
        let mut row = vec![0.0; LAYOUT_OBJECTS + POSE * objects];
        row[LAYOUT_TARGET] = DRAWN;
        row
    }

    fn placed_row(&self, placed: &PlacedLayout) -> Vec<f32> {
        let mut row = self.empty_row();
        let mut write = |at: usize, pose: &Pose| {
            row[at..at + POSE].copy_from_slice(&[pose.x, pose.y, pose.yaw.unwrap_or(DRAWN)]);
        };
        write(LAYOUT_AGENT, &placed.agent);
        let mut at = LAYOUT_OBJECTS;
        for (i, group) in self.level.groups.iter().enumerate() {
            let before = self.level.groups[..i].iter().filter(|other| other.kind == group.kind);
            let skip: usize = before.map(|other| other.count).sum();
            let poses = placed.objects.get(&group.kind).into_iter().flatten().skip(skip);
            for (object, pose) in poses.take(group.count).enumerate() {
                write(at + POSE * object, pose);
            }
            at += POSE * group.count;
        }
        if let Some(target) = placed.target {
            row[LAYOUT_TARGET] = target as f32;
        }
        row
    }

    /// What the environment `number` of an evaluation with `seed` begins with: it is made and then reset, so that its first
    /// episode is the second.
    fn numbered_row(&self, seed: u64, number: u32) -> Vec<f32> {
        let level = Level { layouts: Vec::new(), ..Level::clone(&self.level) };
        let drawn = Self::of(self.agent, Arc::new(level));
        let mut state = vec![0.0; drawn.state_dim() * LANES];
        state[EPISODE * LANES] = 1.0;
        let reset = for_kind!(self.agent, self.level.task, reset_first);
        reset(&drawn.params(Purpose::Evaluating.seed(seed)), &mut state, number);
        let get = |field: usize| state[field * LANES];
        let mut row = self.empty_row();
        row[LAYOUT_AGENT..LAYOUT_AGENT + POSE].copy_from_slice(&[get(X), get(Y), get(YAW)]);
        if self.level.groups.iter().any(|group| group.kind == ObjectKind::Button) && self.level.task.has_target() {
            row[LAYOUT_TARGET] = get(TARGET);
        }
        let (mut at, mut field) = (LAYOUT_OBJECTS, AGENT_OWN + self.agent.state_fields());
        for group in &self.level.groups {
            for _ in 0..group.count {
                let turned = group.kind.fields() > STATIC_FIELDS;
                let half = |w: usize| get(field + w + 3).atan2(get(field + w));
                let yaw = if turned { 2.0 * half(QUATERNION) } else { DRAWN };
                row[at..at + POSE].copy_from_slice(&[get(field), get(field + 1), yaw]);
                at += POSE;
                field += group.kind.fields();
            }
        }
        row
    }
}
