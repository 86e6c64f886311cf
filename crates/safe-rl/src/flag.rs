//! A yes or no that stays on the device.

use burn::tensor::{Bool, Tensor};

/// A yes or no, `[1]`.
///
/// Either a mask, as tensor operations find it, or a number 0 or 1, as kernels write and read it. One becomes the other
/// only where it is asked for: on a GPU a conversion is a launch.
#[derive(Debug, Clone)]
pub struct Flag(Form);

#[derive(Debug, Clone)]
enum Form {
    Mask(Tensor<1, Bool>),
    #[cfg(feature = "gpu")]
    Number(Tensor<1>),
}

impl Flag {
    /// A flag from a number 0 or 1.
    #[cfg(feature = "gpu")]
    pub(crate) fn of_number(number: Tensor<1>) -> Self {
        Self(Form::Number(number))
    }

    /// As a mask, `[1]`.
    pub fn mask(&self) -> Tensor<1, Bool> {
        match &self.0 {
            Form::Mask(mask) => mask.clone(),
            #[cfg(feature = "gpu")]
            Form::Number(number) => number.clone().greater_scalar(0.5),
        }
    }

    /// As a number 0 or 1, `[1]`.
    pub fn float(&self) -> Tensor<1> {
        match &self.0 {
            Form::Mask(mask) => mask.clone().float(),
            #[cfg(feature = "gpu")]
            Form::Number(number) => number.clone(),
        }
    }

    /// Whether both are true.
    #[must_use]
    pub fn and(&self, other: &Self) -> Self {
        match (&self.0, &other.0) {
            #[cfg(feature = "gpu")]
            (Form::Number(one), Form::Number(other)) => Self(Form::Number(one.clone() * other.clone())),
            _ => Self(Form::Mask(self.mask().bool_and(other.mask()))),
        }
    }
}

impl From<Tensor<1, Bool>> for Flag {
    fn from(mask: Tensor<1, Bool>) -> Self {
        Self(Form::Mask(mask))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::test_device::test_device;
    use compute::read;

    #[test]
    fn both_forms_say_the_same() {
        let device = test_device();
        let number = |yes: bool| Tensor::<1>::from_floats([f32::from(u8::from(yes))], &device);
        let forms = |yes: bool| {
            let mask = Flag::from(number(yes).greater_scalar(0.5));
            #[cfg(feature = "gpu")]
            let both = vec![mask, Flag::of_number(number(yes))];
            #[cfg(not(feature = "gpu"))]
            let both = vec![mask];
            both
        };
        let says = |flag: &Flag| {
            let (float, mask) = (read("f", flag.float()).unwrap(), read("m", flag.mask().float()).unwrap());
            assert_eq!(float, mask);
            float == [1.0]
        };
        for (a, b) in [(true, true), (true, false), (false, true), (false, false)] {
            for (one, other) in forms(a).iter().flat_map(|one| forms(b).into_iter().map(move |other| (one, other))) {
                assert_eq!((says(one), says(&other), says(&one.and(&other))), (a, b, a && b));
            }
        }
    }
}
