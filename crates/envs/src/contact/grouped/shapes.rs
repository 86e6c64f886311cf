//! `mjc_PlaneBox`: the eight corners of a box at once; a geom's numbers at once.

use super::*;

/// The box `geom` of body `slot` against the floor z = 0: its corners below the floor, with the bits of one by one.
pub(in crate::contact) fn floor_box(scratch: &mut [f32], scratch_base: usize, geom: usize, slot: usize) {
    if let Some([gaps, xs, ys]) = dispatch(Corners { geom: &scratch[geom..][..15] }) {
        for (k, gap) in gaps.into_iter().enumerate() {
            if gap < 0.0 {
                let (first, second) = (STATIC_SLOT, slot);
                push_contact(scratch, scratch_base, first, second, 0.0, 0.0, 1.0, xs[k], ys[k], 0.5 * gap, gap);
            }
        }
    }
}

/// Copies the geom at `from` to `to`.
#[inline(always)]
pub(in crate::contact) fn copy_geom(scratch: &mut [f32], from: usize, to: usize) {
    let geom: [f32; 15] = scratch[from..][..15].try_into().expect("a geom");
    scratch[to..][..15].copy_from_slice(&geom);
}

struct Corners<'a> {
    geom: &'a [f32],
}

const SIGNS: [[f32; GROUP]; 3] = [
    [-1.0, 1.0, -1.0, 1.0, -1.0, 1.0, -1.0, 1.0],
    [-1.0, -1.0, 1.0, 1.0, -1.0, -1.0, 1.0, 1.0],
    [-1.0, -1.0, -1.0, -1.0, 1.0, 1.0, 1.0, 1.0],
];

impl Work for Corners<'_> {
    /// Gap, x and y of each corner below the floor, of the others no gap; nothing where none is.
    type Output = Option<[[f32; GROUP]; 3]>;

    #[inline(always)]
    fn run<S: Registers>(self, simd: S) -> Self::Output {
        let geom: &[f32; 15] = self.geom.try_into().expect("a geom");
        let like = Lanes::new(simd);
        let hx = like.load(&SIGNS[0]) * geom[12];
        let hy = like.load(&SIGNS[1]) * geom[13];
        let hz = like.load(&SIGNS[2]) * geom[14];
        let down = hx * geom[9] + hy * geom[10] + hz * geom[11];
        let gap = like.fixed(geom[2]) + down;
        let below = gap.below(like).both(down.below(like));
        if !below.any() {
            return None;
        }
        let x = like.fixed(geom[0]) + hx * geom[3] + hy * geom[4] + hz * geom[5];
        let y = like.fixed(geom[1]) + hx * geom[6] + hy * geom[7] + hz * geom[8];
        let mut found = [[0.0; GROUP]; 3];
        gap.pick(below, like).store(&mut found[0]);
        x.store(&mut found[1]);
        y.store(&mut found[2]);
        Some(found)
    }
}
