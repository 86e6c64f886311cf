//! Objects: how they move, and what touching or approaching them costs.

mod body;
mod cost;
mod gremlin;
mod hazard;
mod kind;
mod motion;
mod obstacles;
mod pair;
mod sigwall;
mod touches;

#[cfg(test)]
pub use body::bodies_moving;
pub use body::{BodyModel, settle_bodies};
pub(crate) use cost::MarkHazards;
pub use cost::{cost_of, mark_hazards, object_costs};
pub use gremlin::{GREMLIN_HOME, GREMLIN_HOME_QUAT, drift, drift_stages, mocap_pull, orbit};
pub use kind::{ObjectGroup, ObjectKind};
pub use motion::{advance_objects, objects_begin, obstacles_finish, obstacles_stage};
pub use obstacles::{alone_range, obstacles_begin, obstacles_collide};
pub use touches::{publish_touches, touch_nothing};
