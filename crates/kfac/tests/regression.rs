//! The regression optimiser.

use burn::tensor::Tensor;
use kfac::{Activation, Kfac, KfacConfig, Mlp, MlpSpec};
use test_support::device::{plain_device, test_device};
use test_support::numbers::{normals, tensor, values};

fn mean_squared_error(mlp: &Mlp, x: &Tensor<2>, y: &Tensor<2>) -> f32 {
    let error = mlp.forward(x.clone()) - y.clone();
    values((error.clone() * error).mean())[0]
}

/// For a linear model the Gauss-Newton model is the loss itself and the factors are exact: one step solves it.
#[test]
fn a_linear_model_is_solved_in_one_step() {
    for device in [test_device(), plain_device()] {
        let spec = MlpSpec::new([6, 2], Activation::Tanh).expect("valid");
        let truth = Mlp::from_theta(spec.clone(), tensor(&normals(1, 14, 0.3), [14], &device)).expect("fits");
        let x: Tensor<2> = tensor(&normals(2, 600, 1.0), [100, 6], &device);
        let y = truth.forward(x.clone());
        let start = Mlp::from_theta(spec.clone(), Tensor::zeros([14], &device)).expect("fits");
        let config = KfacConfig { damping: 1e-7, radius: 1e3, ..Default::default() };
        let mut optimiser = Kfac::new(&spec, config, &device).expect("valid");
        let before = mean_squared_error(&start, &x, &y);
        let (moved, report) = optimiser.step(&start, x.clone(), y.clone()).expect("valid damping");
        let after = mean_squared_error(&moved, &x, &y);
        assert!(after < 1e-5 * before, "{before} to {after}");
        assert!((values(&report.loss)[0] - 2.0 * before).abs() < 1e-5 * before, "a sum over two outputs");
        assert_eq!(values(&report.momentum), [0.0]);
    }
}

#[test]
fn steps_stay_within_the_radius_and_lower_the_loss() {
    let device = test_device();
    let spec = MlpSpec::new([3, 16, 1], Activation::Tanh).expect("valid");
    let x: Tensor<2> = tensor(&normals(2, 1500, 1.0), [500, 3], &device);
    let y = (x.clone().slice([0..500, 0..1]) * 2.0).sin() + x.clone().slice([0..500, 1..2]);
    let mut mlp = Mlp::init(spec.clone(), 1, 1.0, &device);
    let radius = 0.2;
    let mut optimiser = Kfac::new(&spec, KfacConfig { radius, ..Default::default() }, &device).expect("valid");
    let first = mean_squared_error(&mlp, &x, &y);
    for _ in 0..60 {
        let (moved, report) = optimiser.step(&mlp, x.clone(), y.clone()).expect("valid damping");
        let change = values(&report.change)[0];
        assert!(change.sqrt() <= radius * 1.0001, "{change}");
        mlp = moved;
    }
    let last = mean_squared_error(&mlp, &x, &y);
    assert!(last < 0.01 * first, "{first} to {last}");
}

#[test]
fn the_optimum_is_a_fixed_point() {
    let device = test_device();
    let spec = MlpSpec::new([3, 8, 1], Activation::Tanh).expect("valid");
    let mlp = Mlp::init(spec.clone(), 1, 1.0, &device);
    let x: Tensor<2> = tensor(&normals(2, 300, 1.0), [100, 3], &device);
    let y = mlp.forward(x.clone());
    let mut optimiser = Kfac::new(&spec, KfacConfig::default(), &device).expect("valid");
    let mut moved = mlp.clone();
    for _ in 0..3 {
        moved = optimiser.step(&moved, x.clone(), y.clone()).expect("valid damping").0;
    }
    assert_eq!(values(moved.theta()), values(mlp.theta()));
}
