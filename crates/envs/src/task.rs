//! Tasks: what is rewarded, what costs, what ends.
//!
//! A task is a file of its own and a row of [`tasks!`].

mod button;
mod circle;
mod goal;
mod push;
mod run;

pub use button::{Button, TARGET, TIMER};
pub use circle::Circle;
pub use goal::Goal;
pub use push::Push;
pub use run::Run;

#[cfg(feature = "gpu")]
use cubecl::prelude::*;
use serde::{Deserialize, Serialize};

use crate::object::ObjectGroup;

/// The table of tasks: hands its rows to the macro `$then`.
macro_rules! tasks {
    ($then:ident! $arguments:tt) => {
        $then! { $arguments
            /// Reach the goal, again and again.
            Goal,
            /// Press the target button, again and again.
            Button,
            /// Push the box to the goal, again and again.
            Push,
            /// Drive along the circle.
            Circle,
            /// Go as far as possible between two lines.
            Run,
        }
    };
}
pub(crate) use tasks;

/// A task, composed statically with an agent; all functions see one environment's numbers only.
#[cfg_attr(feature = "gpu", cube)]
pub trait Task: 'static + Send + Sync {
    /// Completes a fresh layout (all objects placed, agent at rest).
    fn reset(params: &[f32], state: &mut [f32], base: usize, env: u32);

    /// Reward of the step just simulated; called once per step.
    fn reward(params: &[f32], state: &mut [f32], base: usize) -> f32;

    /// The bits of the kinds of cost ([`crate::CostKind`]) that the step just simulated brings.
    fn costs(params: &[f32], state: &mut [f32], base: usize) -> u32;

    /// What the task does after reward and cost: a reached goal moves. False ends the episode.
    fn update(params: &[f32], state: &mut [f32], base: usize, env: u32) -> bool;

    /// Whether the lidars see objects of the kind with code `kind` now.
    fn sees(state: &mut [f32], base: usize, kind: f32) -> bool;
}

/// What the host knows of a task.
pub trait TaskModel: Task {
    /// Whether it keeps the number of a target button and a timer in the state, which recordings have too.
    const HAS_TARGET: bool = false;

    /// What a level of this task must hold.
    ///
    /// # Errors
    /// What is missing or in the wrong place.
    fn check(groups: &[ObjectGroup]) -> Result<(), String>;

    /// Brings what the task keeps in the state up to date with poses that were written into it.
    fn restore(_params: &[f32], _state: &mut [f32], _base: usize) {}
}

macro_rules! task_kind {
    (() $($(#[$doc:meta])+ $task:ident,)+) => {
        /// Which task a level belongs to.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
        pub enum TaskKind {
            $($(#[$doc])+ $task,)+
        }

        impl TaskKind {
            /// Every task.
            pub const ALL: &'static [Self] = &[$(Self::$task,)+];

            /// Name in environment ids.
            pub const fn name(self) -> &'static str {
                match self { $(Self::$task => stringify!($task),)+ }
            }

            /// Whether it keeps the number of a target button and a timer.
            pub(crate) const fn has_target(self) -> bool {
                match self { $(Self::$task => $task::HAS_TARGET,)+ }
            }

            /// What a level of this task must hold.
            pub(crate) fn check(self, groups: &[ObjectGroup]) -> Result<(), String> {
                match self { $(Self::$task => $task::check(groups),)+ }
            }
        }
    };
}
tasks!(task_kind!());
