//! Number by number and end to end: what whole rollouts pass through between the operations proper.
//!
//! The bits are those of burn's operations on every backend, but for [`mean`]. They stand here because these run over every
//! number of every rollout, and a development build does not optimise burn. Nor does it optimise the program that calls this
//! crate, where generic functions are compiled: what loops here is of one rank.

mod cpu;
mod gpu;

use burn::tensor::Tensor;
use compute::first_of;

/// Mean of all numbers, `[1]`. On the CPU the order of the sum is the same on every processor.
pub(crate) fn mean(x: &Tensor<1>) -> Tensor<1> {
    first_of!(cpu::mean(x), x.clone().mean())
}

/// `x - y`.
pub(crate) fn difference<const D: usize>(x: &Tensor<D>, y: &Tensor<D>) -> Tensor<D> {
    first_of!(cpu::zip(x, y, |x, y| x - y), x.clone() - y.clone())
}

/// `x + 2 y`.
pub(crate) fn plus_twice(x: &Tensor<1>, y: &Tensor<1>) -> Tensor<1> {
    first_of!(cpu::zip(x, y, |x, y| x + 2.0 * y), x.clone() + y.clone() * 2.0)
}

/// `decay average + (1 - decay) new`: what a running average becomes, of tensors of one shape.
///
/// # Panics
/// If the shapes differ.
///
/// ```
/// use burn::tensor::{Device, Tensor};
///
/// let of = |x| Tensor::<2>::full([1, 2], x, &Device::flex());
/// let average = safe_rl::running_average(&of(1.0), &of(5.0), 0.75);
/// assert_eq!(compute::read("average", average).unwrap(), [2.0, 2.0]);
/// ```
pub fn running_average(average: &Tensor<2>, new: &Tensor<2>, decay: f32) -> Tensor<2> {
    assert_eq!(average.dims(), new.dims(), "an average has the shape of what it is of");
    let fraction = 1.0 - decay;
    first_of!(
        cpu::zip(average, new, |average, new| average * decay + new * fraction),
        gpu::average(average, new, decay, fraction),
        average.clone() * decay + new.clone() * fraction
    )
}

/// `x - y` of one number `y` `[1]`.
pub(crate) fn less<const D: usize>(x: &Tensor<D>, y: &Tensor<1>) -> Tensor<D> {
    first_of!(cpu::with_one(x, y, |x, y| x - y), x.clone() - y.clone().unsqueeze())
}

/// `x / y` of one number `y` `[1]`.
pub(crate) fn over<const D: usize>(x: &Tensor<D>, y: &Tensor<1>) -> Tensor<D> {
    first_of!(cpu::with_one(x, y, |x, y| x / y), x.clone() / y.clone().unsqueeze())
}

/// `x^2`.
pub(crate) fn square<const D: usize>(x: &Tensor<D>) -> Tensor<D> {
    first_of!(cpu::map(x, |x| x * x), x.clone().square())
}

/// `x^2 scale` of `x` `[N, A]` and `scale` `[A]`.
pub(crate) fn scaled_squares(x: &Tensor<2>, scale: &Tensor<1>) -> Tensor<2> {
    first_of!(cpu::scaled_squares(x, scale), x.clone() * x.clone() * scale.clone().unsqueeze_dim::<2>(0))
}

/// All `parts` end to end along the first dimension.
pub(crate) fn concat<const D: usize>(parts: Vec<Tensor<D>>) -> Tensor<D> {
    first_of!(cpu::concat(&parts), Tensor::cat(parts, 0))
}

/// The rows of T `parts` `[C, B]` side by side, `[C, T, B]`.
pub(crate) fn stack_rows(parts: Vec<Tensor<2>>) -> Tensor<3> {
    first_of!(cpu::stack_rows(&parts), Tensor::stack(parts, 1))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::test_device::test_device;
    use compute::noise::{NoiseKey, Stream, normal_tensor};
    use compute::read;

    #[test]
    fn the_bits_are_those_of_the_tensor_operations() {
        let device = test_device();
        let noise = |step| normal_tensor(NoiseKey { seed: 4, stream: Stream::Other(0), step }, [40, 9], &device);
        // Some that are not finite, and a zero of either sign.
        let odd =
            Tensor::<2>::from_floats([[f32::NAN, f32::INFINITY, -0.0, 0.0, 1e-30, -1e30, 3.0, -3.0, 0.5]], &device);
        let (x, y) = (Tensor::cat(vec![noise(0), odd.clone()], 0), Tensor::cat(vec![odd, noise(1)], 0));
        let one = Tensor::<1>::from_floats([0.3], &device);
        let row = x.clone().narrow(0, 7, 1).reshape([9]);
        let flat = |x: &Tensor<2>| -> Tensor<1> { x.clone().reshape([-1]) };
        let bits = |x: Tensor<2>| read("x", x).unwrap().iter().map(|x| x.to_bits()).collect::<Vec<_>>();
        for (got, expected) in [
            (difference(&x, &y), x.clone() - y.clone()),
            (less(&x, &one), x.clone() - one.clone().unsqueeze()),
            (over(&x, &one), x.clone() / one.clone().unsqueeze()),
            (square(&x), x.clone().square()),
            (running_average(&x, &y, 0.9), x.clone() * 0.9 + y.clone() * (1.0 - 0.9_f32)),
            (plus_twice(&flat(&x), &flat(&y)).reshape(x.dims()), x.clone() + y.clone() * 2.0),
            (scaled_squares(&x, &row), x.clone() * x.clone() * row.clone().unsqueeze_dim::<2>(0)),
            // Parts that lie in memory otherwise than they read.
            (concat(vec![x.clone(), y.clone().flip([1])]), Tensor::cat(vec![x.clone(), y.clone().flip([1])], 0)),
        ] {
            assert_eq!(got.dims(), expected.dims());
            let same = |(a, b): (&u32, &u32)| a == b || (f32::from_bits(*a).is_nan() && f32::from_bits(*b).is_nan());
            assert!(bits(got).iter().zip(&bits(expected)).all(same));
        }
    }

    #[test]
    fn rows_of_all_parts_come_to_stand_side_by_side() {
        let device = test_device();
        let part = |first: f32| Tensor::<2>::from_floats([[first, first + 1.0], [first + 2.0, first + 3.0]], &device);
        let stacked = stack_rows(vec![part(0.0), part(10.0), part(20.0)]);
        assert_eq!(stacked.dims(), [2, 3, 2]);
        let expected = [0.0, 1.0, 10.0, 11.0, 20.0, 21.0, 2.0, 3.0, 12.0, 13.0, 22.0, 23.0];
        assert_eq!(read("x", stacked).unwrap(), expected);
    }
    #[test]
    fn a_mean_is_that_of_all_numbers() {
        let device = test_device();
        // Fewer than the running sums, as many, and a rest.
        for count in [1, 31, 32, 33, 1000] {
            let numbers: Vec<f32> = (0..count).map(|i| (i * i % 97) as f32 - 40.0).collect();
            let expected = numbers.iter().sum::<f32>() / count as f32;
            let got = read("mean", mean(&Tensor::<1>::from_floats(numbers.as_slice(), &device))).unwrap()[0];
            assert!((got - expected).abs() <= 1e-6 * expected.abs(), "{count}: {got} {expected}");
        }
        let odd = mean(&Tensor::<1>::from_floats([1.0, f32::NAN, 2.0], &device));
        assert!(read("mean", odd).unwrap()[0].is_nan());
    }
}
