//! Scaling of advantages: the reward's standardised, the cost's centred only (as in OmniSafe), so that the size of the
//! cost signal keeps its meaning.

use std::convert::Infallible;

use burn::tensor::Tensor;

use crate::elementwise::{less, mean as mean_of, over, square};

/// Keeps a constant advantage from dividing by zero.
const STD_FLOOR: f32 = 1e-8;

/// `(x - mean) / (std + 1e-8)` with the population standard deviation; any shape.
pub fn standardize<const D: usize>(x: Tensor<D>) -> Tensor<D> {
    standardize_with_scale(x).0
}

/// [`standardize`], and what it divided by, `[1]`.
pub fn standardize_with_scale<const D: usize>(x: Tensor<D>) -> (Tensor<D>, Tensor<1>) {
    let Ok(standardized) = standardize_by(x, Ok::<_, Infallible>);
    standardized
}

/// [`standardize_with_scale`] of a part `x` of all numbers: `mean` makes of the mean `[1]` over this part that over all.
///
/// # Errors
/// Those of `mean`.
pub fn standardize_by<const D: usize, E>(
    x: Tensor<D>,
    mean: impl Fn(Tensor<1>) -> Result<Tensor<1>, E>,
) -> Result<(Tensor<D>, Tensor<1>), E> {
    let shape = x.dims();
    let x: Tensor<1> = x.reshape([-1]);
    let centred = less(&x, &mean(mean_of(&x))?);
    let std = mean(mean_of(&square(&centred)))?.sqrt() + STD_FLOOR;
    Ok((over(&centred, &std).reshape(shape), std))
}

/// `x - mean`; any shape.
pub fn center<const D: usize>(x: Tensor<D>) -> Tensor<D> {
    let Ok(centred) = center_by(x, Ok::<_, Infallible>);
    centred
}

/// [`center`] of a part `x` of all numbers, `mean` as in [`standardize_by`].
///
/// # Errors
/// Those of `mean`.
pub fn center_by<const D: usize, E>(
    x: Tensor<D>,
    mean: impl FnOnce(Tensor<1>) -> Result<Tensor<1>, E>,
) -> Result<Tensor<D>, E> {
    let shape = x.dims();
    let x: Tensor<1> = x.reshape([-1]);
    Ok(less(&x, &mean(mean_of(&x))?).reshape(shape))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::test_device::test_device;
    use compute::read;

    #[test]
    fn scaling_agrees_with_numbers_worked_by_hand() {
        let device = test_device();
        let x = Tensor::<2>::from_floats([[1.0, 3.0], [5.0, 7.0]], &device);
        assert_eq!(read("c", center(x.clone())).unwrap(), [-3.0, -1.0, 1.0, 3.0]);
        let root5 = 5.0f32.sqrt();
        assert_eq!(read("std", standardize_with_scale(x.clone()).1).unwrap(), [root5]);
        for (a, b) in read("s", standardize(x)).unwrap().iter().zip([-3.0, -1.0, 1.0, 3.0]) {
            assert!((a - b / root5).abs() < 1e-6);
        }
        // The first half of 1, 3, 5, 7: the means of the other half are 6, and 5 of the squares about 4, as here.
        let others = std::cell::RefCell::new([6.0, 5.0].into_iter());
        let both = |own: Tensor<1>| Ok::<_, ()>((own + others.borrow_mut().next().ok_or(())?) / 2.0);
        let (half, std) = standardize_by(Tensor::<1>::from_floats([1.0, 3.0], &device), both).unwrap();
        assert_eq!(read("std", std).unwrap(), [root5]);
        assert!((read("half", half).unwrap()[0] + 3.0 / root5).abs() < 1e-6);
        let constant = standardize(Tensor::<1>::from_floats([2.0, 2.0, 2.0], &device));
        assert_eq!(read("k", constant).unwrap(), [0.0; 3]);
    }
}
