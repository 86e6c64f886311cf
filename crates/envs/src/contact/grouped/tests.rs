//! Registers and loops give the same bits, and what kernels do but for the last ones.

use std::cell::Cell;

use crate::agent::Agent;
use crate::kinds::for_kind;
use crate::registry::find;
use crate::rng;
use crate::spec::NavigationSpec;
use crate::state::{LANES, OMEGA, TOUCHED, VX, VY};
use crate::step::{SCRATCH, reset_env};
use crate::task::Task;

thread_local! {
    static ONE_BY_ONE: Cell<bool> = const { Cell::new(false) };
    static LOOPS: Cell<bool> = const { Cell::new(false) };
}

pub(super) fn one_by_one() -> bool {
    ONE_BY_ONE.get()
}

#[cfg(target_arch = "x86_64")]
pub(super) fn registers() -> Option<pulp::x86::V3> {
    if LOOPS.get() { None } else { pulp::x86::V3::try_new() }
}

/// Does `work` with `flag` set.
fn with(flag: &'static std::thread::LocalKey<Cell<bool>>, work: impl FnOnce()) {
    flag.set(true);
    work();
    flag.set(false);
}

/// Steps of agents that drive about, each from one state in three ways. Returns how far velocities are apart after those steps
/// in which something was touched, contact by contact from group by group, in rising order.
pub(in crate::contact) fn drive<A: Agent, T: Task>(spec: &NavigationSpec) -> Vec<f32> {
    let params = spec.params(3);
    let mut state = vec![0.0; spec.state_dim() * LANES];
    let mut scratch = vec![0.0; SCRATCH];
    let mut apart = Vec::new();
    for t in 0..400u32 {
        if t % 200 == 0 {
            for lane in 0..LANES {
                reset_env::<A, T>(&params, &mut state, lane, lane as u32, false);
            }
        }
        for lane in 0..LANES {
            let command = |i: u32| rng::unit(rng::bits(1, i, lane as u32, t / 20, 0)) * 2.2 - 0.7;
            let action = [command(0), command(1)];
            let (mut looped, mut single) = (state.clone(), state.clone());
            A::advance(&params, &mut state, lane, &action, 0, &mut scratch, 0);
            with(&LOOPS, || A::advance(&params, &mut looped, lane, &action, 0, &mut scratch, 0));
            with(&ONE_BY_ONE, || A::advance(&params, &mut single, lane, &action, 0, &mut scratch, 0));
            let same = state.iter().zip(&looped).all(|(a, b)| a.to_bits() == b.to_bits());
            assert!(same, "{} step {t} lane {lane}: bits of registers and of loops", spec.env.id);
            if state[TOUCHED * LANES + lane] > 0.5 {
                let off = |field: usize| (state[field * LANES + lane] - single[field * LANES + lane]).abs();
                apart.push([VX, VY, OMEGA].map(off).into_iter().fold(0.0, f32::max));
            }
        }
    }
    apart.sort_by(f32::total_cmp);
    apart
}

#[test]
fn groups_have_the_bits_of_loops_and_nearly_those_of_kernels() {
    for id in ["PointPush1", "PointGoal2", "PointButton1", "CarPush1", "RacecarPush1"] {
        let spec = find(id).unwrap();
        let run = for_kind!(spec.agent, spec.level.task, drive);
        let apart = run(&spec);
        let at = |share: f64| apart[(share * (apart.len() - 1) as f64) as usize];
        assert!(apart.len() > 150, "{id}: {} steps in contact", apart.len());
        assert!(at(0.9) < 1e-5 && at(0.99) < 1e-4, "{id}: {:e} and {:e} apart", at(0.9), at(0.99));
    }
}
