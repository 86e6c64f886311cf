//! The contacts of one solution a group at a time, on the CPU: what `rows.rs`, `block.rs`, `path.rs`, `search.rs` and `joint.rs` do
//! contact by contact, which is how kernels do it.
//!
//! Sums are taken over the contacts at each place of their groups, then over the [`GROUP`] places in one order: the same bits
//! with registers or without. Contact by contact they are added in another order: those bits differ in the last place.
//!
//! No closures in what runs with registers: one that the compiler does not inline is compiled without them.

mod complete;
mod couple;
mod path;
mod shapes;
mod sums;
#[cfg(test)]
pub(super) mod tests;

pub(super) use complete::{complete, frame, soften};
pub(super) use couple::{add_pushes, couple};
pub(super) use path::{advance, along, clear_paths, edges_along, seen, spread_path};
pub(super) use shapes::{copy_geom, floor_box};
pub(super) use sums::{SUMS, accumulate, terms};

use core::ops::{Add, Mul, Sub};

use pulp::{NullaryFnOnce, Scalar256b, Simd};

use super::*;
use crate::register::{LaneMask, Lanes};

/// On the CPU returns what `$call` returns, if `$condition`; in a kernel it is nothing.
macro_rules! on_cpu {
    ($condition:expr, $call:expr) => {
        if $condition {
            return $call;
        }
    };
}
#[cfg(feature = "gpu")]
macro_rules! __expand_on_cpu {
    ($($all:tt)*) => {
        ()
    };
}

/// Fewer contacts are quicker one by one.
const FEWEST: f32 = 2.0;

/// Whether what is here is in use: always, but in tests of what a kernel does.
#[inline(always)]
pub(super) fn in_use() -> bool {
    #[cfg(test)]
    if tests::one_by_one() {
        return false;
    }
    true
}

/// Whether the contacts in the scratch are worth a group.
#[inline(always)]
pub(super) fn pays(scratch: &[f32], scratch_base: usize) -> bool {
    in_use() && scratch[scratch_base + COUNT] >= FEWEST
}

/// Registers of [`GROUP`] numbers.
pub(super) trait Registers: Simd {
    /// The sum of all lanes of each: of neighbours, of their sums, of both halves.
    fn eight_sums(self, of: [Self::f32s; GROUP]) -> [f32; GROUP];
}

#[cfg(target_arch = "x86_64")]
impl Registers for pulp::x86::V3 {
    #[inline(always)]
    fn eight_sums(self, of: [Self::f32s; GROUP]) -> [f32; GROUP] {
        let [a, b, c, d, e, f, g, h] = of;
        let avx = self.avx;
        let ab = avx._mm256_hadd_ps(pulp::cast(a), pulp::cast(b));
        let cd = avx._mm256_hadd_ps(pulp::cast(c), pulp::cast(d));
        let ef = avx._mm256_hadd_ps(pulp::cast(e), pulp::cast(f));
        let gh = avx._mm256_hadd_ps(pulp::cast(g), pulp::cast(h));
        let (first, last) = (avx._mm256_hadd_ps(ab, cd), avx._mm256_hadd_ps(ef, gh));
        let low = avx._mm256_permute2f128_ps::<0x20>(first, last);
        let high = avx._mm256_permute2f128_ps::<0x31>(first, last);
        pulp::cast(avx._mm256_add_ps(low, high))
    }
}

impl Registers for Scalar256b {
    #[inline(always)]
    fn eight_sums(self, of: [Self::f32s; GROUP]) -> [f32; GROUP] {
        of.map(|lanes| {
            let lanes: [f32; GROUP] = pulp::cast(lanes);
            let half = |k: usize| (lanes[k] + lanes[k + 1]) + (lanes[k + 2] + lanes[k + 3]);
            half(0) + half(4)
        })
    }
}

/// What can be done with any registers.
pub(super) trait Work {
    type Output;

    /// To be inlined, so that it is compiled for them.
    fn run<R: Registers>(self, simd: R) -> Self::Output;
}

struct Run<W, R> {
    work: W,
    simd: R,
}

impl<W: Work, R: Registers> NullaryFnOnce for Run<W, R> {
    type Output = W::Output;

    #[inline(always)]
    fn call(self) -> W::Output {
        self.work.run(self.simd)
    }
}

/// Does `work` with the machine's registers, or with loops.
#[inline(always)]
pub(super) fn dispatch<W: Work>(work: W) -> W::Output {
    #[cfg(target_arch = "x86_64")]
    if let Some(simd) = registers() {
        return simd.vectorize(Run { work, simd });
    }
    work.run(Scalar256b)
}

#[cfg(all(target_arch = "x86_64", not(test)))]
#[inline(always)]
fn registers() -> Option<pulp::x86::V3> {
    pulp::x86::V3::try_new()
}
#[cfg(all(target_arch = "x86_64", test))]
use tests::registers;

/// Numbers of a group of contacts: [`GROUP`] of each kind.
const GROUP_LEN: usize = GROUP * CONTACT_LEN;

/// The contacts of a group.
pub(super) struct Pack<'a, S: Simd> {
    pub group: &'a mut [f32; GROUP_LEN],
    pub like: Lanes<S>,
}

/// Groups that the contacts of an environment fill, the last one perhaps in part.
#[inline(always)]
fn groups(scratch: &[f32], scratch_base: usize) -> usize {
    (scratch[scratch_base + COUNT] as usize).div_ceil(GROUP)
}

impl<'a, S: Simd> Pack<'a, S> {
    /// Those of group `group`.
    #[inline(always)]
    fn of(like: Lanes<S>, scratch: &'a mut [f32], scratch_base: usize, group: usize) -> Self {
        let start = contact(scratch_base, group * GROUP);
        let group = (&mut scratch[start..][..GROUP_LEN]).try_into().expect("a group");
        Self { group, like }
    }

    /// Number `number` of each.
    #[inline(always)]
    pub fn get(&self, number: usize) -> Lanes<S> {
        self.like.load(&self.group[number * GROUP..])
    }

    #[inline(always)]
    pub fn put(&mut self, number: usize, value: Lanes<S>) {
        value.store(&mut self.group[number * GROUP..]);
    }

    /// Three numbers from `number` on.
    #[inline(always)]
    pub fn get3(&self, number: usize) -> Three<S> {
        Three { x: self.get(number), y: self.get(number + 1), z: self.get(number + 2) }
    }

    #[inline(always)]
    pub fn put3(&mut self, number: usize, value: Three<S>) {
        self.put(number, value.x);
        self.put(number + 1, value.y);
        self.put(number + 2, value.z);
    }

    /// Normal and tangents.
    #[inline(always)]
    pub fn axes(&self) -> [Three<S>; 3] {
        [self.get3(FRAME), self.get3(FRAME + 3), self.get3(FRAME + 6)]
    }

    /// Those whose body on side `side` ([`FIRST`] or [`SECOND`]) is in `slot`.
    #[inline(always)]
    fn on(&self, side: usize, slot: usize) -> LaneMask<S> {
        self.get(side).equals(slot as f32)
    }
}

/// A vector of each of some contacts, world axes.
#[derive(Clone, Copy)]
pub(super) struct Three<S: Simd> {
    pub x: Lanes<S>,
    pub y: Lanes<S>,
    pub z: Lanes<S>,
}

impl<S: Simd> Three<S> {
    /// The three numbers at `at`, for all of them.
    #[inline(always)]
    fn read(like: Lanes<S>, numbers: &[f32], at: usize) -> Self {
        Self { x: like.fixed(numbers[at]), y: like.fixed(numbers[at + 1]), z: like.fixed(numbers[at + 2]) }
    }

    #[inline(always)]
    pub fn pick(self, mask: LaneMask<S>, other: Self) -> Self {
        Self { x: self.x.pick(mask, other.x), y: self.y.pick(mask, other.y), z: self.z.pick(mask, other.z) }
    }

    #[inline(always)]
    pub fn dot(self, other: Self) -> Lanes<S> {
        self.x * other.x + self.y * other.y + self.z * other.z
    }

    #[inline(always)]
    pub fn cross(self, b: Self) -> Self {
        Self { x: self.y * b.z - self.z * b.y, y: self.z * b.x - self.x * b.z, z: self.x * b.y - self.y * b.x }
    }
}

impl<S: Simd> Add for Three<S> {
    type Output = Self;
    #[inline(always)]
    fn add(self, b: Self) -> Self {
        Self { x: self.x + b.x, y: self.y + b.y, z: self.z + b.z }
    }
}

impl<S: Simd> Sub for Three<S> {
    type Output = Self;
    #[inline(always)]
    fn sub(self, b: Self) -> Self {
        Self { x: self.x - b.x, y: self.y - b.y, z: self.z - b.z }
    }
}

impl<S: Simd> Mul<Lanes<S>> for Three<S> {
    type Output = Self;
    #[inline(always)]
    fn mul(self, factor: Lanes<S>) -> Self {
        Self { x: self.x * factor, y: self.y * factor, z: self.z * factor }
    }
}

/// The sum of all lanes of each.
#[inline(always)]
fn totals<R: Registers, const N: usize>(simd: R, sums: &[Lanes<R>; N]) -> [f32; N] {
    let mut totals = [0.0; N];
    for (totals, sums) in totals.chunks_mut(GROUP).zip(sums.chunks(GROUP)) {
        let mut eight = [simd.splat_f32s(0.0); GROUP];
        for (to, sum) in eight.iter_mut().zip(sums) {
            *to = sum.values();
        }
        totals.copy_from_slice(&simd.eight_sums(eight)[..totals.len()]);
    }
    totals
}
