//! Solutions of eight environments at a time, on the CPU: contact k of each of them in a register, where `grouped.rs` has eight
//! contacts of one. Whose solution is found makes room for the next.
//!
//! It is for a planar agent, or none, and one free object at most that have contacts, which is what is solved most often. Every
//! environment's numbers are those of `solver.rs`, contact by contact: the same bits, whatever is solved beside it.

mod bodies;
mod contacts;
mod newton;
mod problem;
mod queue;
mod search;
#[cfg(test)]
mod tests;

use std::cell::RefCell;

use self::queue::{Queue, Solve, Waiting};
use super::grouped::{dispatch, in_use};
use super::*;

/// Environments that have working memory at a time, and wait for their solutions together.
pub(crate) const MOST_TOGETHER: usize = 128;

thread_local! {
    /// On the heap: a library that is loaded into another program, as Python's module is, has next to no room among a thread's own.
    static QUEUE: RefCell<Box<Queue>> = RefCell::new(Box::new(Queue::new()));
    /// Working memory of the contacts of several environments, kept from step to step: clearing it takes as long as a step may.
    static SCRATCH: RefCell<Vec<f32>> = const { RefCell::new(Vec::new()) };
}

/// Does `work` with working memory for [`MOST_TOGETHER`] environments, [`SCRATCH_LEN`] numbers each.
pub(crate) fn with_scratch(work: impl FnOnce(&mut [f32])) {
    SCRATCH.with_borrow_mut(|scratch| {
        scratch.resize(SCRATCH_LEN * MOST_TOGETHER, 0.0);
        work(scratch);
    });
}

/// Where the working memory of the `k`th environment begins.
pub(crate) const fn scratch_of(k: usize) -> usize {
    k * SCRATCH_LEN
}

/// Whether the environment at `scratch_base` can be solved beside others.
#[inline(always)]
pub(super) fn fits<M: ContactBody>(scratch: &mut [f32], scratch_base: usize) -> bool {
    if !in_use() || !(M::is_planar() || agent_touches::<M>(scratch, scratch_base) == 0.0) {
        return false;
    }
    let slots = 1..=scratch[scratch_base + ACTIVE] as usize;
    slots.filter(|slot| scratch[body(scratch_base, *slot) + TOUCHES] > 0.0).count() <= 1
}

/// [`solve_active`] of one environment that [`fits`].
pub(super) fn solve_one<M: ContactBody>(scratch: &mut [f32], scratch_base: usize) {
    forget_nobody::<M>(scratch, scratch_base);
    if scratch[scratch_base + COUNT] > 0.0 {
        solve_waiting(scratch, &mut [Waiting::at(scratch, scratch_base)]);
    }
}

/// [`solve_active`] of each of the environments that begin at `bases`.
pub(crate) fn solve_each<M: ContactBody>(scratch: &mut [f32], bases: impl IntoIterator<Item = usize>) {
    let (mut waiting, mut count) = ([Waiting::default(); MOST_TOGETHER], 0);
    for base in bases {
        if !fits::<M>(scratch, base) {
            solve_active::<M>(scratch, base);
        } else if scratch[base + COUNT] > 0.0 {
            forget_nobody::<M>(scratch, base);
            waiting[count] = Waiting::at(scratch, base);
            count += 1;
            if count == MOST_TOGETHER {
                solve_waiting(scratch, &mut waiting);
                count = 0;
            }
        }
    }
    if count > 0 {
        solve_waiting(scratch, &mut waiting[..count]);
    }
}

/// Without an agent, what is in its place is of long ago.
#[inline(always)]
fn forget_nobody<M: ContactBody>(scratch: &mut [f32], scratch_base: usize) {
    if M::parts() == 0 {
        scratch[body(scratch_base, AGENT_SLOT) + TOUCHES] = 0.0;
    }
}

/// Solves the environments that wait, those beside each other that are alike: whose contacts are fewer waits for the others'.
fn solve_waiting(scratch: &mut [f32], waiting: &mut [Waiting]) {
    waiting.sort_unstable_by(|a, b| b.cmp(a));
    QUEUE.with_borrow_mut(|queue| dispatch(Solve { scratch: &mut *scratch, queue, waiting: &mut *waiting }));
    crate::parts::end_of_solutions(scratch, waiting.iter().map(|done| (done.base, done.steps)));
}
