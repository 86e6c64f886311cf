//! `solver.rs`' order of things: which of an environment's bodies are solved, one after the other or together, until it makes room
//! for the next.

use super::bodies::felt;
use super::contacts::complete;
use super::newton::step;
use super::problem::{Eight, Problem};
use super::*;
use crate::contact::grouped::{Registers, Work};
use crate::contact::solver::{CONJUGATE_STEPS, NEWTON_STEPS, SWEEP_MOVE, SWEEPS};
use crate::register::Lanes;

/// An environment to be solved.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Waiting {
    /// What makes a solution long: an agent's part in it, then the number of its contacts.
    effort: (bool, u16),
    /// Where its scratch begins.
    pub base: usize,
    /// Newton steps that its solution took.
    pub steps: u32,
}

impl Waiting {
    /// The environment whose scratch begins at `base`.
    pub fn at(scratch: &[f32], base: usize) -> Self {
        let agent = scratch[body(base, AGENT_SLOT) + TOUCHES] > 0.0;
        Self { effort: (agent, scratch[base + COUNT] as u16), base, steps: 0 }
    }
}

/// How far the solution in a place is.
#[derive(Clone, Copy, Default)]
struct Progress {
    /// Which of those that waited it is.
    number: usize,
    /// Newton steps over the present bodies, the others held.
    steps: usize,
    /// Times that object and agent were solved one after the other.
    sweeps: usize,
}

/// The eight that are being solved, and the eight that come next.
pub(super) struct Queue {
    problem: Problem,
    next: Problem,
    progress: [Option<Progress>; GROUP],
}

impl Queue {
    pub fn new() -> Self {
        Self { problem: Problem::new(), next: Problem::new(), progress: [None; GROUP] }
    }
}

/// Solves those that wait, in their order, and tells the steps of each.
pub(super) struct Solve<'a> {
    pub scratch: &'a mut [f32],
    pub queue: &'a mut Queue,
    pub waiting: &'a mut [Waiting],
}

impl Work for Solve<'_> {
    type Output = ();

    #[inline(always)]
    fn run<R: Registers>(self, simd: R) {
        let Self { scratch, queue: Queue { problem, next, progress }, waiting } = self;
        let like = Lanes::new(simd);
        // The first of those that have not been made ready, and of those that have but wait for a place.
        let mut raw = waiting.len().min(GROUP);
        let mut ready = raw;
        make_ready(like, problem, scratch, &waiting[..raw]);
        problem.begin();
        for (place, progress) in progress.iter_mut().enumerate() {
            *progress = (place < raw).then_some(Progress { number: place, ..Progress::default() });
        }
        let mut solving = raw;
        while solving > 0 {
            let mut ended: Eight = [0.0; GROUP];
            let mut taken: Eight = [0.0; GROUP];
            for (taken, now) in taken.iter_mut().zip(progress.iter()) {
                *taken = if let Some(now) = now { now.steps as f32 } else { 0.0 };
            }
            like.fixed(1.0).pick(step(like, problem, &taken), like).store(&mut ended);
            for place in 0..GROUP {
                let Some(now) = &mut progress[place] else { continue };
                now.steps += 1;
                waiting[now.number].steps += 1;
                if ended[place] == 0.0 && now.steps < most_steps(problem, place) || goes_on(problem, place, now) {
                    continue;
                }
                problem.scatter(scratch, waiting[now.number].base, place);
                if ready == raw && raw < waiting.len() {
                    let more = (waiting.len() - raw).min(GROUP);
                    make_ready(like, next, scratch, &waiting[raw..raw + more]);
                    raw += more;
                }
                if ready < raw {
                    problem.take_over(place, next, ready % GROUP);
                    progress[place] = Some(Progress { number: ready, ..Progress::default() });
                    ready += 1;
                } else {
                    problem.clear(place);
                    progress[place] = None;
                    solving -= 1;
                }
            }
        }
    }
}

/// Gathers at most eight that wait and completes their contacts.
#[inline(always)]
fn make_ready<R: Registers>(like: Lanes<R>, problem: &mut Problem, scratch: &[f32], waiting: &[Waiting]) {
    for place in 0..GROUP {
        problem.gather(scratch, waiting.get(place).map(|waiting| waiting.base), place);
    }
    let [agents, objects] = felt(like, &problem.agents, &problem.objects);
    complete(like, problem, agents, objects);
}

/// Newton steps at most over the bodies that are being solved.
fn most_steps(problem: &Problem, place: usize) -> usize {
    let pair = problem.agents.solved[place] > 0.0 && problem.objects.solved[place] > 0.0;
    if pair { CONJUGATE_STEPS } else { NEWTON_STEPS }
}

/// What follows when the bodies of a place are solved: of an object and an agent that are not solved together the other one, the agent
/// last, since the object follows it more than it follows the object. False where the solution is found.
fn goes_on(problem: &mut Problem, place: usize, progress: &mut Progress) -> bool {
    let (agents, objects) = (&mut problem.agents, &mut problem.objects);
    let both = agents.touches[place] > 0.0 && objects.touches[place] > 0.0;
    let (agent, object) = (agents.solved[place] > 0.0, objects.solved[place] > 0.0);
    if !both || agent && object {
        return false;
    }
    if agent {
        // What the object did not see yet of this sweep.
        progress.sweeps += 1;
        if problem.moved[place] < SWEEP_MOVE || progress.sweeps == SWEEPS {
            return false;
        }
    }
    (agents.solved[place], objects.solved[place]) = if agent { (0.0, 1.0) } else { (1.0, 0.0) };
    problem.moved[place] = 0.0;
    progress.steps = 0;
    true
}
