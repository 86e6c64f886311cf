//! What an update does in a few launches on a GPU, against the CPU backend: parts of `trainer check`.

#[path = "check/part.rs"]
mod part;

use part::holds;

#[test]
fn advantages_in_one_launch_equal_the_cpus() {
    holds("kernel/advantages");
}

#[test]
fn the_gradient_of_a_regression_equals_the_cpus() {
    holds("kernel/regression");
}

#[test]
fn the_passes_of_an_update_equal_the_cpus() {
    holds("kernel/passes");
}

#[test]
fn adam_equals_the_cpus_and_skips_what_is_not_finite() {
    holds("kernel/adam");
}

#[test]
fn inverses_equal_the_cpus_the_hopeless_ones_included() {
    holds("kernel/inverses");
}

#[test]
fn steering_numbers_equal_the_cpus_special_ones_included() {
    holds("kernel/blend");
}

#[test]
fn the_guard_decides_as_on_the_cpu() {
    holds("kernel/guard");
}

#[test]
fn a_minibatch_is_gathered_bit_for_bit() {
    holds("kernel/gather");
}

#[test]
fn surrogates_equal_the_cpus() {
    holds("kernel/surrogates");
}

#[test]
fn divergences_equal_the_cpus() {
    holds("kernel/divergences");
}

#[test]
fn averages_take_what_the_mask_lets_in() {
    holds("kernel/averages");
}

#[test]
fn what_is_not_finite_is_found_and_what_is_refused_does_not_enter() {
    holds("kernel/finite");
}

#[test]
fn a_step_is_as_long_as_on_the_cpu() {
    holds("kernel/step");
}

#[test]
fn updates_of_every_kind_equal_the_cpus() {
    holds("update");
}

#[test]
fn an_iteration_is_the_cpus_and_repeats_its_bits() {
    holds("train/iteration");
    holds("train/repeat");
}

#[test]
fn a_recorded_regression_has_the_bits_of_its_launches() {
    holds("train/graph");
}
