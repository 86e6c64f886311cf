//! Which kernels a GPU was asked to launch, as CubeCL itself reports it; none in a build without GPUs.

#[cfg(feature = "gpu")]
use std::collections::HashMap;
#[cfg(feature = "gpu")]
use std::sync::{Arc, Mutex, PoisonError};

#[cfg(feature = "gpu")]
use cubecl::logging::{LaunchObservation, LaunchObserver};

/// Watches the launches of the whole process for as long as it lives.
pub struct LaunchWatch {
    #[cfg(feature = "gpu")]
    counts: Arc<Counts>,
    #[cfg(feature = "gpu")]
    _watching: LaunchObservation,
}

#[cfg(feature = "gpu")]
#[derive(Default)]
struct Counts(Mutex<HashMap<&'static str, u64>>);

#[cfg(feature = "gpu")]
impl LaunchObserver for Counts {
    fn launched(&self, kernel: &'static str) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner).entry(kernel).or_default() += 1;
    }
}

impl LaunchWatch {
    /// Begins to watch.
    #[cfg(feature = "gpu")]
    pub fn begin() -> Self {
        let counts = Arc::new(Counts::default());
        Self { _watching: LaunchObservation::new(counts.clone()), counts }
    }

    /// Begins to watch: there is nothing to see.
    #[cfg(not(feature = "gpu"))]
    pub fn begin() -> Self {
        Self {}
    }

    /// Launches by kernel, with the kernel's name as CubeCL has it, since the last call or the beginning.
    #[cfg(feature = "gpu")]
    pub fn take(&self) -> Vec<(&'static str, u64)> {
        self.counts.0.lock().unwrap_or_else(PoisonError::into_inner).drain().collect()
    }

    /// None.
    #[cfg(not(feature = "gpu"))]
    pub fn take(&self) -> Vec<(&'static str, u64)> {
        Vec::new()
    }
}
