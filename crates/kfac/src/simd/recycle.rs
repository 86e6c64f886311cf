//! Large buffers that are used again.

use std::ops::{Deref, DerefMut};
use std::sync::{Mutex, PoisonError};

/// Buffers waiting for their next use.
static SPARE: Mutex<Vec<Vec<f32>>> = Mutex::new(Vec::new());

/// Most buffers kept; the smallest goes first.
const SPARES: usize = 6;

/// A large buffer that goes back to a common store when dropped.
///
/// The system takes memory of this size back at once, and fresh pages cost a tenth of the time of a whole pass.
pub(crate) struct Recycled(Vec<f32>);

impl Recycled {
    /// `len` floats of unspecified value.
    pub fn new(len: usize) -> Self {
        let mut spare = SPARE.lock().unwrap_or_else(PoisonError::into_inner);
        // The smallest that is large enough, else the largest, which then grows.
        let fit = (0..spare.len())
            .filter(|&i| spare[i].capacity() >= len)
            .min_by_key(|&i| spare[i].capacity())
            .or_else(|| (0..spare.len()).max_by_key(|&i| spare[i].capacity()));
        let mut data = fit.map(|i| spare.swap_remove(i)).unwrap_or_default();
        drop(spare);
        if data.capacity() < len {
            // Nothing in it is worth copying.
            data = vec![0.0; len];
        }
        data.resize(len, 0.0);
        Recycled(data)
    }
}

impl Deref for Recycled {
    type Target = [f32];

    fn deref(&self) -> &[f32] {
        &self.0
    }
}

impl DerefMut for Recycled {
    fn deref_mut(&mut self) -> &mut [f32] {
        &mut self.0
    }
}

impl Drop for Recycled {
    fn drop(&mut self) {
        let mut spare = SPARE.lock().unwrap_or_else(PoisonError::into_inner);
        spare.push(std::mem::take(&mut self.0));
        if spare.len() > SPARES
            && let Some(least) = (0..spare.len()).min_by_key(|&i| spare[i].capacity())
        {
            spare.swap_remove(least);
        }
    }
}
