//! Objects: what touching or approaching them costs.

mod hazard;

pub use hazard::inside_hazard;
