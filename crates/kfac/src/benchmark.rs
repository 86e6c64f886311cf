//! An update for others to time, what it costs at the least, and what the machine could do.

mod operations;
mod peak;
mod policy_update;

pub use operations::Operations;
pub use peak::Peak;
pub use policy_update::{PartSeconds, PolicyUpdate};
