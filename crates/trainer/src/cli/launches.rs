//! What a piece of work launches on a GPU, kernel by kernel, as CubeCL itself reports it.

use std::mem::replace;

use crate::device::launches::LaunchWatch;

/// Watches launches and read-backs of the whole process for as long as it lives. The CPU backend launches nothing.
pub struct LaunchCounter {
    watch: LaunchWatch,
    read_backs: u64,
    replays: u64,
}

/// What was counted since the last [`LaunchCounter::take`].
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Launched {
    /// Launches by kernel, the most frequent first.
    pub kernels: Vec<(String, u64)>,
    /// Times the host waited for numbers of the device.
    pub read_backs: u64,
    /// Graphs replayed: the launches within them are not in `kernels`.
    pub replays: u64,
}

impl Launched {
    /// Adds what was counted later.
    pub fn add(&mut self, later: Self) {
        for (name, count) in later.kernels {
            match self.kernels.iter_mut().find(|(known, _)| *known == name) {
                Some((_, sum)) => *sum += count,
                None => self.kernels.push((name, count)),
            }
        }
        self.kernels.sort_by(|a, b| b.1.cmp(&a.1).then_with(|| a.0.cmp(&b.0)));
        self.read_backs += later.read_backs;
        self.replays += later.replays;
    }

    /// Launches of all kernels, and replays of graphs.
    pub fn total(&self) -> u64 {
        self.kernels.iter().map(|(_, count)| count).sum::<u64>() + self.replays
    }
}

impl LaunchCounter {
    /// Begins to count.
    #[allow(clippy::new_without_default)] // beginning to count is no value
    pub fn new() -> Self {
        Self { watch: LaunchWatch::begin(), read_backs: compute::read_backs(), replays: compute::replays() }
    }

    /// What was counted since the last call, or since the beginning.
    pub fn take(&mut self) -> Launched {
        let now = (compute::read_backs(), compute::replays());
        let before = (replace(&mut self.read_backs, now.0), replace(&mut self.replays, now.1));
        let (read_backs, replays) = (now.0 - before.0, now.1 - before.1);
        let kernels = self.watch.take().into_iter().map(|(name, count)| (short(name), count)).collect();
        let mut launched = Launched::default();
        launched.add(Launched { kernels, read_backs, replays });
        launched
    }
}

/// A kernel's name without the paths of its types.
fn short(name: &str) -> String {
    let words = name.split_inclusive(|c: char| !(c.is_alphanumeric() || c == '_' || c == ':'));
    words.map(|word| word.rsplit("::").next().unwrap_or(word)).collect()
}
