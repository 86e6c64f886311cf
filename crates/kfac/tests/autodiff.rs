//! Manual derivatives against burn's automatic differentiation.

use burn::tensor::{Tensor, activation};
use kfac::{Activation, Mlp, MlpSpec};
use test_support::device::test_device;
use test_support::numbers::{assert_close, normals, tensor, values};

/// The network written with ordinary differentiable operations.
fn forward(spec: &MlpSpec, theta: &Tensor<1>, x: Tensor<2>) -> Tensor<2> {
    let mut h = x;
    for l in 0..spec.num_layers() {
        let (rows, columns) = spec.layer_shape(l);
        let w = theta.clone().slice([spec.layer_range(l)]).reshape([rows, columns]);
        h = h.matmul(w.clone().slice([0..rows - 1])) + w.slice([rows - 1..rows]);
        if l + 1 < spec.num_layers() {
            h = match spec.activation() {
                Activation::Tanh => h.tanh(),
                Activation::Relu => activation::relu(h),
            };
        }
    }
    h
}

#[test]
fn gradients_equal_autodiff() {
    let device = test_device();
    let autodiff = test_device().autodiff();
    for activation in [Activation::Tanh, Activation::Relu] {
        let spec = MlpSpec::new([10, 24, 17, 3], activation).expect("valid");
        let params = spec.num_params();
        let theta = normals(1, params, 0.3);
        let rows = 130;
        let (x, cotangents) = (normals(2, rows * 10, 1.0), normals(3, 2 * rows * 3, 1.0));
        let mlp = Mlp::from_theta(spec.clone(), tensor(&theta, [params], &device)).expect("fits");
        let fast = mlp.gradients(tensor(&x, [rows, 10], &device), tensor(&cotangents, [2, rows, 3], &device));
        let mut expected = Vec::new();
        for c in cotangents.chunks_exact(rows * 3) {
            let leaf = tensor::<1>(&theta, [params], &autodiff).require_grad();
            let out = forward(&spec, &leaf, tensor(&x, [rows, 10], &autodiff));
            let gradients = (out * tensor(c, [rows, 3], &autodiff)).sum().backward();
            expected.extend(values(leaf.grad(&gradients).expect("a gradient")));
        }
        assert_close(&values(&fast), &expected, 5e-6, "gradients");

        let targets = normals(4, rows * 3, 1.0);
        let (fast, loss) =
            mlp.regression_gradient(tensor(&x, [rows, 10], &device), tensor(&targets, [rows, 3], &device));
        let leaf = tensor::<1>(&theta, [params], &autodiff).require_grad();
        let error = forward(&spec, &leaf, tensor(&x, [rows, 10], &autodiff)) - tensor(&targets, [rows, 3], &autodiff);
        let expected = (error.clone() * error).sum().div_scalar(rows as f32);
        assert_close(&values(&loss), &values(&expected), 2e-6, "loss");
        assert_close(
            &values(&fast),
            &values(leaf.grad(&expected.backward()).expect("a gradient")),
            5e-6,
            "gradient of the loss",
        );
    }
}

#[test]
fn the_network_itself_is_differentiable_on_an_autodiff_device() {
    let autodiff = test_device().autodiff();
    let spec = MlpSpec::new([3, 5, 1], Activation::Tanh).expect("valid");
    let theta = tensor::<1>(&normals(1, spec.num_params(), 0.5), [spec.num_params()], &autodiff).require_grad();
    let mlp = Mlp::from_theta(spec.clone(), theta.clone()).expect("fits");
    let x: Tensor<2> = tensor(&normals(2, 12, 1.0), [4, 3], &autodiff);
    let gradients = mlp.forward(x.clone()).sum().backward();
    let automatic = values(theta.grad(&gradients).expect("a gradient"));
    let manual = mlp.gradients(x, Tensor::ones([1, 4, 1], &autodiff));
    assert_close(&values(&manual), &automatic, 2e-6, "gradient");
}

#[test]
fn initial_weights_are_orthogonal_and_equal_everywhere() {
    let spec = MlpSpec::new([6, 10, 4], Activation::Tanh).expect("valid");
    let a = values(Mlp::init(spec.clone(), 7, 0.01, &test_device()).theta());
    let b = values(Mlp::init(spec.clone(), 7, 0.01, &test_device().autodiff()).theta());
    let c = values(Mlp::init(spec, 8, 0.01, &test_device()).theta());
    assert_eq!(a, b);
    assert_ne!(a, c);
    // Layer 0 is [6, 10]: orthogonal rows of norm sqrt 2, zero biases.
    for i in 0..6 {
        for j in 0..6 {
            let dot: f32 = (0..10).map(|k| a[i * 10 + k] * a[j * 10 + k]).sum();
            assert!((dot - if i == j { 2.0 } else { 0.0 }).abs() < 1e-5);
        }
    }
    assert_eq!(&a[60..70], &[0.0; 10]);
}
