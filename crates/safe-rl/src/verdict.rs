//! Selecting between a candidate and what it would replace.

use burn::tensor::{Bool, Tensor};

use crate::flex;

/// The decision on one candidate.
#[derive(Debug, Clone)]
pub struct Verdict {
    /// Whether the candidate is taken, `[1]`.
    pub accept: Tensor<1, Bool>,
    /// The same on the host where reading it costs nothing (the CPU backend): selection is then a handle, not a copy.
    known: Option<bool>,
}

impl Verdict {
    /// A verdict from a mask `[1]`.
    pub fn new(accept: Tensor<1, Bool>) -> Self {
        let known = flex::view(&accept.clone().float()).map(|view| view.values()[0] > 0.5);
        Self { accept, known }
    }

    /// The candidate if it was accepted, else the current tensor bit for bit: parameters, factors, statistics alike.
    pub fn select<const D: usize>(&self, candidate: Tensor<D>, current: Tensor<D>) -> Tensor<D> {
        match self.known {
            Some(true) => candidate,
            Some(false) => current,
            None => self.select_plain(candidate, current),
        }
    }

    /// The decision if the host knows it without waiting for a device.
    pub fn known(&self) -> Option<bool> {
        self.known
    }

    pub(crate) fn select_plain<const D: usize>(&self, candidate: Tensor<D>, current: Tensor<D>) -> Tensor<D> {
        let mask = self.accept.clone().reshape([1; D]).expand(current.dims());
        current.mask_where(mask, candidate)
    }
}

/// Whether every value is finite, `[1]`.
pub fn all_finite<const D: usize>(x: &Tensor<D>) -> Tensor<1, Bool> {
    #[cfg(feature = "gpu")]
    if let Some(all) = crate::unit_decide::all_finite(x) {
        return all;
    }
    x.clone().is_finite().all()
}
