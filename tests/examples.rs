//! The examples of the crate `trainer` run to their end.

#[path = "../crates/trainer/examples/load_a_policy.rs"]
mod load_a_policy;
#[path = "../crates/trainer/examples/train.rs"]
mod train;
#[path = "../crates/trainer/examples/write_an_algorithm.rs"]
mod write_an_algorithm;
#[path = "../crates/trainer/examples/write_an_environment.rs"]
mod write_an_environment;

#[test]
fn a_policy_is_trained() {
    train::main().expect("the example holds");
}

#[test]
fn an_algorithm_is_written() {
    write_an_algorithm::main().expect("the example holds");
}

#[test]
fn a_policy_is_loaded() {
    load_a_policy::main().expect("the example holds");
}

/// The optimum is 9.6 m; whoever ignores the limit drives up to 50 m at a cost of 90.
#[test]
fn a_written_environment_is_solved_within_its_limit() {
    write_an_environment::main().expect("the example holds");
}
