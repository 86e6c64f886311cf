//! What an agent gives to the CPU's path, which moves 32 environments in step.

use super::Agent;

/// An agent that can move in vectors.
pub(crate) trait SimdAgent: Agent {
    /// Farthest point from the origin, and what the agent travels in a step, generously \[m\].
    const REACH: f32;
    /// What it covers of the floor.
    const FOOTPRINT: Footprint;
    /// What rocking within a step can add to the path of its corners \[m\].
    const ROCKING: f32;

    /// One step of all agents of a block over the bare floor under `action [lanes, action_dim]`.
    fn advance_free(state: &mut [f32], action: &[f32]);

    /// How far its corners stand out of the footprint because it is tilted \[m\]; None where it may fall.
    fn tilt_margin(state: &mut [f32], lane: usize) -> Option<f32>;
}

/// A rectangle in the agent's frame that holds the agent, upright \[m\].
#[derive(Clone, Copy, Debug)]
pub(crate) struct Footprint {
    /// Centre, x.
    pub x: f32,
    /// Centre, y.
    pub y: f32,
    /// Half length along x.
    pub half_x: f32,
    /// Half length along y.
    pub half_y: f32,
    /// Distance of the farthest corner from the origin.
    pub lever: f32,
}
