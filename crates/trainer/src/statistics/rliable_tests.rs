//! Holds the statistics to the package rliable, by what `tests/report/compare_rliable.py` printed for the scores beside it.

use serde_json::Value;

use super::{Scores, probability_of_improvement, probability_of_improvement_interval};

/// Figures are printed with six digits.
const ROUNDING: f64 = 1e-6;
/// Two bootstraps draw by different random numbers: 10,000 resamples here, 50,000 there.
const DRAWS: f64 = 0.006;

fn scores(name: &str) -> Scores {
    let all: Value = serde_json::from_str(include_str!("../../../../tests/report/scores.json")).unwrap();
    Scores::new(serde_json::from_value(all[name].clone()).unwrap())
}

fn assert_interval((low, high): (f64, f64), (expected_low, expected_high): (f64, f64)) {
    assert!((low - expected_low).abs() < DRAWS, "{low} for {expected_low}");
    assert!((high - expected_high).abs() < DRAWS, "{high} for {expected_high}");
}

#[test]
fn interquartile_means_are_those_of_rliable() {
    for (name, mean, interval) in [("x", 0.728889, (0.6622, 0.7933)), ("y", 0.653333, (0.6133, 0.6923))] {
        let scores = scores(name);
        assert!((scores.interquartile_mean() - mean).abs() < ROUNDING, "{name}");
        assert_interval(scores.interquartile_mean_interval(), interval);
    }
}

#[test]
fn the_probability_of_improvement_is_that_of_rliable() {
    let (x, y) = (scores("x"), scores("y"));
    assert!((probability_of_improvement(&x, &y) - 0.646667).abs() < ROUNDING);
    // Steps of 1/75 between the possible values: an end may fall on a neighbour.
    let (low, high) = probability_of_improvement_interval(&x, &y);
    assert!((low - 0.4667).abs() < 0.014 && (high - 0.8267).abs() < 0.014, "{low} {high}");
}

#[test]
fn performance_profiles_are_those_of_rliable() {
    let thresholds = [0.3, 0.5, 0.6, 0.8, 1.0];
    for (name, expected) in
        [("x", [0.933333, 0.666667, 0.6, 0.466667, 0.2]), ("y", [0.933333, 0.8, 0.533333, 0.266667, 0.0])]
    {
        for (share, expected) in scores(name).profile(&thresholds).into_iter().zip(expected) {
            assert!((share - expected).abs() < ROUNDING, "{name}: {share} for {expected}");
        }
    }
}
