//! Scratch memory of a thread.

use std::cell::RefCell;

thread_local! {
    /// One growing buffer per thread: fresh pages for every call would cost more than the arithmetic on small batches.
    static SCRATCH: RefCell<Vec<f32>> = const { RefCell::new(Vec::new()) };
}

/// Lends buffers of the given sizes with unspecified contents.
///
/// Calls must not nest: the kernels never enter the thread pool, so no other task can run on this thread meanwhile.
#[inline(always)]
pub(crate) fn with_scratch<R>(sizes: &[usize], body: impl FnOnce(&mut [&mut [f32]]) -> R) -> R {
    SCRATCH.with_borrow_mut(|scratch| {
        let total: usize = sizes.iter().sum();
        if scratch.len() < total {
            scratch.resize(total, 0.0);
        }
        let mut rest = &mut scratch[..total];
        let mut buffers = Vec::with_capacity(sizes.len());
        for &size in sizes {
            let (buffer, tail) = rest.split_at_mut(size);
            buffers.push(buffer);
            rest = tail;
        }
        body(&mut buffers)
    })
}
