//! What an environment step costs in arithmetic, for comparisons with a machine's peak.

use envs::{AgentKind, NavigationSpec};

/// Floating-point operations of an average step: (level, Point, Car, Racecar), counted as executed, by
/// `crates/envs/benches/count_operations.rs` (256 environments, 500 steps under random actions; valgrind).
///
/// A step that meets nothing costs the Point 750 to 1,200, the Car 90,000, whose wheels rest on a soft floor, and the Racecar
/// 780,000, whose four do so at four stages of every timestep (counted over 32 environments and 60 steps); the rest are contacts
/// and the layouts of new episodes. Lanes that a vector computes in vain are counted too.
const OPERATIONS: [(&str, f64, f64, f64); 13] = [
    ("Goal0", 780.0, 90_800.0, 777_000.0),
    ("Goal1", 1_700.0, 94_000.0, 779_000.0),
    ("Goal2", 10_400.0, 112_000.0, 801_000.0),
    ("Button0", 1_200.0, 109_000.0, 786_000.0),
    ("Button1", 8_100.0, 131_000.0, 815_000.0),
    ("Button2", 9_100.0, 137_000.0, 810_000.0),
    ("Push0", 17_400.0, 112_000.0, 961_000.0),
    ("Push1", 13_400.0, 111_000.0, 915_000.0),
    ("Push2", 8_000.0, 106_000.0, 793_000.0),
    ("Circle0", 750.0, 90_800.0, 778_000.0),
    ("Circle1", 750.0, 90_800.0, 778_000.0),
    ("Circle2", 750.0, 90_800.0, 778_000.0),
    // Not counted apart: the motion of Circle, without its lidar.
    ("Run0", 750.0, 90_800.0, 778_000.0),
];

/// Floating-point operations of an average step under random actions, autoreset included; NaN where nobody counted them.
pub fn operations_per_step(spec: &NavigationSpec) -> f64 {
    let row = OPERATIONS.iter().find(|(level, ..)| *level == spec.level.name);
    row.map_or(f64::NAN, |(_, point, car, racecar)| match spec.agent {
        AgentKind::Point => *point,
        AgentKind::Car => *car,
        AgentKind::Racecar => *racecar,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_environment_has_a_count() {
        for spec in envs::registry() {
            let count = operations_per_step(spec);
            assert!((500.0..1e6).contains(&count), "{}: {count}", spec.env.id);
        }
    }
}
