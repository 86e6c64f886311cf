//! Times work on a device: warmed up, in rounds, the device waited for inside each.

use std::time::Instant;

use anyhow::Result;
use burn::tensor::Device;

use crate::device::{DeviceChoice, SelectedDevice, synchronize};
use crate::statistics::median;

/// Rounds of a measurement.
const ROUNDS: usize = 7;
/// Seconds a round lasts at least, so that the clock and the first cache misses do not matter.
const ROUND_SECONDS: f64 = 0.5;
/// The same for what is measured beside: peaks, and parts.
const SHORT_ROUND_SECONDS: f64 = 0.1;
/// Seconds of warming up: threads start, caches fill, GPU kernels are compiled.
const WARM_UP_SECONDS: f64 = 1.0;

/// A device and a number of threads to time work on.
pub struct Clock {
    selected: SelectedDevice,
    threads: usize,
    /// Seconds of warming up, and of a round.
    warm_up_s: f64,
    round_s: f64,
}

impl Clock {
    /// Times on this device, with the global pool of so many threads.
    pub fn new(selected: SelectedDevice, threads: usize) -> Self {
        Self { selected, threads, warm_up_s: WARM_UP_SECONDS, round_s: ROUND_SECONDS }
    }

    /// The same device and `threads` threads, for many measurements that need not be as exact.
    pub fn brief(&self, threads: usize) -> Self {
        let selected = self.selected.clone();
        Self { selected, threads, warm_up_s: SHORT_ROUND_SECONDS, round_s: SHORT_ROUND_SECONDS }
    }

    /// The device.
    pub fn device(&self) -> &Device {
        &self.selected.device
    }

    /// Which device it is.
    pub fn choice(&self) -> DeviceChoice {
        self.selected.choice
    }

    /// Threads of the CPU.
    pub fn threads(&self) -> usize {
        self.threads
    }

    /// `cpu, 2 threads`
    pub fn machine(&self) -> String {
        let plural = if self.threads == 1 { "" } else { "s" };
        format!("{}, {} thread{plural}", self.selected.name(), self.threads)
    }

    /// The usual seconds of one call of `work`: of the median round.
    ///
    /// # Errors
    /// Those of `work`, and when the device fails.
    pub fn seconds_of(&self, mut work: impl FnMut() -> Result<()>) -> Result<f64> {
        self.round(self.warm_up_s, &mut work)?;
        let rounds: Result<Vec<f64>> = (0..ROUNDS).map(|_| self.round(self.round_s, &mut work)).collect();
        Ok(median(&rounds?))
    }

    /// The best seconds of one call of `work`: what a peak means.
    ///
    /// # Errors
    /// Those of `work`, and when the device fails.
    pub fn best_seconds_of(&self, mut work: impl FnMut() -> Result<()>) -> Result<f64> {
        (0..=ROUNDS).try_fold(f64::INFINITY, |best, _| Ok(best.min(self.round(SHORT_ROUND_SECONDS, &mut work)?)))
    }

    fn round(&self, seconds: f64, work: &mut impl FnMut() -> Result<()>) -> Result<f64> {
        let start = Instant::now();
        let mut calls = 0;
        while calls == 0 || start.elapsed().as_secs_f64() < seconds {
            work()?;
            calls += 1;
            self.synchronize()?;
        }
        Ok(start.elapsed().as_secs_f64() / f64::from(calls))
    }

    /// Waits for the device.
    ///
    /// # Errors
    /// When it failed.
    pub fn synchronize(&self) -> Result<()> {
        synchronize(self.device())
    }
}
