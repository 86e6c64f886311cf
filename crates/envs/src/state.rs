//! Where each number of an environment's state lies.
//!
//! The state of all environments is one tensor `[ceil(num_envs / 32), state_dim, 32]` (float32): a
//! block of 32 environments, field by field. Field `f` of the environment in lane `l` of a block is
//! `block[f * LANES + l]`; scalar bodies get the block as a slice and the lane as `base`. A rayon
//! worker owns whole blocks, a GPU warp reads 32 neighbouring numbers.

/// Environments in a block; the stride between the fields of one environment.
pub const LANES: usize = 32;

/// Steps taken in the current episode.
pub const STEPS: usize = 0;
/// Episodes begun, counting the current one; part of the random key.
pub const EPISODE: usize = 1;
/// Random numbers drawn in the current episode; part of the random key.
pub const DRAW: usize = 2;
/// 1 where the episode began with [`crate::VecEnv::reset_staggered`], else 0.
pub const PARTIAL: usize = 3;
/// Sum of rewards of the current episode.
pub const RETURN: usize = 4;
/// Sum of the first constraint's costs of the current episode; those of others stand behind the objects.
pub const COST: usize = 5;
/// First of three numbers a task may keep.
pub const TASK: usize = 6;
/// Where the row of the episode's fixed layout begins in the parameter slice; 0 where its layout was drawn.
pub const LAYOUT: usize = 9;
/// Steps since the episode was laid out, whatever its step count began with: the gremlins' clock.
pub const AGE: usize = 10;
/// First number of the agent; the first ones are common to all agents.
pub const AGENT: usize = 11;

/// Agent position x, world frame \[m\].
pub const X: usize = AGENT;
/// Agent position y, world frame \[m\].
pub const Y: usize = AGENT + 1;
/// Agent yaw in (-pi, pi] \[rad\].
pub const YAW: usize = AGENT + 2;
/// Velocity x of the agent's body origin, world frame \[m/s\].
pub const VX: usize = AGENT + 3;
/// Velocity y of the agent's body origin, world frame \[m/s\].
pub const VY: usize = AGENT + 4;
/// Yaw rate \[rad/s\].
pub const OMEGA: usize = AGENT + 5;
/// Cosine of the yaw.
pub const COS: usize = AGENT + 6;
/// Sine of the yaw.
pub const SIN: usize = AGENT + 7;
/// Displacement x in the last step \[m\]: finer than the difference of two float32 positions.
pub const DX: usize = AGENT + 8;
/// Displacement y in the last step \[m\].
pub const DY: usize = AGENT + 9;
/// Height of the agent's body origin above the floor \[m\].
pub const Z: usize = AGENT + 10;
/// 1 where the agent touches a solid or movable object at the end of the step, else 0.
pub const TOUCH: usize = AGENT + 11;
/// The bits of the kinds of cost that the touched objects bring, buttons apart.
pub const TOUCH_COSTS: usize = AGENT + 12;
/// Sum of 2^i over the buttons i that the agent touches at the end of the step.
pub const TOUCH_BUTTONS: usize = AGENT + 13;
/// 1 where the agent touched anything in any substep of the step, else 0.
pub const TOUCHED: usize = AGENT + 14;
/// 1 where a vase moves at the end of the step, else 0.
pub const MOVING: usize = AGENT + 15;
/// 1 where no free object moved or was in the agent's reach in the last step: all of them rest.
pub const IDLE: usize = AGENT + 16;
/// First number that belongs to one kind of agent.
pub const AGENT_OWN: usize = AGENT + 17;

/// Fields of an object that cannot move: x, y.
pub const STATIC_FIELDS: usize = 2;
/// Fields of a vase or the push box: position 3 \[m\], quaternion w x y z, velocity 3 \[m/s\], angular velocity 3
/// \[rad/s\]; world frame.
pub const FREE_OBJECT_FIELDS: usize = 13;
/// Fields of a gremlin: those of a free object, then where it began (x, y \[m\], w and z of its quaternion).
pub const GREMLIN_FIELDS: usize = 17;
