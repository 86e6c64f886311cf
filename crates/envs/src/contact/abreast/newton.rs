//! `solver.rs`: a Newton step of objects, of agents, or of both together.

use super::bodies::{
    Motion, Planar, advance, agents_along, answers, direction_of, objects_along, reduce, start_objects,
};
use super::contacts::{add_agents, add_couplings, add_objects, move_along, spread};
use super::problem::{Eight, Problem};
use super::search::{Along, line_search};
use super::*;
use crate::contact::grouped::Registers;
use crate::contact::solver::{DECREMENT, FULL_STEPS, JOINT_DECREMENT};
use crate::register::{LaneMask, Lanes};

/// The share of its start to which a search brings the slope.
const TOLERANCE: f32 = 0.1;

/// A Newton step of the bodies that are being solved, all others held; where an environment's agent and object both are, of both.
/// Of each environment so many steps are `taken` already. Returns where it was the last, and adds to what [moved](Problem::moved).
#[inline(always)]
pub(super) fn step<R: Registers>(like: Lanes<R>, problem: &mut Problem, taken: &Eight) -> LaneMask<R> {
    let agents = like.below(like.load(&problem.agents.solved));
    let objects = like.below(like.load(&problem.objects.solved));
    let (any_agent, any_object) = (agents.any(), objects.any());
    let pairs = agents.both(objects);
    let any_pair = pairs.any();
    let (object_mass, agent_mass) = (like.load(&problem.objects.mass), like.load(&problem.agents.mass));
    let single = object_mass.pick(objects, agent_mass) * DECREMENT;
    let bound = (object_mass * (0.5 * JOINT_DECREMENT)).pick(pairs, single);
    let (contacts, floor) = problem.longest();
    let Problem { agents: own, objects: free, contacts: all, floor: all_floor, moved: all_moved, .. } = problem;
    let (contacts, floor) = (&mut all[..contacts], &mut all_floor[..floor]);
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
    let solved = (-slope).below(bound);
    let running = agents.either(objects).both(solved.negated());
    if !running.any() {
        return solved;
    }
    let [x, y, r] = agent_path;
    let agent_path = [x.pick(running, like), y.pick(running, like), r.pick(running, like)];
    let object_path = object_path.only(running);
    let [x, y, r] = agent_path;
    let agent_motion = Motion([x, y, like, like, like, r]);
    let whole = running.both(like.load(taken).below(like.fixed(FULL_STEPS as f32)));
    let (t, uncrossed) = if running.both(whole.negated()).any() {
        spread(like, contacts, floor, agent_motion, object_path);
        let mut inertia = (like, like);
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
        let (t, uncrossed) = line_search(contacts, floor, along, running, whole);
        let t = t.pick(running, like);
        super::contacts::advance(like, contacts, t);
        super::contacts::advance(like, floor, t);
        (t, uncrossed)
    } else {
        let crossed = move_along(like, contacts, floor, agent_motion, object_path);
        (like.fixed(1.0), running.both(crossed.negated()))
    };
    let mut moved = like.load(all_moved);
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
    moved.store(all_moved);
    // All edges on their old sides: the objective was quadratic and the full step solved it.
    solved.either(uncrossed)
}
