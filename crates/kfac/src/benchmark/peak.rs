//! What the processor could do at most.

mod cpu;

use std::time::Duration;

/// What the processor's float32 units can do, operations per second of all measured threads together; a multiply-add
/// counts as two.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Peak {
    /// Fused multiply-adds on registers, no memory touched: no program can be faster.
    pub registers: f64,
    /// This crate's packed matrix product on operands that stay in the cache: what its updates can hope for.
    pub product: f64,
}

impl Peak {
    /// Measures `threads` threads at once, each for `time` for either figure.
    ///
    /// Every thread takes its best round and the threads' rates are added: a machine busy with other work still shows
    /// its peak, as long as every thread has a quiet millisecond.
    pub fn measure(threads: usize, time: Duration) -> Peak {
        let all = |rate: fn(Duration) -> f64| -> f64 {
            std::thread::scope(|scope| {
                let threads: Vec<_> = (0..threads.max(1)).map(|_| scope.spawn(move || rate(time))).collect();
                threads.into_iter().map(|thread| thread.join().unwrap_or(0.0)).sum()
            })
        };
        Peak { registers: all(cpu::register_peak), product: all(cpu::product_peak) }
    }
}
