//! Objects: how they move, and what touching or approaching them costs.

mod body;
mod gremlin;
mod hazard;
mod obstacles;
mod touches;

#[cfg(test)]
pub use body::bodies_moving;
pub use body::{BodyModel, FREE_OBJECT_FIELDS, settle_bodies};
pub use gremlin::{GREMLIN_FIELDS, GREMLIN_HOME, GREMLIN_HOME_QUAT, drift, mocap_pull, orbit};
pub use hazard::inside_hazard;
pub use obstacles::{advance_bodies, alone_range, obstacles_begin, obstacles_collide, obstacles_finish};
pub use touches::{publish_touches, touch_nothing};
