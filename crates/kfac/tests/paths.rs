//! The CPU leaves equal the tensor operations. A tensor on the autodiff device never takes the CPU leaf, so the
//! same public calls give both.

use burn::tensor::{Device, Tensor};
use kfac::{
    Activation, FactorSample, Factors, FisherSeeds, Mlp, MlpSpec, Statistics, exact_seeds, regression_gradients,
};
use test_support::device::plain_device;
use test_support::numbers::{assert_close, normals, tensor, values};

struct Case {
    sizes: &'static [usize],
    activation: Activation,
    rows: usize,
    gradients: usize,
    seeds: usize,
}

const CASES: &[Case] = &[
    Case { sizes: &[60, 64, 64, 2], activation: Activation::Tanh, rows: 700, gradients: 2, seeds: 2 },
    Case { sizes: &[60, 64, 64, 2], activation: Activation::Tanh, rows: 1, gradients: 1, seeds: 1 },
    Case { sizes: &[7, 33, 2], activation: Activation::Tanh, rows: 301, gradients: 3, seeds: 5 },
    Case { sizes: &[16, 16, 48, 17, 16], activation: Activation::Relu, rows: 257, gradients: 2, seeds: 3 },
    Case { sizes: &[1, 1, 1], activation: Activation::Tanh, rows: 13, gradients: 1, seeds: 1 },
    Case { sizes: &[5, 3], activation: Activation::Tanh, rows: 97, gradients: 2, seeds: 2 },
    Case { sizes: &[12, 130, 97, 1], activation: Activation::Relu, rows: 2049, gradients: 1, seeds: 1 },
    Case { sizes: &[72, 256, 256, 2], activation: Activation::Tanh, rows: 1100, gradients: 2, seeds: 2 },
    Case { sizes: &[9, 20, 20, 3], activation: Activation::Tanh, rows: 111, gradients: 0, seeds: 2 },
    Case { sizes: &[9, 24, 20, 12], activation: Activation::Tanh, rows: 333, gradients: 3, seeds: 2 },
    Case { sizes: &[9, 20, 20, 3], activation: Activation::Tanh, rows: 111, gradients: 2, seeds: 0 },
];

/// Wide enough for the chunks of wide networks, with more than one shard; its inverses by the tensor path take too long.
const WIDE: Case = Case { sizes: &[8, 1540, 2], activation: Activation::Tanh, rows: 1300, gradients: 2, seeds: 2 };

impl Case {
    fn spec(&self) -> MlpSpec {
        MlpSpec::new(self.sizes, self.activation).expect("valid")
    }

    fn mlp(&self, device: &Device) -> Mlp {
        let spec = self.spec();
        let mlp = Mlp::init(spec, 3, 0.7, device);
        let noise = normals(5, mlp.theta().dims()[0], 0.05);
        let theta = mlp.theta().clone() + tensor(&noise, [noise.len()], device);
        mlp.with_theta(theta)
    }

    fn x(&self, device: &Device) -> Tensor<2> {
        tensor(&normals(1, self.rows * self.sizes[0], 1.0), [self.rows, self.sizes[0]], device)
    }

    fn outputs(&self) -> usize {
        self.sizes[self.sizes.len() - 1]
    }

    fn cotangents(&self, count: usize, seed: u64, device: &Device) -> Tensor<3> {
        let shape = [count, self.rows, self.outputs()];
        tensor(&normals(seed, shape.iter().product(), 1.0), shape, device)
    }

    fn name(&self) -> String {
        format!("{:?} {:?} rows {}", self.sizes, self.activation, self.rows)
    }
}

fn devices() -> (Device, Device) {
    (Device::flex(), plain_device())
}

#[test]
fn forward_and_jvp_agree() {
    let (fast, plain) = devices();
    for case in CASES {
        let run = |d: &Device| {
            let mlp = case.mlp(d);
            let direction = tensor(&normals(8, mlp.theta().dims()[0], 0.3), mlp.theta().dims(), d);
            (values(mlp.forward(case.x(d))), values(mlp.jvp(case.x(d), direction)))
        };
        let (a, b) = (run(&fast), run(&plain));
        assert_close(&a.0, &b.0, 2e-6, &format!("forward {}", case.name()));
        assert_close(&a.1, &b.1, 4e-6, &format!("jvp {}", case.name()));
    }
}

fn same_statistics(a: &Statistics, b: &Statistics, what: &str) {
    assert_close(&values(&a.gradients), &values(&b.gradients), 1e-5, &format!("gradients {what}"));
    assert_close(&values(a.factors.flat()), &values(b.factors.flat()), 1e-5, &format!("factors {what}"));
}

#[test]
fn statistics_agree_for_all_kinds_of_seeds() {
    let (fast, plain) = devices();
    for case in CASES.iter().chain([&WIDE]) {
        let run = |d: &Device, kind: &str| {
            let seeds = match kind {
                "per sample" => FisherSeeds::PerSample(case.cotangents(case.seeds, 4, d)),
                "constant" => {
                    let shape = [case.seeds, case.outputs()];
                    FisherSeeds::Constant(tensor(&normals(4, case.seeds * case.outputs(), 1.0), shape, d))
                }
                _ => exact_seeds(tensor(&normals(4, case.outputs(), 0.5), [case.outputs()], d)),
            };
            case.mlp(d).statistics(case.x(d), case.cotangents(case.gradients, 2, d), seeds)
        };
        for kind in ["per sample", "constant", "exact"] {
            same_statistics(&run(&fast, kind), &run(&plain, kind), &format!("{} {kind}", case.name()));
        }
        if case.gradients > 0 {
            let gradients =
                |d: &Device| values(case.mlp(d).gradients(case.x(d), case.cotangents(case.gradients, 2, d)));
            assert_close(&gradients(&fast), &gradients(&plain), 1e-5, &format!("gradients alone {}", case.name()));
        }
    }
}

#[test]
fn regression_agrees() {
    let (fast, plain) = devices();
    for case in CASES {
        let run = |d: &Device| {
            let targets = tensor(&normals(6, case.rows * case.outputs(), 1.0), [case.rows, case.outputs()], d);
            let (gradient, loss) = case.mlp(d).regression_gradient(case.x(d), targets.clone());
            let pass = case.mlp(d).forward_pass(case.x(d));
            let error = pass.outputs() - targets;
            let rows = case.rows as f32;
            let by_hand = values((error.clone() * error.clone()).sum().div_scalar(rows));
            let seeds = FisherSeeds::Constant(Tensor::eye(case.outputs(), d));
            let statistics = pass.statistics(error.mul_scalar(2.0 / rows).unsqueeze_dim(0), seeds);
            // Other sums in the pass may mean other shards, so equality is to rounding.
            assert_close(&values(&loss), &by_hand, 1e-6, "the loss by hand");
            assert_close(&values(&gradient), &values(&statistics.gradients), 1e-6, "the gradient by hand");
            (statistics, values(&loss))
        };
        let (a, b) = (run(&fast), run(&plain));
        same_statistics(&a.0, &b.0, &case.name());
        assert_close(&a.1, &b.1, 2e-6, &format!("loss {}", case.name()));
    }
}

#[test]
fn several_networks_at_once_are_each_as_alone() {
    let (fast, plain) = devices();
    for case in CASES.iter().filter(|c| c.rows > 50 && c.spec().num_params() < 20_000) {
        let (networks, params, outputs) = (3, case.spec().num_params(), case.outputs());
        let range = 7..case.rows - 11;
        let run = |d: &Device| {
            let thetas: Tensor<1> = tensor(&normals(12, networks * params, 0.3), [networks * params], d);
            let shape = [networks, case.rows, outputs];
            let targets: Tensor<3> = tensor(&normals(13, shape.iter().product(), 1.0), shape, d);
            let x = case.x(d);
            let (gradients, losses) = regression_gradients(&case.spec(), &thetas, &x, &targets, range.clone());
            let (gradients, losses) = (values(&gradients), values(&losses));
            for s in 0..networks {
                let theta = thetas.clone().narrow(0, s * params, params);
                let own = Mlp::from_theta(case.spec(), theta).expect("fits");
                let target = targets.clone().slice([s..s + 1, range.clone(), 0..outputs]).squeeze_dim(0);
                let (gradient, loss) = own.regression_gradient(x.clone().slice([range.clone()]), target);
                assert_eq!(values(&gradient), gradients[s * params..(s + 1) * params], "{} network {s}", case.name());
                assert_eq!(values(&loss), losses[s..s + 1], "{} network {s}", case.name());
            }
            (gradients, losses)
        };
        let (a, b) = (run(&fast), run(&plain));
        assert_close(&a.0, &b.0, 1e-5, &format!("gradients {}", case.name()));
        assert_close(&a.1, &b.1, 2e-6, &format!("losses {}", case.name()));
    }
}

fn sample(case: &Case, d: &Device) -> FactorSample {
    case.mlp(d)
        .statistics(case.x(d), case.cotangents(1, 2, d), FisherSeeds::PerSample(case.cotangents(2, 4, d)))
        .factors
}

#[test]
fn average_inverse_and_natural_gradients_agree() {
    let (fast, plain) = devices();
    for case in CASES.iter().filter(|c| c.rows > 50) {
        let run = |d: &Device| {
            let mut factors = Factors::new(&case.spec(), 0.95, d).expect("valid");
            factors.update(&sample(case, d));
            factors.update(&sample(case, d));
            let inverse = factors.inverse(0.1).expect("valid");
            let p = case.spec().num_params();
            let gradients = tensor(&normals(9, 2 * p, 1.0), [2, p], d);
            (values(factors.flat()), inverse.natural_gradients(gradients), inverse)
        };
        let (a, b) = (run(&fast), run(&plain));
        assert_close(&a.0, &b.0, 1e-5, "average");
        assert_close(&values(a.2.flat()), &values(b.2.flat()), 1e-4, &format!("inverse {}", case.name()));
        assert_close(&values(&a.1), &values(&b.1), 2e-4, &format!("natural gradients {}", case.name()));
        for inverse in [&a.2, &b.2] {
            assert!(values(inverse.residuals()).iter().all(|r| *r < 1e-4), "{:?}", values(inverse.residuals()));
            assert_eq!(values(inverse.raised()), [0.0]);
        }
    }
}

#[test]
fn tanh_is_accurate_everywhere_and_keeps_nan() {
    let device = Device::flex();
    let spec = MlpSpec::new([1, 1, 1], Activation::Tanh).expect("valid");
    let mlp = Mlp::from_theta(spec, tensor(&[1.0, 0.0, 1.0, 0.0], [4], &device)).expect("fits");
    let mut x: Vec<f32> = (-40_000..=40_000).map(|i| i as f32 * 3e-4).collect();
    x.extend([1e-30, -1e-8, 50.0, -1e20, f32::INFINITY, f32::NEG_INFINITY]);
    let y = values(mlp.forward(tensor(&x, [x.len(), 1], &device)));
    let mut worst = 0.0f64;
    for (x, y) in x.iter().zip(&y) {
        worst = worst.max((f64::from(*x).tanh() - f64::from(*y)).abs());
        assert!(y.abs() <= 1.0);
    }
    assert!(worst < 3.5e-7, "largest error {worst}");
    let y = values(mlp.forward(tensor(&[f32::NAN, 0.5], [2, 1], &device)));
    assert!(y[0].is_nan() && !y[1].is_nan(), "{y:?}");
}

#[test]
fn a_kept_forward_pass_gives_the_same_results() {
    let (fast, plain) = devices();
    for case in CASES.iter().filter(|c| c.gradients > 0) {
        let mlp = case.mlp(&fast);
        let (x, cotangents) = (case.x(&fast), case.cotangents(case.gradients, 2, &fast));
        let seeds = || FisherSeeds::PerSample(case.cotangents(case.seeds, 4, &fast));
        let direction = tensor(&normals(8, mlp.theta().dims()[0], 0.3), mlp.theta().dims(), &fast);
        let pass = mlp.forward_pass(x.clone());
        assert_eq!(values(pass.outputs()), values(mlp.forward(x.clone())));
        assert_eq!(values(pass.jvp(direction.clone())), values(mlp.jvp(x.clone(), direction.clone())));
        assert_eq!(values(pass.gradients(cotangents.clone())), values(mlp.gradients(x.clone(), cotangents.clone())));
        let (kept, fresh) = (pass.statistics(cotangents.clone(), seeds()), mlp.statistics(x, cotangents, seeds()));
        assert_eq!(values(&kept.gradients), values(&fresh.gradients));
        assert_eq!(values(kept.factors.flat()), values(fresh.factors.flat()));

        let plain_pass = case.mlp(&plain).forward_pass(case.x(&plain));
        assert_close(&values(pass.outputs()), &values(plain_pass.outputs()), 2e-6, "outputs");
        // A tensor of another kind in the middle of a pass on the CPU falls back to the tensor operations.
        let mixed = pass.jvp(direction.clone().to_device(&Device::flex().autodiff()));
        assert_close(&values(pass.jvp(direction)), &values(&mixed), 4e-6, "mixed devices");
    }
}
