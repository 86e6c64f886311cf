//! The factors against dense Fisher matrices in float64.

mod dense;

use burn::tensor::Tensor;
use dense::Dense;
use kfac::{
    Activation, FactorSample, Factors, FisherSeeds, LOG_STD_FISHER, Mlp, MlpSpec, exact_seeds, score_seeds,
    trust_region,
};
use test_support::device::{plain_device, test_device};
use test_support::numbers::{assert_close, normal, normals, tensor, values};

fn network(sizes: &[usize], activation: Activation) -> (Mlp, Dense) {
    let device = test_device();
    let spec = MlpSpec::new(sizes, activation).expect("valid");
    let theta = normals(17, spec.num_params(), 0.6);
    let dense = Dense::new(&spec, &theta);
    let mlp = Mlp::from_theta(spec, tensor(&theta, [theta.len()], &device)).expect("fits");
    (mlp, dense)
}

/// The factors of one batch through the moving average, whose first update is the sample itself.
fn factors(mlp: &Mlp, sample: &FactorSample) -> Factors {
    let mut factors = Factors::new(mlp.spec(), 0.95, &test_device()).expect("valid");
    factors.update(sample);
    factors
}

fn exact_sample(mlp: &Mlp, x: &[f32], log_std: &[f32]) -> FactorSample {
    let device = test_device();
    let rows = x.len() / mlp.spec().input_size();
    let seeds = exact_seeds(tensor(log_std, [log_std.len()], &device));
    let none = Tensor::zeros([1, rows, log_std.len()], &device);
    mlp.statistics(tensor(x, [rows, mlp.spec().input_size()], &device), none, seeds).factors
}

/// Largest difference of a layer's dense block from `A (x) G`, relative to the block's largest element.
fn block_error(dense: &[Vec<f64>], spec: &MlpSpec, l: usize, a: &[f32], g: &[f32]) -> f64 {
    let (rows, columns) = spec.layer_shape(l);
    let start = spec.layer_range(l).start;
    let (mut error, mut scale) = (0.0f64, 0.0f64);
    for i in 0..rows * columns {
        for j in 0..rows * columns {
            let f = dense[start + i][start + j];
            let a = f64::from(a[(i / columns) * rows + j / columns]);
            let g = f64::from(g[(i % columns) * columns + j % columns]);
            error = error.max((f - a * g).abs());
            scale = scale.max(f.abs());
        }
    }
    error / scale
}

#[test]
fn linear_gaussian_factors_are_the_dense_fisher() {
    let (mlp, dense) = network(&[5, 3], Activation::Tanh);
    let x = normals(1, 40 * 5, 1.0);
    let log_std = [-0.5f32, 0.2, 0.7];
    let sigma: Vec<f64> = log_std.iter().map(|s| f64::from(*s).exp()).collect();
    let factors = factors(&mlp, &exact_sample(&mlp, &x, &log_std));
    let error = block_error(&dense.fisher(&x, &sigma), mlp.spec(), 0, &values(factors.a(0)), &values(factors.g(0)));
    assert!(error < 2e-6, "{error}");
}

#[test]
fn one_datum_is_exact_in_every_layer() {
    for (sizes, activation) in [
        (&[4, 6, 5, 3][..], Activation::Tanh),
        (&[3, 7, 2][..], Activation::Relu),
        (&[3, 5, 4, 6, 2][..], Activation::Tanh),
    ] {
        let (mlp, dense) = network(sizes, activation);
        let x = normals(2, sizes[0], 1.0);
        let outputs = mlp.spec().output_size();
        let log_std: Vec<f32> = (0..outputs).map(|k| 0.3 * k as f32 - 0.4).collect();
        let sigma: Vec<f64> = log_std.iter().map(|s| f64::from(*s).exp()).collect();
        let fisher = dense.fisher(&x, &sigma);
        let factors = factors(&mlp, &exact_sample(&mlp, &x, &log_std));
        for l in 0..mlp.spec().num_layers() {
            let error = block_error(&fisher, mlp.spec(), l, &values(factors.a(l)), &values(factors.g(l)));
            assert!(error < 5e-6, "{sizes:?} layer {l}: {error}");
        }
    }
}

#[test]
fn activation_factor_is_the_second_moment_with_a_ones_column() {
    let (mlp, dense) = network(&[6, 9, 4, 2], Activation::Tanh);
    let rows = 75;
    let x = normals(3, rows * 6, 1.0);
    let factors = factors(&mlp, &exact_sample(&mlp, &x, &[0.0, 0.0]));
    for l in 0..3 {
        let n = mlp.spec().layer_shape(l).0;
        let mut expected = vec![0.0f64; n * n];
        for x in x.chunks_exact(6) {
            let a = &dense.forward(x).0[l];
            assert_eq!(a[n - 1], 1.0);
            for i in 0..n {
                for j in 0..n {
                    expected[i * n + j] += a[i] * a[j] / rows as f64;
                }
            }
        }
        let expected: Vec<f32> = expected.iter().map(|&v| v as f32).collect();
        assert_close(&values(factors.a(l)), &expected, 2e-6, "A");
    }
}

#[test]
fn quadratic_form_is_the_hessian_of_the_divergence() {
    let (mlp, dense) = network(&[4, 8, 8, 2], Activation::Tanh);
    let device = test_device();
    let rows = 50;
    let x = normals(4, rows * 4, 1.0);
    let direction = normals(5, mlp.spec().num_params(), 0.1);
    let (log_std, log_std_direction) = ([-0.3f32, 0.4], [0.07f32, -0.05]);

    // KL(N(mu, s) || N(mu', s')), mean over the rows, at theta + e d.
    let divergence = |e: f64| -> f64 {
        let mut moved = Dense { spec: dense.spec.clone(), theta: dense.theta.clone() };
        moved.theta.iter_mut().zip(&direction).for_each(|(t, d)| *t += e * f64::from(*d));
        let mut total = 0.0;
        for x in x.chunks_exact(4) {
            let (old, new) = (dense.forward(x).1, moved.forward(x).1);
            for k in 0..2 {
                let s = f64::from(log_std[k]);
                let s2 = s + e * f64::from(log_std_direction[k]);
                let error = old[k] - new[k];
                total += s2 - s + ((2.0 * s).exp() + error * error) / (2.0 * (2.0 * s2).exp()) - 0.5;
            }
        }
        total / rows as f64
    };
    let h = 1e-3;
    let hessian = (divergence(h) + divergence(-h) - 2.0 * divergence(0.0)) / (h * h);

    let jvp = mlp.jvp(tensor(&x, [rows, 4], &device), tensor(&direction, [direction.len()], &device));
    let inv_variance: Vec<f32> = log_std.iter().map(|s| (-2.0 * s).exp()).collect();
    let mean = trust_region::gaussian_quadratic(jvp, tensor(&inv_variance, [2], &device));
    let of_log_std = trust_region::log_std_quadratic(tensor(&log_std_direction, [2], &device));
    let quadratic = f64::from(values(&(mean + of_log_std))[0]);
    assert!((quadratic / hessian - 1.0).abs() < 1e-4, "{quadratic} against {hessian}");
}

#[test]
fn log_std_block_is_two() {
    // Second derivative of KL(N(0, s) || N(0, s e^t)) at t = 0.
    let kl = |t: f64| t + (-2.0 * t).exp() / 2.0 - 0.5;
    let h = 1e-4;
    let fisher = (kl(h) + kl(-h) - 2.0 * kl(0.0)) / (h * h);
    assert!((fisher - f64::from(LOG_STD_FISHER)).abs() < 1e-6, "{fisher}");
    for device in [test_device(), plain_device()] {
        let (mlp, _) = network(&[4, 6, 2], Activation::Tanh);
        let factors = factors(&mlp, &exact_sample(&mlp, &normals(1, 40, 1.0), &[0.1, -0.3]));
        let mut there = Factors::new(mlp.spec(), 0.95, &device).expect("valid");
        there.load_state(&factors.state().expect("readable")).expect("of the same network");
        let inverse = there.inverse(0.5).expect("valid damping");
        let params = mlp.spec().num_params();
        let gradients: Tensor<2> = tensor(&normals(2, 2 * params, 1.0), [2, params], &device);
        let of_log_std: Tensor<2> = tensor(&[3.0, -1.0, 5.0, 0.25], [2, 2], &device);
        let whole = inverse.natural_gradients(Tensor::cat(vec![gradients.clone(), of_log_std], 1));
        let log_std_block = values(whole.clone().narrow(1, params, 2));
        assert_close(&log_std_block, &[1.2, -0.4, 2.0, 0.1], 1e-6, "natural gradient of log sigma");
        let network = values(whole.narrow(1, 0, params));
        assert_eq!(network, values(inverse.natural_gradients(gradients)), "the network's part is that of it alone");
    }
}

#[test]
fn fisher_product_is_the_dense_fisher_times_a_vector() {
    for activation in [Activation::Tanh, Activation::Relu] {
        let (mlp, dense) = network(&[4, 7, 5, 2], activation);
        let x = normals(1, 30 * 4, 1.0);
        let log_std = [-0.4f32, 0.3];
        let sigma: Vec<f64> = log_std.iter().map(|s| f64::from(*s).exp()).collect();
        let params = mlp.spec().num_params();
        let vector = normals(5, params + 2, 1.0);
        let fisher = dense.fisher(&x, &sigma);
        let row = |row: &Vec<f64>| row.iter().zip(&vector).map(|(f, v)| f * f64::from(*v)).sum::<f64>() as f32;
        let mut expected: Vec<f32> = fisher.iter().map(row).collect();
        expected.extend(vector[params..].iter().map(|v| 2.0 * v));
        for device in [test_device(), plain_device()] {
            let theta = tensor(&values(mlp.theta()), [params], &device);
            let there = Mlp::from_theta(mlp.spec().clone(), theta).expect("fits");
            let pass = there.forward_pass(tensor(&x, [30, 4], &device));
            let inv_variance = Tensor::<1>::from_floats(log_std, &device).mul_scalar(-2.0).exp();
            let direction: Tensor<1> = tensor(&vector, [params + 2], &device);
            let whole = values(pass.fisher_product(direction.clone(), inv_variance.clone()));
            assert_close(&whole, &expected, 2e-6, "with log sigma");
            let alone = values(pass.fisher_product(direction.narrow(0, 0, params), inv_variance));
            assert_eq!(alone, whole[..params], "the network alone");
        }
    }
}

#[test]
fn sampled_factors_converge_as_one_over_root_k() {
    let (mlp, _) = network(&[4, 10, 8, 2], Activation::Tanh);
    let device = test_device();
    let rows = 20;
    let x = normals(6, rows * 4, 1.0);
    let log_std = [-0.2f32, 0.3];
    let exact = factors(&mlp, &exact_sample(&mlp, &x, &log_std));
    let input: Tensor<2> = tensor(&x, [rows, 4], &device);
    let mean = mlp.forward(input.clone());
    let log_std_tensor: Tensor<1> = tensor(&log_std, [2], &device);
    let error = |k: usize| -> f64 {
        let repeats = 12;
        let mut total = 0.0;
        for repeat in 0..repeats {
            let mu = values(&mean);
            let actions: Vec<f32> = (0..k * rows * 2)
                .map(|i| mu[i % (rows * 2)] + log_std[i % 2].exp() * normal(100 + repeat, i) as f32)
                .collect();
            let seeds = score_seeds(tensor(&actions, [k, rows, 2], &device), mean.clone(), log_std_tensor.clone());
            let none = Tensor::zeros([1, rows, 2], &device);
            let sampled = factors(&mlp, &mlp.statistics(input.clone(), none, seeds).factors);
            for l in 0..3 {
                let (s, e) = (values(sampled.g(l)), values(exact.g(l)));
                let difference: f64 = s.iter().zip(&e).map(|(s, e)| f64::from(s - e).powi(2)).sum();
                let norm: f64 = e.iter().map(|e| f64::from(*e).powi(2)).sum();
                total += (difference / norm).sqrt() / (3 * repeats) as f64;
            }
        }
        total
    };
    let (one, sixteen, many) = (error(1), error(16), error(256));
    // Each step of 16 in K divides the error by 4; 36 draws leave about 15 % noise in each error.
    assert!((one / sixteen / 4.0 - 1.0).abs() < 0.35, "{one} {sixteen}");
    assert!((sixteen / many / 4.0 - 1.0).abs() < 0.35, "{sixteen} {many}");
}

#[test]
fn constant_and_repeated_seeds_give_the_same_factors() {
    let (mlp, _) = network(&[4, 10, 8, 3], Activation::Relu);
    let device = test_device();
    let rows = 64;
    let x: Tensor<2> = tensor(&normals(6, rows * 4, 1.0), [rows, 4], &device);
    let seeds: Tensor<2> = tensor(&normals(7, 6, 1.0), [2, 3], &device);
    let none = || Tensor::zeros([1, rows, 3], &device);
    let a = mlp.statistics(x.clone(), none(), FisherSeeds::Constant(seeds.clone())).factors;
    let repeated = seeds.unsqueeze_dim::<3>(1).expand([2, rows, 3]);
    let b = mlp.statistics(x, none(), FisherSeeds::PerSample(repeated)).factors;
    assert_close(&values(a.flat()), &values(b.flat()), 3e-6, "factors");
}
