//! The CPU leaves give the same bits with any number of threads.

use burn::tensor::{Device, Tensor};
use kfac::{Activation, Factors, FisherSeeds, Mlp, MlpSpec, regression_gradients};
use test_support::numbers::{normals, tensor, values};

fn everything(sizes: &[usize], rows: usize) -> Vec<u32> {
    let device = Device::flex();
    let spec = MlpSpec::new(sizes, Activation::Tanh).expect("valid");
    let (inputs, outputs, params) = (spec.input_size(), spec.output_size(), spec.num_params());
    let mlp = Mlp::init(spec.clone(), 1, 1.0, &device);
    let x: Tensor<2> = tensor(&normals(1, rows * inputs, 1.0), [rows, inputs], &device);
    let cotangents = tensor(&normals(2, 2 * rows * outputs, 1.0), [2, rows, outputs], &device);
    let seeds = FisherSeeds::PerSample(tensor(&normals(3, 2 * rows * outputs, 1.0), [2, rows, outputs], &device));
    let statistics = mlp.statistics(x.clone(), cotangents, seeds);
    let mut factors = Factors::new(&spec, 0.95, &device).expect("valid");
    factors.update(&statistics.factors);
    let inverse = factors.inverse(0.1).expect("valid");
    let natural = inverse.natural_gradients(statistics.gradients.clone());
    let direction = natural.clone().slice([0..1]).reshape([params]);
    let mut all = values(&statistics.gradients);
    all.extend(values(factors.flat()));
    all.extend(values(inverse.flat()));
    all.extend(values(&natural));
    all.extend(values(mlp.forward(x.clone())));
    all.extend(values(mlp.jvp(x.clone(), direction)));
    let (gradient, loss) =
        mlp.regression_gradient(x.clone(), tensor(&normals(7, rows * outputs, 1.0), [rows, outputs], &device));
    all.extend(values(&gradient));
    all.extend(values(&loss));
    let thetas = Tensor::cat(vec![mlp.theta().clone(), mlp.theta().clone() * 0.9], 0);
    let targets: Tensor<3> = tensor(&normals(8, 2 * rows * outputs, 1.0), [2, rows, outputs], &device);
    let (gradients, losses) = regression_gradients(&spec, &thetas, &x, &targets, 3..rows - 5);
    all.extend(values(&gradients));
    all.extend(values(&losses));
    all.iter().map(|v| v.to_bits()).collect()
}

#[test]
fn bits_do_not_depend_on_the_number_of_threads() {
    let cases = [(&[60, 64, 64, 2][..], 3001), (&[33, 256, 200, 3][..], 2500), (&[8, 1540, 2][..], 1300)];
    for (sizes, rows) in cases {
        let with = |threads| {
            let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().expect("a pool");
            pool.install(|| everything(sizes, rows))
        };
        let one = with(1);
        for threads in [2, 3, 7] {
            assert!(with(threads) == one, "{threads} threads changed bits of {sizes:?}");
        }
    }
}
