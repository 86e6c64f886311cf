//! What the machine can do at most, measured in the same run as what is compared with it.

use std::hint::black_box;
use std::time::Duration;

use anyhow::Result;
use burn::tensor::{Distribution, Tensor};
use kfac::benchmark::Peak;
use rayon::prelude::*;
use serde_json::{Value, json};

use super::work::Work;
use super::{Clock, FLOAT};
use crate::device::DeviceChoice;

/// How long the CPU's arithmetic is measured.
const PEAK_TIME: Duration = Duration::from_millis(500);
/// Rows and columns of the tensor product that shows a GPU's arithmetic peak.
const PRODUCT: usize = 1024;
/// Bytes read and written by the copies: within a core's cache, within a chip's, beyond any.
const COPIES: [usize; 3] = [1 << 19, 1 << 23, 1 << 28];
/// Bytes that one measurement of a copy moves at least: small copies are repeated.
const COPIED_AT_LEAST: usize = 1 << 26;

/// Peaks of a device with a number of threads.
pub struct Peaks {
    /// Floating-point operations a second of float32 matrix products: on the CPU of one that stays in the cache.
    pub operations_per_s: f64,
    /// The same of multiply-adds on registers alone; known on the CPU only.
    registers_per_s: Option<f64>,
    /// Bytes of a copy (read and written counted), and how many of them a second.
    copies: Vec<(f64, f64)>,
}

impl Peaks {
    /// Measures them: some seconds.
    ///
    /// # Errors
    /// When the device fails.
    pub fn measure(clock: &Clock) -> Result<Self> {
        let copies = COPIES.iter().map(|&bytes| Ok((bytes as f64, copy(clock, bytes)?)));
        let copies = copies.collect::<Result<_>>()?;
        if clock.choice() == DeviceChoice::Cpu {
            let peak = Peak::measure(clock.threads(), PEAK_TIME);
            return Ok(Self { operations_per_s: peak.product, registers_per_s: Some(peak.registers), copies });
        }
        Ok(Self { operations_per_s: product(clock)?, registers_per_s: None, copies })
    }

    /// Bytes a second of the copy whose size is nearest to `bytes`: what fits a cache moves faster.
    pub fn bytes_per_s(&self, bytes: f64) -> f64 {
        let distance = |copied: f64| (copied / bytes.max(1.0)).ln().abs();
        let nearest = self.copies.iter().min_by(|a, b| distance(a.0).total_cmp(&distance(b.0)));
        nearest.map_or(f64::NAN, |copy| copy.1)
    }

    /// Seconds that `work` takes at the least.
    pub fn floor_s(&self, work: &Work) -> f64 {
        (work.operations / self.operations_per_s).max(work.bytes / self.bytes_per_s(work.bytes / work.calls))
    }

    /// As a sentence.
    pub fn text(&self) -> String {
        let copies: Vec<String> =
            (self.copies.iter()).map(|(bytes, speed)| format!("{:.0} of {}", speed / 1e9, size(*bytes))).collect();
        let registers = (self.registers_per_s)
            .map_or_else(String::new, |rate| format!(" (multiply-adds on registers {:.0})", rate / 1e9));
        format!(
            "peaks: matrix product {:.0} GFLOP/s{registers}; copies, GB/s: {}",
            self.operations_per_s / 1e9,
            copies.join(", ")
        )
    }

    /// Adds the peaks to a row of results.
    pub fn add_to(&self, row: &mut Value) {
        row["peak_product_flop_per_s"] = json!(self.operations_per_s);
        row["peak_register_flop_per_s"] = json!(self.registers_per_s);
        row["peak_copy_bytes_per_s"] = json!(self.copies.iter().map(|copy| json!(copy)).collect::<Vec<_>>());
    }
}

fn size(bytes: f64) -> String {
    if bytes < 1e6 { format!("{:.0} kB", bytes / 1e3) } else { format!("{:.0} MB", bytes / 1e6) }
}

/// Operations a second of a matrix product, multiplications and additions both counted.
fn product(clock: &Clock) -> Result<f64> {
    let random = || Tensor::<2>::random([PRODUCT; 2], Distribution::Uniform(-1.0, 1.0), clock.device());
    let (a, b) = (random(), random());
    let seconds = clock.best_seconds_of(|| {
        let _product = a.clone().matmul(b.clone());
        Ok(())
    })?;
    Ok(2.0 * (PRODUCT as f64).powi(3) / seconds)
}

/// Bytes a second of a copy that reads and writes `bytes` in all.
fn copy(clock: &Clock, bytes: usize) -> Result<f64> {
    let numbers = bytes / 2 / FLOAT as usize;
    let repeats = COPIED_AT_LEAST.div_ceil(bytes);
    let seconds = if clock.choice() == DeviceChoice::Cpu {
        let source = vec![1f32; numbers];
        let mut target = vec![0f32; numbers];
        let piece = numbers.div_ceil(clock.threads());
        clock.best_seconds_of(|| {
            let pieces = target.par_chunks_mut(piece).zip(source.par_chunks(piece));
            pieces.for_each(|(to, from)| {
                for _ in 0..repeats {
                    black_box(&mut *to).copy_from_slice(black_box(from));
                }
            });
            Ok(())
        })?
    } else {
        let source = Tensor::<1>::ones([numbers], clock.device());
        clock.best_seconds_of(|| {
            for _ in 0..repeats {
                let _copy = source.clone().add_scalar(1.0); // the simplest operation that cannot share the buffer
            }
            Ok(())
        })?
    };
    Ok((bytes * repeats) as f64 / seconds)
}
