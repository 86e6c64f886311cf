//! A vector register: the arithmetic that physics needs, lane by lane. What a lane is, an environment or a contact, is the
//! caller's affair.
//!
//! Only IEEE operations that round the same everywhere (no fused multiply-add, no reciprocal
//! estimates), so a lane gives the bits of the scalar variant whatever the register's width.

use core::ops::{Add, AddAssign, Div, Mul, Neg, Sub};

use pulp::Simd;

/// One float32 a lane.
#[derive(Clone, Copy, Debug)]
pub struct Lanes<S: Simd> {
    simd: S,
    values: S::f32s,
}

/// One truth value a lane.
#[derive(Clone, Copy, Debug)]
pub struct LaneMask<S: Simd> {
    simd: S,
    values: S::m32s,
}

macro_rules! operator {
    ($trait:ident, $method:ident, $simd:ident) => {
        impl<S: Simd> $trait for Lanes<S> {
            type Output = Self;
            #[inline(always)]
            fn $method(self, other: Self) -> Self {
                Self { simd: self.simd, values: self.simd.$simd(self.values, other.values) }
            }
        }
        impl<S: Simd> $trait<f32> for Lanes<S> {
            type Output = Self;
            #[inline(always)]
            fn $method(self, other: f32) -> Self {
                Self { simd: self.simd, values: self.simd.$simd(self.values, self.simd.splat_f32s(other)) }
            }
        }
    };
}
operator!(Add, add, add_f32s);
operator!(Sub, sub, sub_f32s);
operator!(Mul, mul, mul_f32s);
operator!(Div, div, div_f32s);

impl<S: Simd> AddAssign for Lanes<S> {
    #[inline(always)]
    fn add_assign(&mut self, other: Self) {
        *self = *self + other;
    }
}

impl<S: Simd> Neg for Lanes<S> {
    type Output = Self;
    #[inline(always)]
    fn neg(self) -> Self {
        Self { simd: self.simd, values: self.simd.neg_f32s(self.values) }
    }
}

impl<S: Simd> Lanes<S> {
    /// Lanes of a register.
    pub const WIDTH: usize = S::F32_LANES;

    /// Zeros.
    #[inline(always)]
    pub fn new(simd: S) -> Self {
        Self { simd, values: simd.splat_f32s(0.0) }
    }

    /// The first [`Self::WIDTH`] numbers of `from`.
    #[inline(always)]
    pub fn load(self, from: &[f32]) -> Self {
        // Not pulp's loads and stores of part of a register, whose masks are slow on some processors.
        Self { simd: self.simd, values: S::as_simd_f32s(&from[..S::F32_LANES]).0[0] }
    }

    /// Overwrites the first [`Self::WIDTH`] numbers of `to`.
    #[inline(always)]
    pub fn store(self, to: &mut [f32]) {
        S::as_mut_simd_f32s(&mut to[..S::F32_LANES]).0[0] = self.values;
    }

    /// `value` in every lane.
    #[inline(always)]
    pub fn fixed(self, value: f32) -> Self {
        Self { simd: self.simd, values: self.simd.splat_f32s(value) }
    }

    /// Where it is below `other`.
    #[inline(always)]
    pub fn below(self, other: Self) -> LaneMask<S> {
        LaneMask { simd: self.simd, values: self.simd.less_than_f32s(self.values, other.values) }
    }

    /// Where it is `other`.
    #[inline(always)]
    pub fn equals(self, other: f32) -> LaneMask<S> {
        let other = self.simd.splat_f32s(other);
        LaneMask { simd: self.simd, values: self.simd.equal_f32s(self.values, other) }
    }

    /// The smaller of it and `other`.
    #[inline(always)]
    pub fn smaller(self, other: Self) -> Self {
        self.pick(self.below(other), other)
    }

    /// Itself where `mask`, else `other`.
    #[inline(always)]
    pub fn pick(self, mask: LaneMask<S>, other: Self) -> Self {
        Self { simd: self.simd, values: self.simd.select_f32s(mask.values, self.values, other.values) }
    }

    /// Absolute value.
    #[inline(always)]
    pub fn magnitude(self) -> Self {
        Self { simd: self.simd, values: self.simd.abs_f32s(self.values) }
    }

    /// The register itself.
    #[inline(always)]
    pub fn values(self) -> S::f32s {
        self.values
    }

    /// The sum of all lanes: of each half's, and so on.
    #[inline(always)]
    pub fn sum(self) -> f32 {
        self.simd.reduce_sum_f32s(self.values)
    }

    /// Square root.
    #[inline(always)]
    pub fn root(self) -> Self {
        Self { simd: self.simd, values: self.simd.sqrt_f32s(self.values) }
    }
}

impl<S: Simd> LaneMask<S> {
    /// Where both are true.
    #[inline(always)]
    pub fn both(self, other: Self) -> Self {
        Self { simd: self.simd, values: self.simd.and_m32s(self.values, other.values) }
    }

    /// Where either is true.
    #[inline(always)]
    pub fn either(self, other: Self) -> Self {
        Self { simd: self.simd, values: self.simd.or_m32s(self.values, other.values) }
    }

    /// Where one is true and the other is not.
    #[inline(always)]
    pub fn differs(self, other: Self) -> Self {
        Self { simd: self.simd, values: self.simd.xor_m32s(self.values, other.values) }
    }

    /// Where it is false.
    #[inline(always)]
    pub fn negated(self) -> Self {
        Self { simd: self.simd, values: self.simd.not_m32s(self.values) }
    }

    /// Whether any lane is true.
    #[inline(always)]
    pub fn any(self) -> bool {
        self.simd.first_true_m32s(self.values) < S::F32_LANES
    }
}

/// Numbers of the caller's stack at the beginning of a cache line, kept there with [`core::hint::black_box`].
///
/// A function that spills registers of 32 or 64 bytes gets places for them that are aligned to 16 only, so that a third of
/// them lie across two cache lines, unless something else on its stack is aligned better.
#[repr(align(64))]
pub struct Aligned<const N: usize>(pub [f32; N]);
