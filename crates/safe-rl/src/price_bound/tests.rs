use super::*;

/// The defaults without a power, written out: the numbers below are worked from them.
const BOUND: PriceBoundConfig = PriceBoundConfig {
    price_bound: 1.0,
    price_noisy: None,
    price_power: 0.0,
    price_bound_hold: 0.3,
    price_bound_end: 0.7,
    price_gain: 0.5,
    price_integral: 0.015,
};

fn bound(limits: &[f64], price_bound: f64) -> PriceBound {
    PriceBound::new(limits, PriceBoundConfig { price_bound, ..BOUND }).unwrap()
}

/// A cost that is noise for the most part.
fn noisy(cost: f64) -> Cost {
    Cost { cost, noise: 1.0 }
}

fn near(got: f64, expected: f64) {
    assert!((got - expected).abs() < 1e-9 * expected.abs().max(1.0), "{got} for {expected}");
}

#[test]
fn a_price_is_what_is_earned_per_cost_and_no_less_than_at_the_limit() {
    let mut two = bound(&[25.0, 10.0], 2.0);
    let prices = two.update(20.0, &[noisy(50.0), noisy(4.0)], 0.0).unwrap();
    assert_eq!(prices, Prices { earned: 20.0, shares: vec![0.04, 0.2] });
    near(prices.highest(), 4.0);
    // Averages: 18, 46 and 5.6.
    let prices = two.update(0.0, &[noisy(10.0), noisy(20.0)], 0.1).unwrap();
    near(prices.earned * prices.shares[0], 36.0 / 46.0);
    near(prices.highest(), 3.6);
    assert_eq!(bound(&[25.0], 1.0).update(-3.0, &[noisy(50.0)], 0.0).unwrap().highest(), 0.0, "reward alone");
}

#[test]
fn the_power_of_the_cost_over_its_limit_multiplies_the_price() {
    let of = |cost: f64, limit: f64| {
        let config = PriceBoundConfig { price_noisy: Some(0.25), price_power: 0.5, price_gain: 0.0, ..BOUND };
        PriceBound::new(&[limit], config).unwrap().update(20.0, &[noisy(cost)], 0.0).unwrap().highest()
    };
    near(of(100.0, 25.0), 0.25 * 2.0 * 20.0 / 100.0);
    near(of(25.0, 25.0), 0.25 * 20.0 / 25.0);
    near(of(4.0, 16.0), 0.25 * 0.5 * 20.0 / 16.0);
    // Below a fifth of the limit it falls no further; a limit of zero counts as one here.
    near(of(0.0, 25.0), 0.25 * 0.2f64.sqrt() * 20.0 / 25.0);
    near(of(4.0, 0.0), 0.25 * 2.0 * 20.0 / 4.0);
}

#[test]
fn a_policy_that_earns_nothing_has_a_price_in_units_of_its_advantages() {
    let scale = Tensor::<1>::from_floats([0.5], &crate::test_device::test_device());
    let scaled = |earned: f64| compute::read("p", Prices { earned, shares: vec![0.1, 0.02] }.scaled(&scale)).unwrap();
    assert_eq!(scaled(100.0), [20.0, 4.0]);
    assert_eq!(scaled(0.0), [2.5, 0.5], "25 standard deviations");
    let unlimited = Prices { earned: 1.0, shares: vec![f64::MAX] }.scaled(&scale);
    assert!(compute::read("p", unlimited).unwrap()[0].is_finite());
}

#[test]
fn kappa_rises_where_the_cost_does_not_follow_its_set_point() {
    let config = PriceBoundConfig { price_integral: 0.1, ..BOUND };
    let mut controller = Controller { start: f64::NAN, integral: 0.0 };
    assert_eq!(controller.update(noisy(400.0), 25.0, 0.29, &config), 1.0);
    assert!(controller.start.is_nan(), "nothing is asked before the hold ends");
    assert_eq!(controller.update(noisy(400.0), 25.0, 0.3, &config), 1.0);
    // Half way the set-point is 100; e = ln 2 for a cost of 200: ln kappa = (0.1 + 0.5) ln 2.
    near(controller.update(noisy(200.0), 25.0, 0.5, &config), 2.0f64.powf(0.6));
    // At the end the limit: e = 1 at most, then the integral alone remains, and it falls again.
    near(controller.update(noisy(400.0), 25.0, 0.9, &config).ln(), 0.1 * 2.0f64.ln() + 0.6);
    near(controller.update(noisy(25.0), 25.0, 0.9, &config).ln(), 0.1 * 2.0f64.ln() + 0.1);
    for _ in 0..100 {
        controller.update(noisy(10.0), 25.0, 1.0, &config);
    }
    assert_eq!((controller.update(noisy(10.0), 25.0, 1.0, &config), controller.integral), (1.0, 0.0), "no windup");
    for _ in 0..100 {
        controller.update(noisy(1e9), 25.0, 1.0, &config);
    }
    near(controller.update(noisy(1e9), 25.0, 1.0, &config).ln(), MOST);
    assert!(controller.integral < MOST - 0.3, "no windup beyond what can be answered: {}", controller.integral);
    let held = PriceBoundConfig { price_bound_hold: 1.0, price_bound_end: 1.0, ..config };
    assert_eq!(controller.update(noisy(1e9), 25.0, 1.0, &held), 1.0);
}

#[test]
fn a_price_that_steers_falls_below_its_first_where_the_cost_is_below_the_limit() {
    let config = PriceBoundConfig { price_noisy: Some(0.25), price_integral: 0.1, ..BOUND };
    let mut controller = Controller { start: f64::NAN, integral: 0.0 };
    near(controller.update(noisy(20.0), 25.0, 0.29, &config), 0.8f64.sqrt());
    near(controller.update(Cost { cost: 20.0, noise: 0.5 }, 25.0, 0.29, &config), 0.8f64.powf(0.25));
    near(controller.update(noisy(100.0), 25.0, 0.3, &config), 1.0);
    // Below the set-point of 50 and above the limit: the gain alone answers.
    near(controller.update(noisy(40.0), 25.0, 0.5, &config), 0.8f64.sqrt());
    assert_eq!(controller.integral, 0.0);
    near(controller.update(noisy(20.0), 25.0, 0.7, &config), 0.8f64.powf(0.6));
    near(controller.integral, 0.1 * 0.8f64.ln());
    // Back above the limit it is as it was, and rises from there.
    near(controller.update(noisy(50.0), 25.0, 0.7, &config), 0.8f64.powf(0.1) * 2.0f64.powf(0.6));
    for _ in 0..100 {
        controller.update(noisy(0.0), 25.0, 0.9, &config);
    }
    near(controller.update(noisy(0.0), 25.0, 0.9, &config).ln(), -MOST);
}

#[test]
fn nothing_is_known_without_a_price_or_before_anything_is_measured() {
    assert_eq!(bound(&[25.0], 0.0).update(20.0, &[noisy(50.0)], 0.5), None);
    let mut unknown = bound(&[25.0], 1.0);
    assert_eq!(unknown.update(f64::NAN, &[noisy(50.0)], 0.5), None);
    assert_eq!(unknown.update(10.0, &[noisy(f64::NAN)], 0.5), None);
    assert_eq!(bound(&[0.0], 1.0).update(10.0, &[noisy(0.0)], 0.0).unwrap().shares, [f64::MAX]);
}

#[test]
fn a_restored_bound_goes_on_alike() {
    let mut one = bound(&[25.0], 1.0);
    let mut other = bound(&[25.0], 1.0);
    other.load_state(&one.state().unwrap()).unwrap();
    assert_eq!(other.update(f64::NAN, &[noisy(1.0)], 0.0), None);
    for fraction in [0.1, 0.4, 0.5] {
        one.update(20.0, &[noisy(50.0)], fraction);
    }
    other.load_state(&one.state().unwrap()).unwrap();
    assert_eq!(one.update(22.0, &[noisy(40.0)], 0.6), other.update(22.0, &[noisy(40.0)], 0.6));
}

#[test]
fn constants_out_of_their_domain_are_errors() {
    let good = PriceBoundConfig::default();
    for config in [
        PriceBoundConfig { price_bound: -1.0, ..good },
        PriceBoundConfig { price_bound: f64::NAN, ..good },
        PriceBoundConfig { price_bound_hold: 1.1, ..good },
        PriceBoundConfig { price_bound_hold: 0.71, ..good },
        PriceBoundConfig { price_power: -0.1, ..good },
        PriceBoundConfig { price_noisy: Some(0.0), ..good },
        PriceBoundConfig { price_bound: 0.0, price_noisy: Some(0.25), ..good },
        PriceBoundConfig { price_power: f64::NAN, ..good },
        PriceBoundConfig { price_gain: -1.0, ..good },
        PriceBoundConfig { price_integral: f64::INFINITY, ..good },
    ] {
        assert!(matches!(PriceBound::new(&[25.0], config), Err(SafeRlError::InvalidConfig { .. })));
    }
}
