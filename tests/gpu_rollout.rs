//! The rollout in one launch against the same rollout step by step, on the device and on the CPU: parts of `trainer check`.

#[path = "check/part.rs"]
mod part;

use part::holds;

#[test]
fn point_goal() {
    holds("rollout/PointGoal1");
}

#[test]
fn odd_widths_and_relu() {
    holds("rollout/odd-widths");
}

#[test]
fn car_on_the_bare_floor() {
    holds("rollout/CarGoal0");
}

/// The deployed policy is measured in one launch as it is on the CPU step by step, by its means.
#[test]
fn means_are_measured() {
    holds("rollout/means");
}

/// Several steps a launch give the same bits as one.
#[test]
fn steps_of_a_launch_do_not_matter() {
    holds("rollout/launches");
}
