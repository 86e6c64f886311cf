//! Where the time of a step goes on the CPU, part by part: clocks and counters that stand still unless somebody measures.
//!
//! The step calls `spent!(Part)` where a part ends, `newton_step!()` at every step of the contact solver and `solved!` after
//! a solution. While nothing is measured each is one load and one branch that is never taken; in kernels they are nothing.

use std::array::from_fn;
use std::cell::Cell;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering::Relaxed};
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use crate::contact::{Kind, contact_kinds, contacts_in};

/// What a step consists of, in its order.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Part {
    /// Who is near what, before and after the free motion.
    Sorting,
    /// Motion over the bare floor, in vectors, of all agents.
    FreeMotion,
    /// Which objects can be met, for one environment.
    BroadPhase,
    /// Contacts between agent, free objects and solids.
    Colliders,
    /// Contacts of free objects and of the Car with the floor.
    FloorContacts,
    /// Frames, lever arms and stiffness of the contacts.
    ContactRows,
    /// The accelerations under the contacts.
    Solver,
    /// Motion of the free objects.
    ObjectMotion,
    /// The agent's own substep among objects; the Car's floor where nothing else touches it.
    AgentMotion,
    /// Hazards, reward, costs, the episode's account.
    Reward,
    /// Sensors of the agents.
    Sensors,
    /// Lidars.
    Lidars,
    /// Layouts and first observations of new episodes.
    NewEpisodes,
}

impl Part {
    /// All parts, in the order of a step.
    pub const ALL: [Self; 13] = [
        Self::Sorting,
        Self::FreeMotion,
        Self::BroadPhase,
        Self::Colliders,
        Self::FloorContacts,
        Self::ContactRows,
        Self::Solver,
        Self::ObjectMotion,
        Self::AgentMotion,
        Self::Reward,
        Self::Sensors,
        Self::Lidars,
        Self::NewEpisodes,
    ];

    /// What a table calls it.
    pub fn name(self) -> &'static str {
        match self {
            Self::Sorting => "sorting",
            Self::FreeMotion => "free motion",
            Self::BroadPhase => "broad phase",
            Self::Colliders => "colliders",
            Self::FloorContacts => "floor contacts",
            Self::ContactRows => "contact rows",
            Self::Solver => "solver",
            Self::ObjectMotion => "object motion",
            Self::AgentMotion => "agent motion",
            Self::Reward => "reward, cost",
            Self::Sensors => "sensors",
            Self::Lidars => "lidars",
            Self::NewEpisodes => "new episodes",
        }
    }
}

/// Most contacts of each class of solutions; a last class has more.
const CLASSES: [usize; 5] = [4, 8, 16, 24, 32];
const CLASS_COUNT: usize = CLASSES.len() + 1;

/// The solutions of substeps with so many contacts.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Solutions {
    /// Fewest contacts of this class.
    pub fewest: usize,
    /// Most contacts of this class; none where it has no end.
    pub most: Option<usize>,
    /// How often the solver ran.
    pub solved: u64,
    /// Its steps: Newton's and conjugate directions'.
    pub steps: u64,
    /// The time it took \[s\].
    pub seconds: f64,
}

/// What a measurement found.
#[derive(Clone, Debug, PartialEq)]
pub struct Breakdown {
    /// Time of every part \[s\], summed over threads, in the order of [`Part::ALL`].
    pub seconds: Vec<(Part, f64)>,
    /// Solutions by their number of contacts.
    pub solutions: Vec<Solutions>,
    /// Contacts solved, by who touches what.
    pub contacts: Vec<(&'static str, u64)>,
}

static ON: AtomicBool = AtomicBool::new(false);
static ALONE: Mutex<()> = Mutex::new(());
static NANOS: [AtomicU64; Part::ALL.len()] = [const { AtomicU64::new(0) }; Part::ALL.len()];
static SOLVED: [AtomicU64; CLASS_COUNT] = [const { AtomicU64::new(0) }; CLASS_COUNT];
static STEPS: [AtomicU64; CLASS_COUNT] = [const { AtomicU64::new(0) }; CLASS_COUNT];
static SOLVER_NANOS: [AtomicU64; CLASS_COUNT] = [const { AtomicU64::new(0) }; CLASS_COUNT];
static KINDS: [AtomicU64; Kind::ALL.len()] = [const { AtomicU64::new(0) }; Kind::ALL.len()];

thread_local! {
    static SINCE: Cell<Option<Instant>> = const { Cell::new(None) };
    static STEPS_TAKEN: Cell<u64> = const { Cell::new(0) };
}

/// Runs `work`, which steps environments on the CPU, with the clocks on. The clocks themselves take some 30 ns a part.
/// Measurements follow one another: whatever else steps environments of this process meanwhile is counted too.
pub fn measure<R>(work: impl FnOnce() -> R) -> (R, Breakdown) {
    let _alone = ALONE.lock().unwrap_or_else(PoisonError::into_inner);
    for counter in NANOS.iter().chain(&SOLVED).chain(&STEPS).chain(&SOLVER_NANOS).chain(&KINDS) {
        counter.store(0, Relaxed);
    }
    ON.store(true, Relaxed);
    let result = work();
    ON.store(false, Relaxed);
    (result, breakdown())
}

fn breakdown() -> Breakdown {
    let seconds = |nanos: &AtomicU64| Duration::from_nanos(nanos.load(Relaxed)).as_secs_f64();
    let solutions = from_fn::<_, CLASS_COUNT, _>(|class| Solutions {
        fewest: if class == 0 { 1 } else { CLASSES[class - 1] + 1 },
        most: CLASSES.get(class).copied(),
        solved: SOLVED[class].load(Relaxed),
        steps: STEPS[class].load(Relaxed),
        seconds: seconds(&SOLVER_NANOS[class]),
    });
    Breakdown {
        seconds: Part::ALL.into_iter().zip(NANOS.iter().map(seconds)).collect(),
        solutions: solutions.to_vec(),
        contacts: Kind::ALL.into_iter().map(Kind::name).zip(KINDS.iter().map(|kind| kind.load(Relaxed))).collect(),
    }
}

/// The clock of this thread begins.
#[inline(always)]
pub(crate) fn begin() {
    if ON.load(Relaxed) {
        SINCE.set(Some(Instant::now()));
    }
}

/// What was done since the last call was `part`.
#[inline(always)]
pub(crate) fn end_of(part: Part) {
    if ON.load(Relaxed) {
        lap(part);
    }
}

/// Nanoseconds since the last part's end.
#[cold]
fn lap(part: Part) -> u64 {
    let now = Instant::now();
    let Some(since) = SINCE.replace(Some(now)) else { return 0 };
    let nanos = u64::try_from((now - since).as_nanos()).unwrap_or(u64::MAX);
    NANOS[part as usize].fetch_add(nanos, Relaxed);
    nanos
}

/// The solver takes a step.
#[inline(always)]
pub(crate) fn count_step() {
    if ON.load(Relaxed) {
        STEPS_TAKEN.set(STEPS_TAKEN.get() + 1);
    }
}

/// The contacts in the scratch are solved.
#[inline(always)]
pub(crate) fn end_of_solution(scratch: &[f32], scratch_base: usize) {
    if ON.load(Relaxed) {
        count_solution(scratch, scratch_base);
    }
}

#[cold]
fn count_solution(scratch: &[f32], scratch_base: usize) {
    let nanos = lap(Part::Solver);
    count(scratch, scratch_base, STEPS_TAKEN.replace(0), nanos);
}

#[cold]
fn count(scratch: &[f32], scratch_base: usize, steps: u64, nanos: u64) {
    let contacts = contacts_in(scratch, scratch_base);
    if contacts == 0 {
        return;
    }
    let class = CLASSES.iter().position(|most| contacts <= *most).unwrap_or(CLASSES.len());
    SOLVED[class].fetch_add(1, Relaxed);
    STEPS[class].fetch_add(steps, Relaxed);
    SOLVER_NANOS[class].fetch_add(nanos, Relaxed);
    for kind in contact_kinds(scratch, scratch_base) {
        KINDS[kind as usize].fetch_add(1, Relaxed);
    }
}

/// The contacts of several environments are solved: where their scratch begins, and the steps that each took.
#[inline(always)]
pub(crate) fn end_of_solutions(scratch: &[f32], solved: impl ExactSizeIterator<Item = (usize, u32)>) {
    if ON.load(Relaxed) {
        let nanos = lap(Part::Solver) / solved.len() as u64;
        for (base, steps) in solved {
            count(scratch, base, u64::from(steps), nanos);
        }
    }
}

/// What was done since the last such call was this [`Part`].
macro_rules! spent {
    ($part:ident) => {
        $crate::parts::end_of($crate::parts::Part::$part)
    };
}

/// The contact solver takes a step.
macro_rules! newton_step {
    () => {
        $crate::parts::count_step()
    };
}

/// The contacts in the scratch are solved.
macro_rules! solved {
    ($scratch:expr, $scratch_base:expr) => {
        $crate::parts::end_of_solution($scratch, $scratch_base)
    };
}

// What CubeCL puts in their place in a kernel.
#[cfg(feature = "gpu")]
macro_rules! __expand_spent {
    ($($all:tt)*) => {
        ()
    };
}
#[cfg(feature = "gpu")]
macro_rules! __expand_newton_step {
    ($($all:tt)*) => {
        ()
    };
}
#[cfg(feature = "gpu")]
macro_rules! __expand_solved {
    ($($all:tt)*) => {
        ()
    };
}

#[cfg(test)]
mod tests {
    use burn::tensor::{Device, Tensor};

    use super::*;
    use crate::{Navigation, VecEnv, find};

    #[test]
    fn parts_are_counted_only_while_somebody_measures() {
        let device = Device::flex();
        // Not a Point: its solutions are made eight at a time, and their rows count as the solver's.
        let mut env = Navigation::new(find("CarPush1").unwrap(), 64, 0, &device).unwrap();
        env.reset(true);
        let action = Tensor::<2>::ones([64, 2], &device);
        let (steps, found) = measure(|| {
            let mut steps = 0;
            for _ in 0..100 {
                env.step(action.clone());
                steps += 1;
            }
            steps
        });
        assert_eq!(steps, 100);
        assert!(found.seconds.iter().all(|(part, seconds)| *seconds > 0.0 || *part == Part::NewEpisodes), "{found:?}");
        let solved: u64 = found.solutions.iter().map(|class| class.solved).sum();
        let taken: u64 = found.solutions.iter().map(|class| class.steps).sum();
        let contacts: u64 = found.contacts.iter().map(|(_, count)| count).sum();
        assert!(solved > 100 && taken >= solved && contacts > solved, "{found:?}");
        // The counters still hold what the measurement found: steps without one add nothing.
        env.step(action);
        assert!(!ON.load(Relaxed));
    }
}
