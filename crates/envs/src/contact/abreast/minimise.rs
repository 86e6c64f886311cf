//! `solver.rs`: Newton steps of objects, of agents, and of both together, each environment's until it is solved.

use super::bodies::{
    Motion, Planar, advance, agents_along, answers, direction_of, felt, objects_along, reduce, start_objects,
};
use super::contacts::{add_agents, add_couplings, add_objects, complete, spread};
use super::problem::{Eight, Problem};
use super::search::{Along, line_search};
use super::*;
use crate::contact::grouped::{Registers, Work};
use crate::contact::solver::{CONJUGATE_STEPS, DECREMENT, JOINT_DECREMENT, NEWTON_STEPS, SWEEP_MOVE, SWEEPS};
use crate::register::{LaneMask, Lanes};

/// Solves the problems; returns the Newton steps of each.
pub(super) struct Solve<'a>(pub &'a mut Problem);

/// The share of its start to which a search brings the slope.
const TOLERANCE: f32 = 0.1;

impl Work for Solve<'_> {
    type Output = Eight;

    #[inline(always)]
    fn run<R: Registers>(self, simd: R) -> Eight {
        let Self(problem) = self;
        let like = Lanes::new(simd);
        let [agents, objects] = felt(like, &problem.agents, &problem.objects);
        complete(like, problem, agents, objects);
        let agents = like.below(like.load(&problem.agents.touches));
        let objects = like.below(like.load(&problem.objects.touches));
        let pairs = like.below(like.load(&problem.pairs)).both(agents).both(objects);
        let mut steps = like;
        let mut going = agents.either(objects);
        for _ in 0..SWEEPS {
            // The agent last: the object follows it more than it follows the object.
            let together = pairs.both(going);
            let _ = minimise(like, problem, together, objects.both(going), &mut steps);
            let alone = agents.both(going).both(pairs.negated());
            if !alone.any() {
                break;
            }
            let moved = minimise(like, problem, alone, like.below(like), &mut steps);
            // What the objects of this sweep did not see yet.
            let unseen = moved.below(like.fixed(SWEEP_MOVE)).negated();
            going = alone.both(objects).both(unseen);
            if !going.any() {
                break;
            }
        }
        let mut counts = [0.0; GROUP];
        steps.store(&mut counts);
        counts
    }
}

/// Minimises the objective over the accelerations of the `agents` and of the `objects`, all others held; where an environment is in
/// both, over those of both. Returns the squared change of the accelerations \[(m/s^2)^2\], and adds to the `steps`.
#[inline(always)]
fn minimise<R: Registers>(
    like: Lanes<R>,
    problem: &mut Problem,
    agents: LaneMask<R>,
    objects: LaneMask<R>,
    steps: &mut Lanes<R>,
) -> Lanes<R> {
    let (any_agent, any_object) = (agents.any(), objects.any());
    let pairs = agents.both(objects);
    let any_pair = pairs.any();
    let (object_mass, agent_mass) = (like.load(&problem.objects.mass), like.load(&problem.agents.mass));
    let single = object_mass.pick(objects, agent_mass) * DECREMENT;
    let bound = (object_mass * (0.5 * JOINT_DECREMENT)).pick(pairs, single);
    let (contacts, floor) = problem.longest();
    let most = if any_pair { CONJUGATE_STEPS } else { NEWTON_STEPS };
    let mut running = agents.either(objects);
    let mut moved = like;
    for step in 0..most {
        if step == NEWTON_STEPS {
            running = running.both(pairs);
        }
        if !running.any() {
            break;
        }
        let Problem { agents: own, objects: free, contacts: all, floor: all_floor, .. } = &mut *problem;
        let (contacts, floor) = (&mut all[..contacts], &mut all_floor[..floor]);
        *steps += like.fixed(1.0).pick(running, like);
        let mut slope = like;
        let mut agent_path = [like; 3];
        let mut agent_pull = [like; 3];
        let mut couplings = [[like; 3]; 6];
        let mut answered = couplings;
        if any_agent {
            let (mut sums, pull) = Planar::start(like, own);
            add_agents(like, contacts, &mut sums);
            if any_pair {
                add_couplings(like, contacts, pairs, &mut couplings);
            }
            let inverse = sums.inverse();
            let (direction, own_slope) = sums.direction(inverse);
            if any_pair {
                answered = answers(inverse, &couplings);
            }
            slope += own_slope.pick(agents, like);
            for (to, along) in agent_path.iter_mut().zip(direction) {
                *to = along.pick(agents, like);
            }
            agent_pull = pull;
        }
        let mut object_path = Motion([like; 6]);
        let mut object_pull = [like; 6];
        if any_object {
            let (mut sums, pull) = start_objects(like, free);
            add_objects(like, contacts, floor, &mut sums);
            if any_pair {
                reduce(&couplings, &answered, agent_path, &mut sums);
            }
            let (direction, own_slope) = direction_of(&sums);
            slope += own_slope.pick(objects, like);
            object_path = direction.only(objects);
            object_pull = pull;
            if any_pair {
                for (along, answer) in object_path.0.into_iter().zip(answered) {
                    for (to, answer) in agent_path.iter_mut().zip(answer) {
                        *to = (*to + answer * along).pick(pairs, *to);
                    }
                }
            }
        }
        running = running.both((-slope).below(bound).negated());
        if !running.any() {
            break;
        }
        let mut inertia = (like, like);
        let [x, y, r] = agent_path;
        spread(like, contacts, floor, Motion([x, y, like, like, like, r]), object_path);
        if any_agent {
            let (slope, curvature) = agents_along(like, own, agent_pull, agent_path);
            inertia = (slope.pick(agents, like), curvature.pick(agents, like));
        }
        if any_object {
            let (slope, curvature) = objects_along(like, free, object_pull, object_path);
            inertia.0 += slope.pick(objects, like);
            inertia.1 += curvature.pick(objects, like);
        }
        let along = Along { slope, inertia, tolerance: TOLERANCE };
        let (t, uncrossed) = line_search(contacts, floor, along, running);
        let t = t.pick(running, like);
        if any_agent {
            let mask = agents.both(running);
            let [x, y, r] = advance(like, &mut own.acceleration, agent_path, t, mask);
            moved += (x + y + r * LEVER).pick(mask, like);
        }
        if any_object {
            let mask = objects.both(running);
            let [x, y, z, p, q, r] = advance(like, &mut free.acceleration, object_path.0, t, mask);
            moved += (x + y + z + (p + q + r) * LEVER).pick(mask, like);
        }
        super::contacts::advance(like, contacts, t);
        super::contacts::advance(like, floor, t);
        // All edges on their old sides: the objective was quadratic and the full step solved it.
        running = running.both(uncrossed.negated());
    }
    moved
}
