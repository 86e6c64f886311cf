//! The examples of the crate `trainer` run to their end.

#[path = "../crates/trainer/examples/load_a_policy.rs"]
mod load_a_policy;
#[path = "../crates/trainer/examples/train.rs"]
mod train;
#[path = "../crates/trainer/examples/write_an_algorithm.rs"]
mod write_an_algorithm;

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
