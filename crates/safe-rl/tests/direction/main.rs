//! Invariants of the blended direction, on random problems with a known symmetric positive definite Fisher matrix.

mod problem;

use burn::tensor::Tensor;
use problem::{P, Problem, dot, problems, values, weights};
use safe_rl::{Blend, MarginConfig, MarginWeights, Products, ProjectionKind, all_finite, blend, project};
use test_support::device::test_device;

/// Rounding of a float32 slope along a unit direction.
const ROUNDING: f64 = 2e-5;

#[test]
fn at_or_beyond_the_limit_the_direction_does_not_raise_cost() {
    for problem in problems() {
        for margin in [-3.0, -0.4, -0.05, 0.0] {
            let slope = dot(&problem.gradients[1], &problem.direction(ProjectionKind::Fisher, margin));
            assert!(slope <= ROUNDING * problem.size(1), "slope {slope} at margin {margin}");
        }
    }
}

#[test]
fn far_from_the_limit_the_direction_does_not_lower_reward() {
    let m_h = MarginConfig::default().margin_horizon;
    for problem in problems() {
        for margin in [m_h, 0.3, 0.5, 1.0] {
            let slope = dot(&problem.gradients[0], &problem.direction(ProjectionKind::Fisher, margin));
            assert!(slope >= -ROUNDING * problem.size(0), "slope {slope} at margin {margin}");
        }
    }
}

/// Weights as no margin couples them: with the default constants the safety weight alone keeps both promises above, at
/// least one half at the limit and below 0.08 far from it, so only these show what the projection does.
fn decoupled(safety_weight: f64, projection_strength: f64) -> MarginWeights {
    MarginWeights { safety_weight, projection_strength, ..weights(0.0) }
}

#[test]
fn a_full_projection_protects_cost_and_none_protects_reward_at_any_safety_weight() {
    for problem in problems() {
        for w in [0.0, 0.05, 0.3, 0.7, 1.0] {
            let direction = problem.weighted_direction(ProjectionKind::Fisher, &decoupled(w, 1.0));
            let slope = dot(&problem.gradients[1], &direction);
            assert!(slope <= ROUNDING * problem.size(1), "cost slope {slope} at weight {w}");
            let direction = problem.weighted_direction(ProjectionKind::Fisher, &decoupled(w, 0.0));
            let slope = dot(&problem.gradients[0], &direction);
            assert!(slope >= -ROUNDING * problem.size(0), "reward slope {slope} at weight {w}");
        }
    }
}

#[test]
fn without_a_projection_both_promises_are_broken() {
    let broken = |objective: usize, w: f64, sign: f64| {
        let slope = |p: &Problem| {
            sign * dot(&p.gradients[objective], &p.weighted_direction(ProjectionKind::None, &decoupled(w, 1.0)))
        };
        problems().iter().filter(|p| slope(p) > 1e-2 * p.size(objective)).count()
    };
    assert!(broken(1, 0.05, 1.0) > 50, "cost rises");
    assert!(broken(0, 0.95, -1.0) > 50, "reward falls");
}

#[test]
fn the_direction_tends_to_pure_reward_and_to_pure_safety() {
    for problem in problems() {
        let [reward, cost] = &problem.natural;
        let safe: Vec<f64> = cost.iter().map(|x| -x).collect();
        for kind in [ProjectionKind::Fisher, ProjectionKind::None, ProjectionKind::Hard, ProjectionKind::Euclidean] {
            assert!(problem.cosine(&problem.direction(kind, 20.0), reward) > 1.0 - 1e-6, "{kind:?}");
            assert!(problem.cosine(&problem.direction(kind, -20.0), &safe) > 1.0 - 1e-6, "{kind:?}");
        }
        // Weight zero is the plain natural gradient of unit length.
        let length = problem.inner(&problem.direction(ProjectionKind::Fisher, 20.0), reward) / problem.size(0);
        assert!((length - 1.0).abs() < 1e-5, "{length}");
    }
}

#[test]
fn the_direction_is_continuous_in_the_margin() {
    let mut cases: Vec<_> = (0..6).map(|seed| Problem::new(seed, 1.5)).collect();
    // The hard cases: natural gradients that oppose each other almost exactly, and exactly.
    cases.push(Problem::new(3, 300.0));
    let reward = cases[0].gradients[0].clone();
    let exact = [reward.clone(), reward.iter().map(|x| 2.0 * x).collect()];
    cases.push(Problem::from_gradients(cases[0].fisher.clone(), exact));
    for (i, problem) in cases.iter().enumerate() {
        let largest_jump = |h: f64| {
            let count = (0.8 / h) as usize;
            let mut last = problem.direction(ProjectionKind::Fisher, -0.4);
            let mut largest = 0.0f64;
            for k in 1..=count {
                let next = problem.direction(ProjectionKind::Fisher, -0.4 + k as f64 * h);
                let jump: Vec<f64> = next.iter().zip(&last).map(|(a, b)| a - b).collect();
                largest = largest.max(problem.inner(&jump, &jump).sqrt());
                last = next;
            }
            largest
        };
        let (coarse, fine) = (largest_jump(1e-3), largest_jump(1e-4));
        // A jump would not shrink with the step.
        assert!(fine < 0.03 && fine < 0.25 * coarse, "case {i}: {coarse} {fine}");
    }
}

#[test]
fn positive_scaling_of_either_gradient_changes_nothing() {
    for problem in problems() {
        for (reward, cost) in [(100.0, 1.0), (1.0, 0.01), (0.02, 50.0)] {
            for margin in [-0.1, 0.0, 0.1] {
                let a = problem.direction(ProjectionKind::Fisher, margin);
                let b = problem.scaled(reward, cost).direction(ProjectionKind::Fisher, margin);
                let difference: Vec<f64> = a.iter().zip(&b).map(|(a, b)| a - b).collect();
                assert!(problem.inner(&difference, &difference).sqrt() < 1e-4, "{reward} {cost} {margin}");
            }
        }
    }
}

#[test]
fn without_conflict_nothing_is_projected_and_with_one_the_projection_is_idempotent() {
    let metric = |p: &Problem| Products::metric(&Problem::tensor(&p.gradients), &Problem::tensor(&p.natural));
    for problem in problems() {
        let projection = project(&metric(&problem), 1.0);
        let a = values(projection.a)[0];
        if !problem.conflict() {
            assert_eq!((a, values(projection.b)[0]), (0.0, 0.0));
            let (x, y) =
                (problem.direction(ProjectionKind::Fisher, 0.05), problem.direction(ProjectionKind::None, 0.05));
            assert_eq!(x, y);
            continue;
        }
        // n_r' = n_r - a n_c, and its gradient transforms alike, being F~ n.
        let projected =
            |rows: &[Vec<f64>; 2]| [rows[0].iter().zip(&rows[1]).map(|(r, c)| r - a * c).collect(), rows[1].clone()];
        let after = Problem {
            fisher: problem.fisher.clone(),
            gradients: projected(&problem.gradients),
            natural: projected(&problem.natural),
        };
        let products = metric(&after);
        let cosine = values(products.pair()[2].clone())[0] / (problem.size(0) * problem.size(1));
        assert!(cosine.abs() < 1e-5, "still in conflict: {cosine}");
        let again = values(project(&products, 1.0).a)[0] * problem.size(1);
        assert!(again < 1e-5 * problem.size(0), "second projection moved by {again}");
    }
}

#[test]
fn the_euclidean_variant_projects_in_the_parameters_own_metric() {
    for problem in problems() {
        let natural = Problem::tensor(&problem.natural);
        let a = values(project(&Products::euclidean(&natural), 1.0).a)[0];
        let left: f64 = problem.natural[0].iter().zip(&problem.natural[1]).map(|(r, c)| (r - a * c) * c).sum();
        let scale =
            dot(&problem.natural[1], &problem.natural[1]).sqrt() * dot(&problem.natural[0], &problem.natural[0]).sqrt();
        // A harmful component (positive product with n_c) is gone; a harmless one was left alone.
        assert!(left <= 1e-5 * scale, "{left} of {scale}");
    }
}

#[test]
fn the_norm_and_the_conflict_describe_the_direction() {
    for problem in problems() {
        for kind in [ProjectionKind::Fisher, ProjectionKind::Euclidean, ProjectionKind::None, ProjectionKind::Hard] {
            let blend = problem.blend(kind, &weights(0.03));
            let direction = values(blend.direction(&Problem::tensor(&problem.natural)));
            let norm = problem.inner(&direction, &direction);
            assert!((values(blend.norm_squared.clone())[0] - norm).abs() < 1e-4 * (1.0 + norm), "{kind:?}");
            let summary = values(blend.summary());
            // Behind alpha, beta, q and s stands kappa, negative where the objectives conflict.
            assert_eq!((summary.len(), summary[4] < 0.0), (7, problem.conflict()));
        }
    }
}

#[test]
fn a_vanished_gradient_leaves_the_other_objective_alone() {
    let problem = Problem::new(1, 1.0);
    for margin in [-0.2, 0.0, 0.2] {
        let no_cost = problem.scaled(1.0, 0.0).direction(ProjectionKind::Fisher, margin);
        assert!((problem.inner(&no_cost, &problem.natural[0]) / problem.size(0) - 1.0).abs() < 1e-5);
        let no_reward = problem.scaled(0.0, 1.0).direction(ProjectionKind::Fisher, margin);
        let length = -problem.inner(&no_reward, &problem.natural[1]) / problem.size(1);
        assert!((length - weights(margin).safety_weight).abs() < 1e-5);
    }
    let nothing = problem.scaled(0.0, 0.0).blend(ProjectionKind::Fisher, &weights(0.0));
    assert_eq!(values(nothing.usable.clone().number()), [0.0]);
    assert_eq!(values(nothing.direction(&Problem::tensor(&problem.natural))), [0.0; P]);
}

#[test]
fn values_that_are_not_finite_never_reach_the_direction() {
    for objective in 0..2 {
        for bad in [f64::NAN, f64::INFINITY] {
            let mut problem = Problem::new(2, 1.0);
            problem.gradients[objective][3] = bad;
            problem.natural[objective][5] = bad;
            let blend = problem.blend(ProjectionKind::Fisher, &weights(0.0));
            assert_eq!(values(blend.usable.clone().number()), [0.0]);
            let direction = blend.direction(&Problem::tensor(&problem.natural));
            assert_eq!(values(all_finite(&direction).number()), [1.0]);
            assert_eq!(values(direction), [0.0; P]);
        }
    }
}

/// Natural gradients of three objectives, their own gradients in the Euclidean metric, and the direction blended of them.
fn direction_of(rows: [[f32; 3]; 3], weights: [MarginWeights; 2]) -> (Vec<f64>, Blend) {
    let natural = Tensor::<2>::from_floats(rows, &test_device());
    let products = Products::euclidean(&natural);
    let blend = blend(ProjectionKind::Fisher, &products, &products, &weights, None);
    (values(blend.direction(&natural)), blend)
}

#[test]
fn two_constraints_are_combined_as_worked_by_hand() {
    // Without a conflict. Each safe direction has length one, then weights 0.2 and 0.6 of 0.8 make (0, -1/4, -3/4), of length
    // sqrt(10) / 4; the larger weight is the blend's.
    let weights = [decoupled(0.2, 1.0), decoupled(0.6, 1.0)];
    let (direction, blend) = direction_of([[1.0, 0.0, 0.0], [0.0, 2.0, 0.0], [0.0, 0.0, 4.0]], weights);
    let length = 10.0f64.sqrt();
    for (got, expected) in direction.iter().zip([0.4, -0.6 / length, -0.6 * 3.0 / length]) {
        assert!((got - expected).abs() < 1e-6, "{direction:?}");
    }
    // alpha, beta, q, s, kappa, the squared norm 0.4^2 + 0.6^2 and the weight.
    for (got, expected) in values(blend.summary()).iter().zip([0.4, 2.4 / length, 1.0, 0.625, 0.0, 0.52, 0.6]) {
        assert!((got - expected).abs() < 1e-6, "{got} {expected}");
    }
    // With a conflict and full projection reward yields: what is left of (2, 2, 0) beside the safe direction (0, -1, 0).
    let (direction, _) =
        direction_of([[2.0, 2.0, 0.0], [0.0, 1.0, 0.0], [0.0, 5.0, 0.0]], [decoupled(0.5, 1.0), decoupled(0.5, 1.0)]);
    for (got, expected) in direction.iter().zip([0.5, -0.5, 0.0]) {
        assert!((got - expected).abs() < 1e-5, "{direction:?}");
    }
}

#[test]
fn a_second_constraint_that_says_the_same_or_nothing_changes_nothing() {
    for problem in problems().iter().take(20) {
        let stacked = |rows: &[Vec<f64>; 2], scale: f64| {
            let third = Problem::tensor(&[rows[1].iter().map(|x| scale * x).collect(), rows[1].clone()]);
            Tensor::cat(vec![Problem::tensor(rows), third.narrow(0, 0, 1)], 0)
        };
        for (scale, margin) in [(1.0, 0.05), (40.0, 0.0), (0.0, 0.05), (0.0, -0.1)] {
            let (gradients, natural) = (stacked(&problem.gradients, scale), stacked(&problem.natural, scale));
            let products = Products::metric(&gradients, &natural);
            let both = blend(ProjectionKind::Fisher, &products, &products, &[weights(margin), weights(margin)], None);
            let direction = values(both.direction(&natural));
            let alone = problem.direction(ProjectionKind::Fisher, margin);
            let difference: Vec<f64> = direction.iter().zip(&alone).map(|(a, b)| a - b).collect();
            assert!(problem.inner(&difference, &difference).sqrt() < 1e-4, "{scale} {margin}");
        }
    }
}

#[test]
fn a_cost_gradient_that_is_not_finite_makes_the_direction_unusable_whichever_it_is() {
    for objective in 0..3 {
        let mut rows = [[1.0, 0.0, 0.5], [0.0, 2.0, 0.0], [0.3, 0.0, 4.0]];
        rows[objective][1] = f32::NAN;
        let (direction, blend) = direction_of(rows, [weights(0.0), weights(0.1)]);
        assert_eq!((values(blend.usable.number()), direction), (vec![0.0], vec![0.0; 3]));
    }
}

#[test]
fn a_bounded_price_lowers_the_weight_of_safety() {
    let natural = Tensor::<2>::from_floats([[1.0, 0.0], [0.0, 2.0]], &test_device());
    let products = Products::euclidean(&natural);
    let of = |weight: f64, bound: f32| {
        let bound = Tensor::<1>::from_floats([bound], &test_device());
        let blend = blend(ProjectionKind::None, &products, &products, &[decoupled(weight, 1.0)], Some(&bound));
        (values(blend.direction(&natural)), values(blend.safety)[0])
    };
    // Odds of a quarter times |n_s| / |n_r| = 2, so a weight of a third: the direction climbs reward at a price of 1/4.
    let (direction, weight) = of(0.9, 0.25);
    assert!((weight - 1.0 / 3.0).abs() < 1e-6);
    assert!((direction[0] - 2.0 / 3.0).abs() < 1e-6 && (direction[1] + 1.0 / 3.0).abs() < 1e-6, "{direction:?}");
    assert!((-direction[1] / 2.0 / direction[0] - 0.25).abs() < 1e-6);
    assert!((of(0.2, 0.25).1 - 0.2).abs() < 1e-7, "a lower weight stays");
    let (direction, weight) = of(0.9, 0.0);
    assert!((direction[0] - 1.0).abs() < 1e-5 && direction[1] == 0.0 && weight == 0.0, "reward alone: {direction:?}");
    assert!((of(0.9, f32::MAX).1 - 0.9).abs() < 1e-6);

    // Of two constraints the tighter bound: their safe directions of length one have parts of a quarter and three.
    let natural = Tensor::<2>::from_floats([[1.0, 0.0, 0.0], [0.0, 2.0, 0.0], [0.0, 0.0, 4.0]], &test_device());
    let products = Products::euclidean(&natural);
    let weights = [decoupled(0.2, 1.0), decoupled(0.6, 1.0)];
    for (bounds, price) in [([0.05, 100.0], 0.05), ([100.0, 0.05], 0.05)] {
        let bound = Tensor::<1>::from_floats(bounds, &test_device());
        let blend = blend(ProjectionKind::None, &products, &products, &weights, Some(&bound));
        let direction = values(blend.direction(&natural));
        let prices = [-direction[1] / 2.0 / direction[0], -direction[2] / 4.0 / direction[0]];
        let bounded = if bounds[0] < 1.0 { prices[0] } else { prices[1] };
        assert!((bounded - price).abs() < 1e-6, "{bounds:?} {prices:?}");
    }
    // A gradient that has vanished is not bounded by what the other would allow.
    let gone = Products::euclidean(&Tensor::<2>::from_floats([[0.0, 0.0], [0.0, 2.0]], &test_device()));
    let bound = Tensor::<1>::from_floats([0.25], &test_device());
    let blend = blend(ProjectionKind::None, &gone, &gone, &[decoupled(0.9, 1.0)], Some(&bound));
    assert!((values(blend.beta)[0] - 0.45).abs() < 1e-6);
}
