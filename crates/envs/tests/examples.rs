//! The examples of the crate run to their end.

#[path = "../examples/step_environments.rs"]
mod step_environments;

#[test]
fn environments_are_stepped() {
    step_environments::main().expect("the example holds");
}
