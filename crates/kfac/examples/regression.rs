//! Fits a regression network by K-FAC and by Adam and prints the wall-clock time to a given loss:
//! `cargo run --release -p kfac --example regression`.
//!
//! The task is a teacher's: targets come from a random tanh network; the student sees the teacher's inputs through a
//! linear mixture of condition number 30, as correlated sensors in raw units would give them. K-FAC does not feel such a
//! mixture (its steps are invariant to linear maps of a layer's input), Adam does. Adam runs with several batch sizes and
//! learning rates. Both share the gradient, so the difference is that of the methods.
//!
//! Where the inputs are white (pass `1` as condition number) Adam on small batches is as fast as K-FAC or faster.

use std::time::Instant;

use burn::tensor::{Device, Distribution, Tensor};
use kfac::{Activation, Kfac, KfacConfig, KfacError, Mlp, MlpSpec};

const SAMPLES: usize = 16_384;
const INPUTS: usize = 12;
/// Fractions of the targets' variance left to explain.
const GOALS: [f32; 3] = [1e-2, 3e-3, 1e-3];
const TIME_LIMIT: f64 = 12.0;

struct Data {
    x: Tensor<2>,
    y: Tensor<2>,
}

impl Data {
    fn new(condition: f32, device: &Device) -> Result<Self, KfacError> {
        device.seed(1);
        let teacher = Mlp::init(MlpSpec::new([INPUTS, 40, 40, 1], Activation::Tanh)?, 7, 2.0, device);
        let x = Tensor::random([SAMPLES, INPUTS], Distribution::Normal(0.0, 1.0), device);
        let y = teacher.forward(x.clone());
        let mean = y.clone().mean().reshape([1, 1]);
        let spread = (y.clone() - mean.clone()).powi_scalar(2).mean().sqrt().reshape([1, 1]);
        let scale = |i: usize| condition.powf(-(i as f32) / (INPUTS - 1) as f32);
        let scales: Vec<f32> = (0..INPUTS).map(scale).collect();
        let scales = Tensor::<1>::from_floats(scales.as_slice(), device).unsqueeze_dim::<2>(0);
        let x = (x.matmul(rotation(11, device)?) * scales).matmul(rotation(12, device)?);
        Ok(Data { x, y: (y - mean) / spread })
    }

    fn batch(&self, step: usize, size: usize) -> (Tensor<2>, Tensor<2>) {
        let start = step * size % SAMPLES;
        let range = start..start + size;
        (self.x.clone().slice([range.clone()]), self.y.clone().slice([range]))
    }

    /// Mean squared error over all samples, in units of the targets' variance.
    fn loss(&self, mlp: &Mlp) -> f32 {
        let error = mlp.forward(self.x.clone()) - self.y.clone();
        (error.clone() * error).mean().into_data().iter::<f32>().next().unwrap_or(f32::NAN)
    }
}

/// An orthogonal matrix: the weights of a square linear network as initialised.
fn rotation(seed: u64, device: &Device) -> Result<Tensor<2>, KfacError> {
    let linear = Mlp::init(MlpSpec::new([INPUTS, INPUTS], Activation::Tanh)?, seed, 1.0, device);
    Ok(linear.theta().clone().slice([0..INPUTS * INPUTS]).reshape([INPUTS, INPUTS]))
}

/// Steps until the last goal or the time limit; the time of evaluating the loss is not counted.
fn train(
    data: &Data,
    mut mlp: Mlp,
    batch: usize,
    mut step: impl FnMut(usize, &Mlp) -> Result<Mlp, KfacError>,
) -> Result<Run, KfacError> {
    let mut run = Run { seconds: [None; GOALS.len()], steps: 0, loss: f32::NAN };
    let mut seconds = 0.0;
    while seconds < TIME_LIMIT && run.seconds[GOALS.len() - 1].is_none() {
        let start = Instant::now();
        for _ in 0..SAMPLES / batch {
            mlp = step(run.steps, &mlp)?;
            run.steps += 1;
        }
        seconds += start.elapsed().as_secs_f64();
        run.loss = data.loss(&mlp);
        for (goal, reached) in GOALS.iter().zip(&mut run.seconds) {
            if reached.is_none() && run.loss <= *goal {
                *reached = Some(seconds);
            }
        }
    }
    Ok(run)
}

struct Run {
    seconds: [Option<f64>; GOALS.len()],
    steps: usize,
    loss: f32,
}

impl Run {
    fn print(&self, name: &str) {
        let times = self.seconds.map(|s| s.map_or("     -".into(), |s| format!("{s:6.2}")));
        println!("{name:18} {}   {:6} steps, final loss {:.1e}", times.join(" s  "), self.steps, self.loss);
    }
}

/// Adam (Kingma and Ba, arXiv 1412.6980) on the flat parameters.
fn adam(data: &Data, mlp: Mlp, batch: usize, rate: f32) -> Result<Run, KfacError> {
    let mut m = mlp.theta().clone().zeros_like();
    let mut v = m.clone();
    train(data, mlp, batch, |step, mlp| {
        let (x, y) = data.batch(step, batch);
        let (g, _) = mlp.regression_gradient(x, y);
        m = m.clone().mul_scalar(0.9) + g.clone().mul_scalar(0.1);
        v = v.clone().mul_scalar(0.999) + (g.clone() * g).mul_scalar(0.001);
        let t = step as i32 + 1;
        let first = m.clone().div_scalar(1.0 - 0.9f32.powi(t));
        let second = v.clone().div_scalar(1.0 - 0.999f32.powi(t));
        let change = first / second.sqrt().add_scalar(1e-8);
        Ok(mlp.with_theta(mlp.theta().clone() - change.mul_scalar(rate)))
    })
}

fn main() -> Result<(), KfacError> {
    let condition = std::env::args().nth(1).and_then(|a| a.parse().ok()).unwrap_or(30.0);
    let device = Device::flex();
    let data = Data::new(condition, &device)?;
    let spec = MlpSpec::new([INPUTS, 64, 64, 1], Activation::Tanh)?;
    let student = Mlp::init(spec.clone(), 3, 1.0, &device);
    println!("{SAMPLES} samples, inputs of condition number {condition}, network {:?}", spec.sizes());
    println!("seconds until {GOALS:?} of the targets' variance is left, at most {TIME_LIMIT} s:");
    for (batch, rate) in [(256, 1e-3), (256, 3e-3), (1024, 3e-3), (1024, 1e-2), (4096, 1e-2)] {
        adam(&data, student.clone(), batch, rate)?.print(&format!("Adam {batch:5} {rate:.0e}"));
    }
    for batch in [4096, SAMPLES] {
        let mut optimiser = Kfac::new(&spec, KfacConfig::default(), &device)?;
        let run = train(&data, student.clone(), batch, |step, mlp| {
            let (x, y) = data.batch(step, batch);
            Ok(optimiser.step(mlp, x, y)?.0)
        })?;
        run.print(&format!("K-FAC {batch:5}"));
    }
    Ok(())
}
