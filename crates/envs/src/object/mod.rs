//! Objects: how they move, and what touching or approaching them costs.

mod hazard;
mod vase;

pub use hazard::inside_hazard;
pub use vase::{VASE_FIELDS, VASE_RANGE, VASE_REST_Z, vases_begin, vases_moving, vases_substep};
