//! Moments of batches, frozen statistics, restored ones.

use super::*;
use crate::test_device::test_device;
use compute::noise::{NoiseKey, Stream, normal_tensor};
use compute::read;

fn batch(step: u64, rows: usize, columns: usize) -> Tensor<2> {
    normal_tensor(NoiseKey { seed: 3, stream: Stream::Other(0), step }, [rows, columns], &test_device())
}

#[test]
fn merged_batches_have_the_moments_of_all_observations() {
    let device = test_device();
    let mut normalizer = Normalizer::new(3, NormalizerConfig::default(), &device).unwrap();
    let mut all: Vec<f32> = Vec::new();
    for step in 0..6 {
        // A large offset and a small spread: naive sums of squares would lose the variance.
        let obs = batch(step, 200, 3) * 0.05 + 9.81 + step as f32 * 0.01;
        all.extend(read("obs", obs.clone()).unwrap());
        normalizer.observe(obs);
        if step % 2 == 1 {
            normalizer.commit();
        }
    }
    let rows = all.len() / 3;
    for column in 0..3 {
        let values: Vec<f64> = (0..rows).map(|r| f64::from(all[3 * r + column])).collect();
        let mean = values.iter().sum::<f64>() / rows as f64;
        let std = (values.iter().map(|x| (x - mean).powi(2)).sum::<f64>() / rows as f64).sqrt();
        assert!((f64::from(read("m", normalizer.mean()).unwrap()[column]) - mean).abs() < 2e-6);
        assert!((f64::from(read("s", normalizer.std()).unwrap()[column]) - std).abs() < 1e-5);
    }
    assert_eq!(normalizer.count(), 1200.0);
}

#[test]
fn every_leaf_equals_the_reference() {
    let device = test_device();
    let mut normalizer = Normalizer::new(5, NormalizerConfig::default(), &device).unwrap();
    normalizer.observe(batch(0, 100, 5) * 2.0 + 1.0);
    normalizer.commit();
    let obs = batch(1, 300, 5) * 9.0;
    let plain = read("plain", normalizer.apply_by_tensors(obs.clone())).unwrap();
    assert_eq!(read("leaf", normalizer.apply(obs.clone())).unwrap(), plain);
    let before = normalizer.pending.clone();
    assert_eq!(read("observed", normalizer.observe(obs.clone())).unwrap(), plain);
    let deviation = obs - before.shift.unsqueeze();
    let sum = read("sum", deviation.clone().sum_dim(0)).unwrap();
    let squares = read("squares", deviation.square().sum_dim(0)).unwrap();
    for (leaf, plain) in read("s", normalizer.pending.sum.clone()).unwrap().iter().zip(sum) {
        assert!((leaf - plain).abs() < 2e-3, "{leaf} {plain}");
    }
    for (leaf, plain) in read("q", normalizer.pending.squares.clone()).unwrap().iter().zip(squares) {
        assert!((leaf - plain).abs() < 1e-5 * plain, "{leaf} {plain}");
    }
    assert!(plain.iter().any(|x| x.abs() == 5.0) && plain.iter().all(|x| x.abs() <= 5.0));
}

#[test]
fn parts_that_pool_their_moments_have_those_of_all() {
    let device = test_device();
    let all = batch(0, 400, 3) * 2.0 + 5.0;
    let part = |k: usize| all.clone().narrow(0, 100 * k, 100);
    let mut whole = Normalizer::new(3, NormalizerConfig::default(), &device).unwrap();
    let mut parts = [whole.clone(), whole.clone(), whole.clone(), whole.clone()];
    whole.observe(all.clone());
    whole.commit();
    let shift: Tensor<1> = all.clone().mean_dim(0).squeeze_dim(0);
    for (k, normalizer) in parts.iter_mut().enumerate() {
        normalizer.begin_by(&part(k), |_| Ok::<_, ()>(shift.clone())).unwrap();
        normalizer.observe(part(k));
    }
    let moments = |n: &Normalizer| Tensor::cat(vec![n.pending.sum.clone(), n.pending.squares.clone()], 0);
    let sum = parts.iter().map(moments).reduce(|a, b| a + b).unwrap();
    let mut first = parts[0].clone();
    first.pool(4, |own| if own.dims() == [6] { Ok(sum) } else { Err(()) }).unwrap();
    first.commit();
    assert_eq!(first.count(), 400.0);
    for (get, bound) in [(Normalizer::mean as fn(&Normalizer) -> Tensor<1>, 2e-6), (Normalizer::std, 2e-5)] {
        for (a, b) in read("a", get(&first)).unwrap().iter().zip(read("b", get(&whole)).unwrap()) {
            assert!((a - b).abs() < bound, "{a} {b}");
        }
    }
}

#[test]
fn statistics_stay_frozen_until_the_commit_and_constants_meet_the_floor() {
    let device = test_device();
    let mut normalizer = Normalizer::new(2, NormalizerConfig::default(), &device).unwrap();
    let obs = Tensor::<2>::from_floats([[1.0, 4.0], [3.0, 4.0]], &device);
    assert_eq!(read("raw", normalizer.observe(obs.clone())).unwrap(), [1.0, 4.0, 3.0, 4.0]);
    normalizer.commit();
    assert_eq!(read("committed", normalizer.apply(obs)).unwrap(), [-1.0, 0.0, 1.0, 0.0]);
    let near = Tensor::<2>::from_floats([[2.0, 4.02]], &device);
    assert!((read("floor", normalizer.apply(near)).unwrap()[1] - 2.0).abs() < 1e-4, "0.02 / floor 0.01");
}

#[test]
fn a_restored_normalizer_continues_bit_for_bit() {
    let device = test_device();
    let mut a = Normalizer::new(4, NormalizerConfig::default(), &device).unwrap();
    a.observe(batch(0, 64, 4));
    a.commit();
    a.observe(batch(1, 64, 4) * 3.0);
    let mut b = Normalizer::new(4, NormalizerConfig::default(), &device).unwrap();
    b.load_state(&a.state().unwrap()).unwrap();
    for normalizer in [&mut a, &mut b] {
        normalizer.observe(batch(2, 64, 4));
        normalizer.commit();
    }
    assert_eq!(a.state().unwrap(), b.state().unwrap());
}
