//! A yes or no that stays on the device.

use burn::tensor::{Bool, Tensor};

/// A yes or no: the number 1 or 0, `[1]`, on the device.
#[derive(Debug, Clone)]
pub struct Flag(Tensor<1>);

impl Flag {
    /// A flag from the number 0 or 1, `[1]`.
    pub fn of_number(number: Tensor<1>) -> Self {
        Self(number)
    }

    /// As the number 0 or 1, `[1]`.
    pub fn number(&self) -> Tensor<1> {
        self.0.clone()
    }

    /// As a mask, `[1]`.
    pub fn mask(&self) -> Tensor<1, Bool> {
        self.0.clone().greater_scalar(0.5)
    }

    /// Whether both are true.
    #[must_use]
    pub fn and(&self, other: &Self) -> Self {
        Self(self.0.clone() * other.0.clone())
    }
}

impl From<Tensor<1, Bool>> for Flag {
    fn from(mask: Tensor<1, Bool>) -> Self {
        Self(mask.float())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::test_device::test_device;
    use compute::read;

    #[test]
    fn masks_and_numbers_say_the_same() {
        let device = test_device();
        let number = |yes: bool| Tensor::<1>::from_floats([f32::from(u8::from(yes))], &device);
        let forms = |yes: bool| [Flag::from(number(yes).greater_scalar(0.5)), Flag::of_number(number(yes))];
        let says = |flag: &Flag| {
            let (number, mask) = (read("f", flag.number()).unwrap(), read("m", flag.mask().float()).unwrap());
            assert_eq!(number, mask);
            number == [1.0]
        };
        for (a, b) in [(true, true), (true, false), (false, true), (false, false)] {
            for (one, other) in forms(a).iter().flat_map(|one| forms(b).into_iter().map(move |other| (one, other))) {
                assert_eq!((says(one), says(&other), says(&one.and(&other))), (a, b, a && b));
            }
        }
    }
}
