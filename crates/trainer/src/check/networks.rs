//! The kernels of networks: passes, Kronecker factors and their inverses, regression, Adam.

use anyhow::Result;
use burn::tensor::{Device, Tensor};
use kfac::{Activation, Factors, FisherSeeds, Mlp, MlpSpec, Statistics};
use safe_rl::{Adam, AdamConfig, running_average};

use super::findings::{Findings, Measure};
use super::numbers::{noise, values, vector};
use super::subject::Subject;

const SUMS: &str = "float32, sums in another order";
const INVERSE: &str = "float32, times the condition of a damped factor";
const FLAGS: &str = "counts do not round";

/// A critic's gradient and loss.
pub(super) fn regression(subject: &Subject, findings: &mut Findings) -> Result<()> {
    let shapes: [(&[usize], Activation, usize); 5] = [
        (&[60, 64, 64, 1], Activation::Tanh, 1024),
        (&[7, 13, 9, 3], Activation::Relu, 130),
        (&[5, 2], Activation::Tanh, 1),
        (&[3, 17, 1], Activation::Tanh, 64),
        (&[3, 160, 2], Activation::Tanh, 65), // too wide for units
    ];
    for (sizes, activation, samples) in shapes {
        let spec = MlpSpec::new(sizes, activation)?;
        let [expected, got] = subject.both(|device| {
            let mlp = biased(&spec, device);
            let x = noise(1, [samples + 3, spec.input_size()], device).narrow(0, 2, samples);
            let (gradient, loss) = mlp.regression_gradient(x, noise(2, [samples, spec.output_size()], device));
            Ok([values(gradient)?, values(loss)?])
        })?;
        for ((what, expected), got) in ["gradient", "loss"].iter().zip(&expected).zip(&got) {
            let what = format!("{what} of {sizes:?}, {samples} samples");
            findings.compare(what, Measure::Relative(1.0), [expected, got], 1e-5, SUMS);
        }
    }
    Ok(())
}

/// A fresh network whose biases are not zero.
fn biased(spec: &MlpSpec, device: &Device) -> Mlp {
    let mlp = Mlp::init(spec.clone(), 3, 1.0, device);
    mlp.with_theta(mlp.theta().clone() + vector(9, spec.num_params(), device) * 0.1)
}

/// The passes of an update: forward, tangents, gradients, factors.
pub(super) fn passes(subject: &Subject, findings: &mut Findings) -> Result<()> {
    let shapes: [(&[usize], Activation, usize, bool); 5] = [
        (&[60, 64, 64, 2], Activation::Tanh, 300, true),
        (&[60, 64, 64, 2], Activation::Tanh, 257, false),
        (&[9, 13, 21, 3], Activation::Relu, 129, false),
        (&[5, 2], Activation::Tanh, 1, true),
        (&[8, 150, 2], Activation::Tanh, 70, false), // too wide for units
    ];
    for (sizes, activation, samples, constant) in shapes {
        let spec = MlpSpec::new(sizes, activation)?;
        let outputs = spec.output_size();
        let [expected, got] = subject.both(|device| {
            let vector = |index: u64| vector(index, spec.num_params(), device);
            let mlp = biased(&spec, device);
            let x = noise(1, [samples, spec.input_size()], device);
            let stack =
                |index: u64, n: usize| noise(index, [n * samples, outputs], device).reshape([n, samples, outputs]);
            let seeds = if constant {
                FisherSeeds::Constant(noise(5, [2, outputs], device))
            } else {
                FisherSeeds::PerSample(stack(6, 3))
            };
            let pass = mlp.forward_pass(x.clone());
            let Statistics { gradients, factors } = pass.statistics(stack(2, 2) / samples as f32, seeds);
            let longer = Tensor::cat(vec![vector(4), vector(5).narrow(0, 0, 1)], 0); // than theta
            Ok([
                values(mlp.forward(x.clone()))?,
                values(pass.outputs())?,
                values(pass.jvp(vector(4)))?,
                values(pass.jvp(longer))?,
                values(gradients)?,
                values(factors.flat().clone())?,
                values(mlp.gradients(x, stack(7, 1) / samples as f32))?,
            ])
        })?;
        let names = ["forward", "outputs", "tangents", "longer tangents", "gradients", "factors", "gradients alone"];
        let kind = if constant { "exact" } else { "sampled" };
        for ((what, expected), got) in names.iter().zip(&expected).zip(&got) {
            let what = format!("{what} of {sizes:?}, {kind}");
            findings.compare(what, Measure::OfLargest(1e-3), [expected, got], 1e-5, SUMS);
        }
    }
    Ok(())
}

/// The moving averages: of the factors, which take what a mask lets in, and of gradients.
pub(super) fn averages(subject: &Subject, findings: &mut Findings) -> Result<()> {
    let spec = MlpSpec::new([9, 17, 2], Activation::Tanh)?;
    let samples = [(1, f32::NAN, 0.0), (2, 1.0, 1.0), (3, 2.0, 0.0), (4, f32::NAN, 0.0), (5, 0.5, 1.0)];
    let [expected, got] = subject.both(|device| {
        let mlp = Mlp::init(spec.clone(), 3, 1.0, device);
        let seeds = || kfac::exact_seeds(Tensor::<1>::from_floats([-0.5, 0.3], device));
        let sample = |index: u64, scale: f32| {
            let x = noise(index, [40, 9], device) * scale;
            mlp.statistics(x, Tensor::<3>::ones([1, 40, 2], device), seeds()).factors
        };
        let mask = |x: f32| Tensor::<1>::from_floats([x], device);
        let mut factors = Factors::new(&spec, 0.9, device)?;
        let mut seen = vec![values(factors.flat())?];
        for (index, scale, taken) in samples {
            factors.update_if(mask(taken), &sample(index, scale));
            seen.push(values(factors.flat())?);
        }
        let mut always = factors.clone();
        always.update(&sample(6, 1.0));
        factors.update_if(mask(1.0), &sample(6, 1.0));
        seen.push(values(factors.flat())?);
        seen.push(values(always.flat())?);
        if let FisherSeeds::Constant(seeds) = seeds() {
            seen.push(values(seeds)?);
        }
        Ok(seen)
    })?;
    for (step, (expected, got)) in expected.iter().zip(&got).enumerate() {
        findings.compare(format!("step {step}"), Measure::Relative(1.0), [expected, got], 1e-6, SUMS);
    }
    for (step, _) in samples.iter().enumerate().filter(|(_, (_, _, taken))| *taken == 0.0) {
        let what = format!("step {} takes nothing", step + 1);
        findings.compare(
            what,
            Measure::Differing,
            [&got[step], &got[step + 1]],
            0.0,
            "a refused sample must not enter",
        );
    }
    let [.., masked, always, _] = got.as_slice() else { return Ok(()) };
    findings.compare("with and without a mask", Measure::Differing, [always, masked], 0.0, "the same sums");
    let [expected, got] = subject.both(|device| {
        let gradients = |index| noise(index, [2, 999], device);
        values(running_average(&gradients(7), &gradients(8), 0.7))
    })?;
    findings.compare(
        "gradients",
        Measure::Relative(1.0),
        [&expected, &got],
        1e-6,
        "float32, products and sum fused or not",
    );
    Ok(())
}

/// Inverses of ordinary, strong and hopeless factors, and the natural gradients by them.
pub(super) fn inverses(subject: &Subject, findings: &mut Findings) -> Result<()> {
    let spec = MlpSpec::new([20, 33, 6, 2], Activation::Tanh)?;
    for (what, scale, damping) in [("ordinary", 1.0, 0.1), ("strong", 30.0, 1e-3), ("not finite", f32::NAN, 0.1)] {
        let [expected, got] = subject.both(|device| {
            let mlp = Mlp::init(spec.clone(), 5, 1.0, device);
            let x = noise(1, [300, 20], device) * scale;
            let cotangents = Tensor::<3>::ones([1, 300, 2], device) / 300.0;
            let seeds = kfac::exact_seeds(Tensor::<1>::from_floats([-0.5, 0.3], device));
            let mut factors = Factors::new(&spec, 0.9, device)?;
            factors.update(&mlp.statistics(x, cotangents, seeds).factors);
            let inverse = factors.inverse(damping)?;
            let counts = Tensor::cat(vec![inverse.raised(), inverse.fallbacks()], 0);
            let natural = inverse.natural_gradients(noise(8, [2, spec.num_params()], device));
            let with_log_std = inverse.natural_gradients(noise(9, [2, spec.num_params() + 3], device));
            Ok([values(counts)?, values(inverse.flat().clone())?, values(natural)?, values(with_log_std)?])
        })?;
        let counts = [&expected[0][..], &got[0]];
        findings.compare(format!("{what}: matrices damped more, given up"), Measure::Differing, counts, 0.0, FLAGS);
        let names = ["inverses", "natural gradients", "natural gradients with log sigma"];
        for (name, (expected, got)) in names.iter().zip(expected[1..].iter().zip(&got[1..])) {
            findings.compare(format!("{what}: {name}"), Measure::OfLargest(1e-6), [expected, got], 2e-4, INVERSE);
        }
    }
    Ok(())
}

/// Adam's steps, and those that it leaves out because a gradient is not finite.
pub(super) fn adam(subject: &Subject, findings: &mut Findings) -> Result<()> {
    const NETWORKS: usize = 3;
    const PARAMETERS: usize = 700;
    const ALL: usize = NETWORKS * PARAMETERS;
    for max_grad_norm in [None, Some(0.5)] {
        let [expected, got] = subject.both(|device| {
            let config = AdamConfig { learning_rate: 0.01, max_grad_norm, ..AdamConfig::default() };
            let mut adam = Adam::new(NETWORKS, PARAMETERS, config, device)?;
            let mut theta = vector(0, ALL, device);
            for step in 1..12 {
                let mut gradient = vector(step, ALL, device) + theta.clone();
                match step {
                    4 => gradient = gradient.slice_fill(1300..1301, f32::NAN),
                    7 => gradient = gradient.slice_fill(3..4, f32::NEG_INFINITY),
                    _ => {}
                }
                theta = adam.step(theta, gradient);
            }
            let moments = adam.state()?.tensors;
            let moments: Vec<f32> = moments.into_values().flat_map(|tensor| tensor.values).collect();
            Ok([values(theta)?, moments, values(adam.skipped())?])
        })?;
        let limit = max_grad_norm.map_or("no limit".to_owned(), |norm| format!("norm limit {norm}"));
        for (i, what) in ["parameters", "moments"].into_iter().enumerate() {
            let pair = [&expected[i][..], &got[i]];
            findings.compare(format!("{what}, {limit}"), Measure::Relative(1.0), pair, 1e-5, SUMS);
        }
        let skipped = [&[1.0, 1.0, 0.0][..], &got[2]];
        findings.compare(format!("steps left out, {limit}"), Measure::Differing, skipped, 0.0, FLAGS);
    }
    Ok(())
}
