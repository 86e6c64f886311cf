//! `mj_solNewton`: minimises the contact objective, by Newton steps body by body or of agent and body together, by conjugate
//! directions where more bodies touch each other.

#[cfg(feature = "gpu")]
use cubecl::prelude::*;

use super::block::{accumulate, free_direction, start_free};
use super::joint::{clear_couplings, couple, join, reduce};
use super::path::{advance_body, advance_contacts, clear_paths, spread_path, take_path};
use super::rows::complete_contacts;
use super::search::{EVERY, line_search};
use super::*;

pub(super) const NEWTON_STEPS: usize = 20;
pub(super) const CONJUGATE_STEPS: usize = 60;
/// So many first Newton steps are taken whole; a search along each would cost more than the steps that it saves. Whole steps could
/// only fail by going round in circles, which a search does not.
pub(super) const FULL_STEPS: usize = 10;
pub(super) const SWEEPS: usize = 8;
/// A block is solved when its Newton decrement is below mass * this \[(m/s^2)^2\]: 2e-6 m/s in a substep.
pub(super) const DECREMENT: f32 = 1e-6;
/// The same where bodies are solved together: 2e-5 m/s in a substep.
pub(super) const JOINT_DECREMENT: f32 = 1e-4;
/// Sweeps end when no acceleration moved by more than the root of this \[(m/s^2)^2\]: 1e-4 m/s in a substep.
pub(super) const SWEEP_MOVE: f32 = 2.5e-3;
/// Accelerations beyond this count as diverged \[m/s^2\].
const ABSURD: f32 = 1e9;
/// Squared lever arm at which a change of angular acceleration counts as linear \[m^2\].
pub(crate) const LEVER: f32 = 0.02;

/// 1 where `slot` is contact `c`'s second body, -1 where its first, 0 where neither.
#[cfg_attr(feature = "gpu", cube)]
#[inline(always)]
pub(super) fn side_of(scratch: &mut [f32], c: usize, slot: usize) -> f32 {
    let id = slot as f32;
    let second = if scratch[of(c, SECOND)] == id { 1.0f32 } else { 0.0f32 };
    if scratch[of(c, FIRST)] == id { -1.0f32 } else { second }
}

/// Which numbers of a contact are the lever arm of the body on its `side`.
#[cfg_attr(feature = "gpu", cube)]
#[inline(always)]
pub(super) fn arm_of(side: f32) -> usize {
    if side < 0.0 { ARM_FIRST } else { ARM_SECOND }
}

/// Slope and curvature of the inertia's part of the objective along the path of the body in `slot`.
#[cfg_attr(feature = "gpu", cube)]
fn inertia_along<M: ContactBody>(scratch: &mut [f32], scratch_base: usize, slot: usize) -> (f32, f32) {
    let mut slope = 0.0f32;
    let mut curvature = 0.0f32;
    if slot == AGENT_SLOT {
        let (own_slope, own_curvature) = M::inertia_along(scratch, scratch_base);
        slope += own_slope;
        curvature += own_curvature;
    } else {
        let b = body(scratch_base, slot);
        for k in 0..6 {
            slope += scratch[b + PULL + k] * scratch[b + PATH + k];
        }
        let x = scratch[b + PATH];
        let y = scratch[b + PATH + 1];
        let z = scratch[b + PATH + 2];
        let p = scratch[b + PATH + 3];
        let q = scratch[b + PATH + 4];
        let r = scratch[b + PATH + 5];
        let turning = scratch[b + INERTIA] * p * p
            + scratch[b + INERTIA + 1] * q * q
            + 2.0
                * (scratch[b + INERTIA + 3] * p * q
                    + scratch[b + INERTIA + 4] * p * r
                    + scratch[b + INERTIA + 5] * q * r);
        let linear = scratch[b + MASS] * (x * x + y * y + z * z);
        curvature += linear + turning + scratch[b + INERTIA + 2] * r * r;
    }
    (slope, curvature)
}

/// Number of rigid parts of the body in `slot`.
#[cfg_attr(feature = "gpu", cube)]
#[inline(always)]
pub(super) fn parts_of<M: ContactBody>(slot: usize) -> usize {
    let own = M::parts();
    if slot == AGENT_SLOT { own } else { 1usize }
}

/// Slot of a rigid part of the body in `slot`.
#[cfg_attr(feature = "gpu", cube)]
#[inline(always)]
pub(super) fn slot_of<M: ContactBody>(slot: usize, part: usize) -> usize {
    let own = M::part_slot(part);
    if slot == AGENT_SLOT { own } else { slot }
}

/// Contacts of the body in `slot`.
#[cfg_attr(feature = "gpu", cube)]
fn touches_of<M: ContactBody>(scratch: &mut [f32], scratch_base: usize, slot: usize) -> f32 {
    let mut touches = 0.0f32;
    let parts = parts_of::<M>(slot);
    for part in 0..parts {
        touches += scratch[body(scratch_base, slot_of::<M>(slot, part)) + TOUCHES];
    }
    touches
}

/// Newton direction of the body in `slot`, all others held. Returns the slope along it, and the product of the
/// **previous** gradient with it (for conjugate directions). With a `partner`, that of the agent and of the body in that slot,
/// which must follow the agent: the slopes of both calls add up to that of the two.
#[cfg_attr(feature = "gpu", cube)]
fn newton_direction<M: ContactBody>(
    scratch: &mut [f32],
    scratch_base: usize,
    slot: usize,
    partner: usize,
) -> (f32, f32) {
    let agent = slot == AGENT_SLOT;
    let pair = partner > AGENT_SLOT;
    let parts = parts_of::<M>(slot);
    if pair && agent {
        clear_couplings(scratch, scratch_base);
    }
    for part in 0..parts {
        let own = slot_of::<M>(slot, part);
        if agent {
            M::start_part(scratch, scratch_base, part);
        } else {
            start_free(scratch, scratch_base, slot);
        }
        if scratch[body(scratch_base, own) + TOUCHES] > 0.0 {
            accumulate::<M>(scratch, scratch_base, own);
            if agent {
                M::finish_part(scratch, scratch_base, part);
                if pair {
                    couple::<M>(scratch, scratch_base, part, own, partner);
                }
            }
        }
    }
    let mut slope = 0.0f32;
    let mut previous = 0.0f32;
    if agent {
        let (own_slope, own_previous) = M::direction(scratch, scratch_base);
        slope += own_slope;
        previous += own_previous;
        if pair {
            M::answer(scratch, scratch_base);
        }
    } else {
        if pair {
            reduce::<M>(scratch, scratch_base);
        }
        let (own_slope, own_previous) = free_direction(scratch, scratch_base, slot);
        slope += own_slope;
        previous += own_previous;
        if pair {
            join::<M>(scratch, scratch_base, slot);
        }
    }
    (slope, previous)
}

/// Minimises the objective over the acceleration of the body in `slot`, all others held, by Newton steps; where `slot` is
/// [`EVERY`], over those of all touching bodies among the first `bodies` and the agent, by conjugate directions, each
/// body's Newton direction as the preconditioned gradient: where light bodies push each other, block descent needs
/// hundreds of sweeps. The agent and one body, its `partner` (0: none), need no conjugate directions: the Newton step of both
/// is exact. Returns the squared change of the accelerations \[(m/s^2)^2\].
///
/// One loop for all: a GPU's program holds what is called twice twice, and this is a third of it.
#[cfg_attr(feature = "gpu", cube)]
fn minimise<M: ContactBody>(
    scratch: &mut [f32],
    scratch_base: usize,
    slot: usize,
    bodies: usize,
    partner: usize,
) -> f32 {
    let together = slot == EVERY;
    let pair = partner > AGENT_SLOT;
    let conjugate = together && !pair;
    let first = if together { 0usize } else { slot };
    let last = if together { bodies } else { slot };
    let end = if pair { 2usize } else { last + 1 };
    let steps = if together { CONJUGATE_STEPS } else { NEWTON_STEPS };
    let tolerance = if conjugate { 0.01f32 } else { 0.1f32 };
    let mut moved = 0.0f32;
    let mut previous_slope = 0.0f32;
    let mut step = 0usize;
    while step < steps {
        let mut slope = 0.0f32;
        let mut mixed = 0.0f32;
        let mut worst = 0.0f32;
        for turn in first..end {
            let one = if pair && turn > 0 { partner } else { turn };
            if touches_of::<M>(scratch, scratch_base, one) > 0.0 {
                let (own, previous) = newton_direction::<M>(scratch, scratch_base, one, partner);
                slope += own;
                mixed += previous;
                worst = worst.max(-own / scratch[body(scratch_base, one) + MASS]);
            }
        }
        let mut solved = -slope < DECREMENT * scratch[body(scratch_base, first) + MASS];
        let mut beta = 0.0f32;
        if together {
            solved = worst < JOINT_DECREMENT;
            if pair {
                // The decrement of both is no less than half the sum of the blocks', by which the bound is meant.
                solved = -slope < 0.5 * JOINT_DECREMENT * scratch[body(scratch_base, partner) + MASS];
            }
            // Polak-Ribiere, with a restart where it turns negative.
            if step > 0 && conjugate {
                beta = ((slope - mixed) / previous_slope).max(0.0);
            }
        }
        previous_slope = slope;
        let whole = !conjugate && step < FULL_STEPS;
        step += 1;
        newton_step!();
        if solved {
            step = steps;
        } else {
            let mut slope_0 = 0.0f32;
            let mut inertia_slope = 0.0f32;
            let mut inertia_curvature = 0.0f32;
            clear_paths(scratch, scratch_base, slot);
            for turn in first..end {
                let one = if pair && turn > 0 { partner } else { turn };
                if touches_of::<M>(scratch, scratch_base, one) > 0.0 {
                    slope_0 += take_path::<M>(scratch, scratch_base, one, beta);
                    spread_path::<M>(scratch, scratch_base, one);
                    let (along, curvature) = inertia_along::<M>(scratch, scratch_base, one);
                    inertia_slope += along;
                    inertia_curvature += curvature;
                }
            }
            if !conjugate {
                slope_0 = slope;
            }
            if slope_0 < 0.0 || !conjugate {
                let (t, uncrossed) = line_search(
                    scratch,
                    scratch_base,
                    slot,
                    slope_0,
                    inertia_slope,
                    inertia_curvature,
                    tolerance,
                    whole,
                );
                for turn in first..end {
                    let one = if pair && turn > 0 { partner } else { turn };
                    if touches_of::<M>(scratch, scratch_base, one) > 0.0 {
                        moved += advance_body::<M>(scratch, scratch_base, one, t);
                    }
                }
                advance_contacts(scratch, scratch_base, slot, t);
                // All edges on their old sides: the objective was quadratic and the full step solved it.
                if uncrossed > 0.0 && !conjugate {
                    step = steps;
                }
            } else {
                // Not a descent path (rounding): begin afresh from the plain directions.
                for one in first..end {
                    if one == AGENT_SLOT {
                        M::drop_path(scratch, scratch_base);
                    } else {
                        for k in 0..6 {
                            scratch[body(scratch_base, one) + PATH + k] = 0.0;
                        }
                    }
                }
            }
        }
    }
    moved
}

/// Slot of the free body with which the agent is solved together: the only one it touches, and whose neighbours touch no
/// other (`linked`: two of `bodies` do, or a push box is touched). 0 where there is none.
#[cfg_attr(feature = "gpu", cube)]
fn partner_of<M: ContactBody>(scratch: &mut [f32], scratch_base: usize, bodies: usize, linked: bool) -> usize {
    let count = scratch[scratch_base + COUNT] as usize;
    let mut partner = 0usize;
    let mut several = false;
    if M::joins() && !linked || linked && bodies == 1 {
        for index in 0..count {
            let c = contact(scratch_base, index);
            let first = scratch[of(c, FIRST)] as usize;
            let second = scratch[of(c, SECOND)] as usize;
            let free = if first > AGENT_SLOT && first < STATIC_SLOT { first } else { second };
            let other = if free == first { second } else { first };
            let agents = other == AGENT_SLOT || other > STATIC_SLOT;
            if agents && free > AGENT_SLOT && free < STATIC_SLOT {
                if partner > 0 && partner != free {
                    several = true;
                }
                partner = free;
            }
        }
    }
    if several { 0usize } else { partner }
}

/// [`solve`] for the bodies that the scratch says are active, [`LINKED`] where it says so.
#[cfg_attr(feature = "gpu", cube)]
pub fn solve_active<M: ContactBody>(scratch: &mut [f32], scratch_base: usize) {
    on_cpu!(abreast::fits::<M>(scratch, scratch_base), abreast::solve_one::<M>(scratch, scratch_base));
    let bodies = scratch[scratch_base + ACTIVE] as usize;
    let linked = scratch[scratch_base + LINKED] > 0.0;
    solve::<M>(scratch, scratch_base, bodies, linked);
}

/// 1 where an acceleration that the solver found for an agent (\[m/s^2\]) is none, else 0.
#[cfg_attr(feature = "gpu", cube)]
pub fn diverged(x: f32, y: f32, z: f32) -> f32 {
    // Not "above": an undefined number must count as unsolved.
    let sound = x.abs() + y.abs() + z.abs() < ABSURD;
    if sound { 0.0f32 } else { 1.0f32 }
}

/// Finds the accelerations of the agent and of the bodies in slots 1 ..= `bodies` under the pushed contacts, from
/// the accelerations in the slots. Bodies without contact are left alone. `linked` says that two of the bodies touch
/// each other.
#[cfg_attr(feature = "gpu", cube)]
pub fn solve<M: ContactBody>(scratch: &mut [f32], scratch_base: usize, bodies: usize, linked: bool) {
    complete_contacts::<M>(scratch, scratch_base, bodies);
    spent!(ContactRows);
    let partner = partner_of::<M>(scratch, scratch_base, bodies, linked);
    let pair = partner > AGENT_SLOT;
    // What is solved together needs no second sweep, and the bodies beside a pair touch nothing of it.
    let sweeps = if linked || pair { 1usize } else { SWEEPS };
    let turns = if linked { 1usize } else { bodies + 1 };
    let mut sweep = 0usize;
    while sweep < sweeps {
        sweep += 1;
        // What the first block of a sweep does not see yet: the moves of the blocks after it.
        let mut unseen = 0.0f32;
        let mut blocks = 0usize;
        for turn in 0..turns {
            // The agent last: the bodies follow it more than it follows them.
            let slot = if turn < bodies { turn + 1 } else { AGENT_SLOT };
            let joint = linked || pair && slot == AGENT_SLOT;
            let mut touches = joint;
            if !(joint || pair && slot == partner) {
                touches = touches_of::<M>(scratch, scratch_base, slot) > 0.0;
            }
            if touches {
                let part = if joint { EVERY } else { slot };
                let with = if joint { partner } else { 0usize };
                let moved = minimise::<M>(scratch, scratch_base, part, bodies, with);
                if blocks > 0 {
                    unseen = unseen.max(moved);
                }
                blocks += 1;
            }
        }
        if unseen < SWEEP_MOVE {
            sweep = sweeps;
        }
    }
    solved!(scratch, scratch_base);
}
