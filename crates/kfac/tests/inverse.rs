//! Damping, inverses, natural gradients, masked updates, checkpoints.

use burn::tensor::{Device, Tensor};
use compute::{ComputeError, State};
use kfac::{Activation, Factors, FisherSeeds, KfacError, Mlp, MlpSpec, trust_region};
use test_support::device::{plain_device, test_device};
use test_support::numbers::{assert_close, normals, tensor, values};

fn spec() -> MlpSpec {
    MlpSpec::new([11, 40, 3], Activation::Tanh).expect("valid")
}

fn observed(device: &Device, seed: u64) -> (Mlp, kfac::Statistics) {
    let mlp = Mlp::init(spec(), 2, 1.0, device);
    let rows = 300;
    let x = tensor(&normals(seed, rows * 11, 1.0), [rows, 11], device);
    let cotangents = tensor(&normals(seed + 1, rows * 3, 0.1), [1, rows, 3], device);
    let seeds = FisherSeeds::PerSample(tensor(&normals(seed + 2, rows * 3, 1.0), [1, rows, 3], device));
    let statistics = mlp.statistics(x, cotangents, seeds);
    (mlp, statistics)
}

fn factors(device: &Device) -> Factors {
    let mut factors = Factors::new(&spec(), 0.95, device).expect("valid");
    factors.update(&observed(device, 1).1.factors);
    factors
}

/// The factors of [`factors`] with some numbers changed, matrix by matrix.
fn changed(device: &Device, change: impl Fn(&str, &mut f32)) -> Factors {
    let mut state = factors(device).state().expect("readable");
    for (name, tensor) in &mut state.tensors {
        tensor.values.iter_mut().for_each(|value| change(name, value));
    }
    loaded(&spec(), &state, device).expect("complete")
}

fn loaded(spec: &MlpSpec, state: &State, device: &Device) -> Result<Factors, KfacError> {
    let mut factors = Factors::new(spec, 0.95, device)?;
    factors.load_state(state)?;
    Ok(factors)
}

/// Both paths of the CPU; on a GPU, which has one, the same device twice.
fn devices() -> [Device; 2] {
    [test_device(), plain_device()]
}

#[test]
fn inverse_is_that_of_the_damped_factor() {
    for device in devices() {
        let factors = factors(&device);
        let damping = 0.03f64;
        let inverse = factors.inverse(damping as f32).expect("valid");
        for l in 0..2 {
            let (a, g) = (values(factors.a(l)), values(factors.g(l)));
            let order = |m: &[f32]| (m.len() as f64).sqrt() as usize;
            let mean_trace =
                |m: &[f32]| m.iter().step_by(order(m) + 1).map(|&v| f64::from(v)).sum::<f64>() / order(m) as f64;
            let pi = (mean_trace(&a) / mean_trace(&g)).sqrt();
            let pairs =
                [(a, values(inverse.a(l)), pi * damping.sqrt()), (g, values(inverse.g(l)), damping.sqrt() / pi)];
            for (m, x, shift) in pairs {
                let n = order(&m);
                let mut sum = 0.0f64;
                for i in 0..n {
                    for j in 0..n {
                        let mut v = shift * f64::from(x[i * n + j]) - f64::from(u8::from(i == j));
                        for k in 0..n {
                            v += f64::from(m[i * n + k]) * f64::from(x[k * n + j]);
                        }
                        sum += v * v;
                    }
                }
                let residual = (sum / n as f64).sqrt();
                assert!(residual < 1e-5, "layer {l}, order {n}: {residual}");
            }
        }
        assert_eq!(values(inverse.fallbacks()), [0.0]);
        assert_eq!(values(inverse.raised()), [0.0]);
    }
}

#[test]
fn scaling_one_factor_up_and_the_other_down_changes_nothing() {
    for device in devices() {
        let base = factors(&device);
        let scaled = changed(&device, |name, value| match name.as_bytes()[0] {
            b'a' => *value *= 50.0,
            b'g' => *value *= 0.02,
            _ => {}
        });
        let p = spec().num_params();
        let gradient = || tensor(&normals(30, p, 1.0), [1, p], &device);
        let natural = |f: &Factors| values(f.inverse(0.1).expect("valid").natural_gradients(gradient()));
        assert_close(&natural(&scaled), &natural(&base), 2e-5, "natural gradient");
    }
}

#[test]
fn masked_update_refuses_not_a_number() {
    for device in devices() {
        let mut factors = factors(&device);
        let before = values(factors.flat());
        let (mlp, _) = observed(&device, 5);
        let bad = Tensor::full([4, 11], f32::NAN, &device);
        let ones = Tensor::ones([1, 4, 3], &device);
        let sample = mlp.statistics(bad, ones.clone(), FisherSeeds::PerSample(ones)).factors;
        assert!(values(sample.flat()).iter().any(|v| v.is_nan()));
        factors.update_if(Tensor::zeros([1], &device), &sample);
        assert!(values(factors.flat()) == before, "a refused sample changed bits");
        let mut plain = factors.clone();
        let good = observed(&device, 9).1.factors;
        factors.update_if(Tensor::ones([1], &device), &good);
        plain.update(&good);
        assert_eq!(values(factors.flat()), values(plain.flat()));
        assert!(values(factors.flat()) != before);
    }
}

#[test]
fn average_is_bias_corrected() {
    let device = test_device();
    let (one, two) = (observed(&device, 1).1.factors, observed(&device, 4).1.factors);
    let mut factors = Factors::new(&spec(), 0.8, &device).expect("valid");
    factors.update(&one);
    assert_close(&values(factors.flat()), &values(one.flat()), 1e-6, "after one update");
    factors.update(&two);
    let expected: Vec<f32> =
        values(one.flat()).iter().zip(values(two.flat())).map(|(a, b)| (0.8 * 0.2 * a + 0.2 * b) / 0.36).collect();
    assert_close(&values(factors.flat()), &expected, 1e-6, "after two");
}

#[test]
fn hopeless_factors_fall_back_and_are_counted() {
    for device in devices() {
        let broken = changed(&device, |name, value| {
            if name == "a.0" {
                *value = f32::NAN;
            }
        });
        let inverse = broken.inverse(0.1).expect("valid");
        assert_eq!(values(inverse.fallbacks()), [1.0]);
        assert_eq!(values(inverse.raised()), [1.0]);
        let p = spec().num_params();
        let natural = inverse.natural_gradients(tensor(&normals(30, p, 1.0), [1, p], &device));
        assert!(values(&natural).iter().all(|v| v.is_finite()));
    }
}

#[test]
fn damping_is_raised_where_the_first_attempt_fails() {
    // A singular matrix of ones with a damping below its rounding error: float32 cannot invert it; ten times more
    // damping does not help either, but a thousand times more does.
    for device in devices() {
        let flat = changed(&device, |name, value| {
            if name == "g.0" {
                *value = 1.0;
            }
        });
        let hard = flat.inverse(1e-16).expect("valid");
        assert!(values(hard.raised())[0] >= 1.0, "{:?}", values(hard.residuals()));
        let easy = flat.inverse(1e-2).expect("valid");
        assert_eq!(values(easy.raised()), [0.0], "{:?}", values(easy.residuals()));
    }
}

#[test]
fn factors_survive_a_checkpoint_bit_for_bit() {
    let device = test_device();
    let mut factors = factors(&device);
    factors.update(&observed(&device, 8).1.factors);
    let mut saved = factors.state().expect("readable");
    let mut loaded = self::loaded(&spec(), &saved, &device).expect("complete");
    assert_eq!(values(loaded.flat()), values(factors.flat()));
    let next = observed(&device, 12).1.factors;
    factors.update(&next);
    loaded.update(&next);
    assert_eq!(values(loaded.flat()), values(factors.flat()));
    let other = MlpSpec::new([12, 40, 3], Activation::Tanh).expect("valid");
    let refused = self::loaded(&other, &saved, &device).err();
    assert!(matches!(refused, Some(KfacError::State(ComputeError::Shape { .. }))), "{refused:?}");
    saved.tensors.remove("a.0");
    let incomplete = self::loaded(&spec(), &saved, &device).err();
    assert_eq!(incomplete, Some(KfacError::State(ComputeError::Missing { name: "a.0".into() })));
}

#[test]
fn bad_settings_are_refused() {
    let device = test_device();
    assert_eq!(MlpSpec::new([3], Activation::Tanh).err(), Some(KfacError::TooFewSizes(vec![3])));
    assert_eq!(MlpSpec::new([3, 0, 1], Activation::Tanh).err(), Some(KfacError::ZeroSize(vec![3, 0, 1])));
    let theta = Tensor::zeros([7], &device);
    assert!(matches!(Mlp::from_theta(spec(), theta), Err(KfacError::ThetaLength { found: 7, .. })));
    assert_eq!(Factors::new(&spec(), 1.0, &device).err(), Some(KfacError::Decay(1.0)));
    for damping in [0.0, -1.0, f32::INFINITY, f32::NAN] {
        assert!(matches!(factors(&device).inverse(damping), Err(KfacError::Damping(_))));
    }
}

#[test]
fn step_lengths() {
    let device = test_device();
    let one = |v: f32| -> Tensor<1> { tensor(&[v], [1], &device) };
    let step = |q, r, max| values(trust_region::step_length(one(q), one(r), max))[0];
    assert_eq!(step(4.0, 1.0, 10.0), 0.5);
    assert_eq!(step(4.0, 100.0, 10.0), 10.0);
    assert_eq!(step(0.0, 1.0, 10.0), 10.0);
    assert_eq!(step(0.0, 0.0, 10.0), 0.0);
    assert!(step(f32::NAN, 1.0, 10.0).is_nan());
}
