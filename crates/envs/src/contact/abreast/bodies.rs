//! The bodies' part of the objective and their Newton directions: `block/free.rs` and what a planar agent answers of its
//! `ContactBody`, each environment's for itself.

use super::problem::{Agents, Eight, Objects};
use super::*;
use crate::contact::grouped::{SUMS, Three};
use crate::register::{LaneMask, Lanes};
use pulp::Simd;

/// Accelerations or a path of a body: 3 linear, 3 angular.
#[derive(Clone, Copy)]
pub(super) struct Motion<S: Simd>(pub [Lanes<S>; 6]);

impl<S: Simd> Motion<S> {
    /// Linear, angular.
    #[inline(always)]
    pub fn halves(self) -> [Three<S>; 2] {
        let [x, y, z, p, q, r] = self.0;
        [Three { x, y, z }, Three { x: p, y: q, z: r }]
    }

    /// Zeros where not `mask`.
    #[inline(always)]
    pub fn only(self, mask: LaneMask<S>) -> Self {
        let [x, y, z, p, q, r] = self.0;
        let zero = x.fixed(0.0);
        Self([
            x.pick(mask, zero),
            y.pick(mask, zero),
            z.pick(mask, zero),
            p.pick(mask, zero),
            q.pick(mask, zero),
            r.pick(mask, zero),
        ])
    }

    /// Product of a gradient with it.
    #[inline(always)]
    pub fn along(self, gradient: [Lanes<S>; 6]) -> Lanes<S> {
        let ([x, y, z, p, q, r], [gx, gy, gz, gp, gq, gr]) = (self.0, gradient);
        gx * x + gy * y + gz * z + gp * p + gq * q + gr * r
    }
}

impl<S: Simd> Three<S> {
    /// Those three numbers.
    #[inline(always)]
    pub fn of(like: Lanes<S>, numbers: &[Eight; 3]) -> Self {
        Self { x: like.load(&numbers[0]), y: like.load(&numbers[1]), z: like.load(&numbers[2]) }
    }
}

/// Those six numbers.
#[inline(always)]
pub(super) fn six<S: Simd>(like: Lanes<S>, n: &[Eight; 6]) -> [Lanes<S>; 6] {
    [like.load(&n[0]), like.load(&n[1]), like.load(&n[2]), like.load(&n[3]), like.load(&n[4]), like.load(&n[5])]
}

/// Velocities and accelerations as contacts feel them, of agents and of objects.
#[inline(always)]
pub(super) fn felt<S: Simd>(like: Lanes<S>, agents: &Agents, objects: &Objects) -> [[Three<S>; 2]; 2] {
    let three = Three::of(like, &agents.velocity) * like.fixed(DAMPING) + Three::of(like, &agents.acceleration);
    let agent = Motion([three.x, three.y, like, like, like, three.z]);
    let (velocity, acceleration) = (six(like, &objects.velocity), six(like, &objects.acceleration));
    let mut object = acceleration;
    for (to, velocity) in object.iter_mut().zip(velocity) {
        *to = velocity * DAMPING + *to;
    }
    [agent.halves(), Motion(object).halves()]
}

/// [`inverse`](super::super::inverse) of a symmetric matrix: xx, yy, zz, xy, xz, yz.
#[inline(always)]
fn inverse<S: Simd>(of: [Lanes<S>; 6]) -> [Lanes<S>; 6] {
    let [xx, yy, zz, xy, xz, yz] = of;
    let cx = yy * zz - yz * yz;
    let cy = xz * yz - xy * zz;
    let cz = xy * yz - xz * yy;
    let scale = xx.fixed(1.0) / (xx * cx + xy * cy + xz * cz);
    [
        scale * cx,
        scale * (xx * zz - xz * xz),
        scale * (xx * yy - xy * xy),
        scale * cy,
        scale * cz,
        scale * (xy * xz - xx * yz),
    ]
}

/// Product of a symmetric matrix with a vector.
#[inline(always)]
fn times<S: Simd>(matrix: [Lanes<S>; 6], v: [Lanes<S>; 3]) -> [Lanes<S>; 3] {
    let ([xx, yy, zz, xy, xz, yz], [x, y, z]) = (matrix, v);
    [xx * x + xy * y + xz * z, xy * x + yy * y + yz * z, xz * x + yz * y + zz * z]
}

/// Sums of planar agents: gradient x, y, r; Hessian xx, yy, xy, rx, ry, rr.
#[derive(Clone, Copy)]
pub(super) struct Planar<S: Simd>(pub [Lanes<S>; 9]);

impl<S: Simd> Planar<S> {
    /// The inertia's part, and its gradient.
    #[inline(always)]
    pub fn start(like: Lanes<S>, agents: &Agents) -> (Self, [Lanes<S>; 3]) {
        let Three { x: mx, y: my, z: moment } = Three::of(like, &agents.inertia);
        let (acceleration, free) = (Three::of(like, &agents.acceleration), Three::of(like, &agents.free));
        let Three { x: lx, y: ly, z: wz } = acceleration - free;
        let mass = like.load(&agents.mass);
        let x = mass * lx - my * wz;
        let y = mass * ly + mx * wz;
        let r = moment * wz + mx * ly - my * lx;
        (Self([x, y, r, mass, mass, like, -my, mx, moment]), [x, y, r])
    }

    /// The inverse Hessian.
    #[inline(always)]
    pub fn inverse(&self) -> [Lanes<S>; 6] {
        let [_, _, _, xx, yy, xy, rx, ry, rr] = self.0;
        inverse([xx, yy, rr, xy, rx, ry])
    }

    /// Newton direction, and the slope along it.
    #[inline(always)]
    pub fn direction(&self, inverse: [Lanes<S>; 6]) -> ([Lanes<S>; 3], Lanes<S>) {
        let [x, y, r, ..] = self.0;
        let [dx, dy, dr] = times(inverse, [-x, -y, -r]);
        ([dx, dy, dr], x * dx + y * dy + r * dr)
    }
}

/// What the agents answer to each motion of the objects: minus the inverse Hessian times the coupling.
#[inline(always)]
pub(super) fn answers<S: Simd>(inverse: [Lanes<S>; 6], couplings: &[[Lanes<S>; 3]; 6]) -> [[Lanes<S>; 3]; 6] {
    let mut answers = *couplings;
    for answer in &mut answers {
        let [x, y, r] = *answer;
        *answer = times(inverse, [-x, -y, -r]);
    }
    answers
}

/// Slope and curvature of the agents' inertia along `path`, where the inertia's gradient is `pull`.
#[inline(always)]
pub(super) fn agents_along<S: Simd>(
    like: Lanes<S>,
    agents: &Agents,
    pull: [Lanes<S>; 3],
    path: [Lanes<S>; 3],
) -> (Lanes<S>, Lanes<S>) {
    let ([px, py, pr], [x, y, r]) = (pull, path);
    let Three { x: mx, y: my, z: moment } = Three::of(like, &agents.inertia);
    let turning = r * 2.0 * (mx * y - my * x);
    let linear = like.load(&agents.mass) * (x * x + y * y);
    (px * x + py * y + pr * r, linear + turning + moment * r * r)
}

/// The inertia's part of the objects' sums, and its gradient.
#[inline(always)]
pub(super) fn start_objects<S: Simd>(like: Lanes<S>, objects: &Objects) -> ([Lanes<S>; SUMS], [Lanes<S>; 6]) {
    let [ixx, iyy, izz, ixy, ixz, iyz] = six(like, &objects.inertia);
    let mass = like.load(&objects.mass);
    let (now, free) = (six(like, &objects.acceleration), six(like, &objects.free));
    let (lx, ly, lz) = (now[0] - free[0], now[1] - free[1], now[2] - free[2]);
    let (wx, wy, wz) = (now[3] - free[3], now[4] - free[4], now[5] - free[5]);
    let pull = [
        mass * lx,
        mass * ly,
        mass * lz,
        ixx * wx + ixy * wy + ixz * wz,
        ixy * wx + iyy * wy + iyz * wz,
        ixz * wx + iyz * wy + izz * wz,
    ];
    let mut sums = [like; SUMS];
    sums[..6].copy_from_slice(&pull);
    sums[6..9].copy_from_slice(&[mass; 3]);
    sums[21..].copy_from_slice(&[ixx, iyy, izz, ixy, ixz, iyz]);
    (sums, pull)
}

/// Takes the agents' part out of the objects' sums.
#[inline(always)]
pub(super) fn reduce<S: Simd>(
    couplings: &[[Lanes<S>; 3]; 6],
    answers: &[[Lanes<S>; 3]; 6],
    step: [Lanes<S>; 3],
    sums: &mut [Lanes<S>; SUMS],
) {
    /// Where the Hessian's rows are in the sums.
    const AT: [[usize; 6]; 6] = [
        [6, 0, 0, 0, 0, 0],
        [9, 7, 0, 0, 0, 0],
        [10, 11, 8, 0, 0, 0],
        [12, 13, 14, 21, 0, 0],
        [15, 16, 17, 24, 22, 0],
        [18, 19, 20, 25, 26, 23],
    ];
    for row in 0..6 {
        let [x, y, r] = couplings[row];
        sums[row] += x * step[0] + y * step[1] + r * step[2];
        for column in 0..=row {
            let [wx, wy, wr] = answers[column];
            sums[AT[row][column]] += x * wx + y * wy + r * wr;
        }
    }
}

/// Newton direction from the objects' sums, and the slope along it.
#[inline(always)]
pub(super) fn direction_of<S: Simd>(sums: &[Lanes<S>; SUMS]) -> (Motion<S>, Lanes<S>) {
    let [gx, gy, gz, gp, gq, gr, axx, ayy, azz, axy, axz, ayz, bpx, bpy, bpz, bqx, bqy, bqz, brx, bry, brz, ..] = *sums;
    let [.., cpp, cqq, crr, cpq, cpr, cqr] = *sums;
    // The linear part eliminated: P = B A^-1, S = C - P B'.
    let v = inverse([axx, ayy, azz, axy, axz, ayz]);
    let [ppx, ppy, ppz] = rows_times(v, [bpx, bpy, bpz]);
    let [pqx, pqy, pqz] = rows_times(v, [bqx, bqy, bqz]);
    let [prx, pry, prz] = rows_times(v, [brx, bry, brz]);
    let s = inverse([
        cpp - (ppx * bpx + ppy * bpy + ppz * bpz),
        cqq - (pqx * bqx + pqy * bqy + pqz * bqz),
        crr - (prx * brx + pry * bry + prz * brz),
        cpq - (ppx * bqx + ppy * bqy + ppz * bqz),
        cpr - (ppx * brx + ppy * bry + ppz * brz),
        cqr - (pqx * brx + pqy * bry + pqz * brz),
    ]);
    let hp = ppx * gx + ppy * gy + ppz * gz - gp;
    let hq = pqx * gx + pqy * gy + pqz * gz - gq;
    let hr = prx * gx + pry * gy + prz * gz - gr;
    let [dp, dq, dr] = times(s, [hp, hq, hr]);
    let hx = gx + bpx * dp + bqx * dq + brx * dr;
    let hy = gy + bpy * dp + bqy * dq + bry * dr;
    let hz = gz + bpz * dp + bqz * dq + brz * dr;
    let [dx, dy, dz] = times(v, [hx, hy, hz]);
    let direction = Motion([-dx, -dy, -dz, dp, dq, dr]);
    (direction, direction.along([gx, gy, gz, gp, gq, gr]))
}

/// A row times a symmetric matrix.
#[inline(always)]
fn rows_times<S: Simd>(matrix: [Lanes<S>; 6], row: [Lanes<S>; 3]) -> [Lanes<S>; 3] {
    let ([xx, yy, zz, xy, xz, yz], [x, y, z]) = (matrix, row);
    [x * xx + y * xy + z * xz, x * xy + y * yy + z * yz, x * xz + y * yz + z * zz]
}

/// Slope and curvature of the objects' inertia along `path`, where the inertia's gradient is `pull`.
#[inline(always)]
pub(super) fn objects_along<S: Simd>(
    like: Lanes<S>,
    objects: &Objects,
    pull: [Lanes<S>; 6],
    path: Motion<S>,
) -> (Lanes<S>, Lanes<S>) {
    let [ixx, iyy, izz, ixy, ixz, iyz] = six(like, &objects.inertia);
    let [x, y, z, p, q, r] = path.0;
    let turning = ixx * p * p + iyy * q * q + (ixy * p * q + ixz * p * r + iyz * q * r) * 2.0;
    let linear = like.load(&objects.mass) * (x * x + y * y + z * z);
    (path.along(pull), linear + turning + izz * r * r)
}

/// Moves `accelerations` by `t` along `path`, where `mask`. Returns the squared change of each \[(m/s^2)^2\].
#[inline(always)]
pub(super) fn advance<S: Simd, const N: usize>(
    like: Lanes<S>,
    accelerations: &mut [Eight; N],
    path: [Lanes<S>; N],
    t: Lanes<S>,
    mask: LaneMask<S>,
) -> [Lanes<S>; N] {
    let mut squares = path;
    for ((acceleration, along), square) in accelerations.iter_mut().zip(path).zip(&mut squares) {
        let (before, change) = (like.load(acceleration), t * along);
        (before + change).pick(mask, before).store(acceleration);
        *square = change * change;
    }
    squares
}
