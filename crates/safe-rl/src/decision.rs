//! The decision on a candidate: it, or what it would replace.

mod cpu;
mod flag;
mod gpu;

use burn::tensor::Tensor;
use compute::cpu::View;
use compute::first_of;

pub use flag::Flag;

/// The decision on one candidate.
#[derive(Debug, Clone)]
pub struct Decision {
    /// Whether the candidate is taken.
    pub accept: Flag,
    /// The same on the host where reading it costs nothing (the CPU backend): selection is then a handle, not a copy.
    known: Option<bool>,
}

impl Decision {
    /// A decision from a flag or a mask `[1]`.
    pub fn new(accept: impl Into<Flag>) -> Self {
        let accept = accept.into();
        let known = View::of(&accept.number()).map(|view| view.values()[0] > 0.5);
        Self { accept, known }
    }

    /// The candidate if it was accepted, else the current tensor bit for bit: parameters, factors, statistics alike.
    pub fn select<const D: usize>(&self, candidate: Tensor<D>, current: Tensor<D>) -> Tensor<D> {
        match self.known {
            Some(true) => candidate,
            Some(false) => current,
            None => {
                let shape = current.dims();
                let [chosen] = self.select_all([(candidate.reshape([-1]), current.reshape([-1]))]);
                chosen.reshape(shape)
            }
        }
    }

    /// [`select`](Self::select) for up to three pairs of (candidate, current), in one launch where a GPU has the kernel.
    ///
    /// # Panics
    /// If a candidate has another shape than what it would replace.
    pub fn select_all<const N: usize>(&self, pairs: [(Tensor<1>, Tensor<1>); N]) -> [Tensor<1>; N] {
        const { assert!(N >= 1 && N <= 3, "the kernel has three places") };
        for (candidate, current) in &pairs {
            assert_eq!(candidate.dims(), current.dims(), "a candidate has the shape of what it replaces");
        }
        first_of!(
            gpu::select_all(&self.accept, &pairs),
            pairs.map(|(candidate, current)| match self.known {
                Some(true) => candidate,
                Some(false) => current,
                None => self.select_by_mask(candidate, current),
            })
        )
    }

    /// The decision if the host knows it without waiting for a device.
    pub fn known(&self) -> Option<bool> {
        self.known
    }

    /// [`select`](Self::select) on the device, whether the host knows or not.
    pub(crate) fn select_by_mask<const D: usize>(&self, candidate: Tensor<D>, current: Tensor<D>) -> Tensor<D> {
        let mask = self.accept.mask().reshape([1; D]).expand(current.dims());
        current.mask_where(mask, candidate)
    }
}

/// Whether every value is finite.
pub fn all_finite<const D: usize>(x: &Tensor<D>) -> Flag {
    all_finite_in([x.clone().reshape([-1])])
}

/// Whether every value of up to three tensors is finite, in one launch where a GPU has the kernel.
pub fn all_finite_in<const N: usize>(tensors: [Tensor<1>; N]) -> Flag {
    const { assert!(N >= 1 && N <= 3, "the kernel has three places") };
    first_of!(cpu::all_finite(&tensors), gpu::all_finite(&tensors), {
        let flags = tensors.into_iter().map(|x| Flag::from(x.is_finite().all()));
        flags.reduce(|one, other| one.and(&other)).expect("at least one tensor")
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::test_device::test_device;
    use compute::read;

    #[test]
    fn the_candidate_or_the_current_tensor_returns_bit_for_bit() {
        let device = test_device();
        let (new, old) = ([2.0, f32::NAN], [1.0, -0.0]);
        let tensor = |x: [f32; 2]| Tensor::<1>::from_floats(x, &device);
        for accept in [true, false] {
            let flag = Flag::of_number(Tensor::from_floats([f32::from(u8::from(accept))], &device));
            let decision = Decision::new(flag);
            let expected = if accept { new } else { old }.map(f32::to_bits);
            let [one, two] = decision.select_all([(tensor(new), tensor(old)), (tensor(new), tensor(old))]);
            let three = decision.select(tensor(new), tensor(old));
            for got in [one, two, three, decision.select_by_mask(tensor(new), tensor(old))] {
                assert_eq!(read("g", got).unwrap().iter().map(|x| x.to_bits()).collect::<Vec<_>>(), expected);
            }
        }
    }

    #[test]
    fn a_number_that_is_not_finite_is_found_wherever_it_stands() {
        let device = test_device();
        let good = Tensor::<1>::from_floats([0.0, f32::MAX, -1.0], &device);
        for bad in [f32::NAN, f32::INFINITY, f32::NEG_INFINITY] {
            let bad = Tensor::<1>::from_floats([1.0, bad], &device);
            let says = |flag: Flag| read("f", flag.number()).unwrap() == [1.0];
            assert!(says(all_finite_in([good.clone(), good.clone(), good.clone()])));
            assert!(!says(all_finite_in([bad.clone(), good.clone(), good.clone()])));
            assert!(!says(all_finite_in([good.clone(), bad.clone()])));
            assert!(!says(all_finite(&bad)));
        }
    }
}
