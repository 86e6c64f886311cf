//! Selecting between a candidate and what it would replace.

#[cfg(feature = "gpu")]
mod kernel;

use burn::tensor::Tensor;

use crate::Flag;
use compute::cpu::View;

/// The decision on one candidate.
#[derive(Debug, Clone)]
pub struct Verdict {
    /// Whether the candidate is taken.
    pub accept: Flag,
    /// The same on the host where reading it costs nothing (the CPU backend): selection is then a handle, not a copy.
    known: Option<bool>,
}

impl Verdict {
    /// A verdict from a flag or a mask `[1]`.
    pub fn new(accept: impl Into<Flag>) -> Self {
        let accept = accept.into();
        let known = View::of(&accept.float()).map(|view| view.values()[0] > 0.5);
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

    /// [`select`](Self::select) for three pairs of (candidate, current), in one launch where a GPU has the kernel.
    pub fn select_three(&self, pairs: [(Tensor<1>, Tensor<1>); 3]) -> [Tensor<1>; 3] {
        #[cfg(feature = "gpu")]
        if let Some(chosen) = kernel::select_three(&self.accept, &pairs) {
            return chosen;
        }
        pairs.map(|(candidate, current)| self.select(candidate, current))
    }

    /// The decision if the host knows it without waiting for a device.
    pub fn known(&self) -> Option<bool> {
        self.known
    }

    pub(crate) fn select_plain<const D: usize>(&self, candidate: Tensor<D>, current: Tensor<D>) -> Tensor<D> {
        let mask = self.accept.mask().reshape([1; D]).expand(current.dims());
        current.mask_where(mask, candidate)
    }
}

/// Whether every value is finite.
pub fn all_finite<const D: usize>(x: &Tensor<D>) -> Flag {
    #[cfg(feature = "gpu")]
    if let Some(flag) = kernel::all_finite([x.clone().reshape([-1])]) {
        return flag;
    }
    x.clone().is_finite().all().into()
}

/// Whether every value of up to three tensors is finite, in one launch where a GPU has the kernel.
pub fn all_finite_in<const N: usize>(tensors: [Tensor<1>; N]) -> Flag {
    const { assert!(N >= 1 && N <= 3, "the kernel has three places") };
    #[cfg(feature = "gpu")]
    if let Some(flag) = kernel::all_finite(tensors.clone()) {
        return flag;
    }
    let flags = tensors.iter().map(all_finite);
    flags.reduce(|one, other| one.and(&other)).expect("at least one tensor")
}
