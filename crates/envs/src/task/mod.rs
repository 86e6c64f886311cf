//! Tasks: what is rewarded, what ends.

mod button;
mod circle;
mod goal;
mod push;

pub use button::{Button, TARGET, TIMER, presses_wrong};
pub use circle::{Circle, outside};
pub use goal::Goal;
pub use push::{Push, measure};

#[cfg(feature = "gpu")]
use cubecl::prelude::*;

/// A task, composed statically with an agent; all functions see one environment's numbers only.
#[cfg_attr(feature = "gpu", cube)]
pub trait Task: 'static + Send + Sync {
    /// Completes a fresh layout (all objects placed, agent at rest).
    fn reset(params: &[f32], state: &mut [f32], base: usize, env: u32);

    /// Reward of the step just simulated; called once a step.
    fn reward(params: &[f32], state: &mut [f32], base: usize) -> f32;

    /// What the task does after reward and cost: a reached goal moves. False ends the episode.
    fn finish_step(params: &[f32], state: &mut [f32], base: usize, env: u32) -> bool;
}
