//! The shards that one process has: threads that meet for every sum, the first of which speaks for all with other processes.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::Instant;

use anyhow::{Result, anyhow, bail, ensure};
use burn::tensor::Tensor;
use compute::read;

use super::{Comm, Processes};

/// The shards of one process.
pub struct Group {
    processes: Arc<dyn Processes>,
    /// Shards of this process.
    local: usize,
    board: Mutex<Board>,
    changed: Condvar,
}

/// What one shard brings to a meeting.
enum Brought {
    Vector(Vec<f32>),
    Numbers(Vec<f64>),
}

/// What all take home.
#[derive(Clone)]
enum Taken {
    Sum(Arc<Vec<f32>>),
    Numbers(Arc<Vec<Vec<f64>>>),
}

/// Where the shards of a process meet.
#[derive(Default)]
struct Board {
    brought: Vec<Option<Brought>>,
    /// What the last meeting came to, and its number.
    taken: Option<(u64, Taken)>,
    /// Who has yet to take it.
    awaited: usize,
    /// Meetings that each shard has come to.
    meetings: Vec<u64>,
    /// Why there will be no further meeting.
    failed: Option<String>,
}

impl Group {
    /// The shards of this process, `all` being those of all processes: as many for each.
    ///
    /// # Errors
    /// When they cannot be shared out evenly.
    pub fn new(all: usize, processes: Arc<dyn Processes>) -> Result<Arc<Self>> {
        let size = processes.size();
        ensure!(
            all >= 1 && all.is_multiple_of(size),
            "shards = {all}: {size} processes cannot share them evenly; a multiple of {size} can be trained by so many"
        );
        let local = all / size;
        let brought = (0..local).map(|_| None).collect();
        let board = Board { brought, meetings: vec![0; local], ..Board::default() };
        Ok(Arc::new(Self { processes, local, board: Mutex::new(board), changed: Condvar::new() }))
    }

    /// Shards of this process.
    pub fn local(&self) -> usize {
        self.local
    }

    /// The other processes.
    pub fn processes(&self) -> &Arc<dyn Processes> {
        &self.processes
    }

    /// The shards of this process, in their order. The first must be used from the thread that may speak with other processes.
    pub fn shards(self: &Arc<Self>) -> Vec<Shard> {
        (0..self.local).map(|index| Shard { group: self.clone(), index, nanoseconds: AtomicU64::new(0) }).collect()
    }

    /// Lets no shard wait any longer, because one has failed.
    pub fn fail(&self, why: &str) {
        self.lock().failed.get_or_insert_with(|| why.to_owned());
        self.changed.notify_all();
    }

    fn lock(&self) -> MutexGuard<'_, Board> {
        self.board.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The board once `ready` is true of it.
    fn once<'a>(&self, board: MutexGuard<'a, Board>, ready: impl Fn(&Board) -> bool) -> Result<MutexGuard<'a, Board>> {
        let waited = self.changed.wait_while(board, |board| board.failed.is_none() && !ready(board));
        let board = waited.unwrap_or_else(PoisonError::into_inner);
        match &board.failed {
            Some(why) => Err(anyhow!("another shard of this process failed: {why}")),
            None => Ok(board),
        }
    }

    fn meet(&self, index: usize, brought: Brought) -> Result<Taken> {
        if self.local == 1 {
            return self.settle(vec![brought]);
        }
        let mut board = self.lock();
        board.meetings[index] += 1;
        let meeting = board.meetings[index];
        board.brought[index] = Some(brought);
        self.changed.notify_all();
        if index > 0 {
            let mut board =
                self.once(board, |board| board.taken.as_ref().is_some_and(|(number, _)| *number == meeting))?;
            board.awaited -= 1;
            self.changed.notify_all();
            return board.taken.as_ref().map(|(_, taken)| taken.clone()).ok_or_else(|| anyhow!("nothing was settled"));
        }
        let mut board = self.once(board, |board| board.awaited == 0 && board.brought.iter().all(Option::is_some))?;
        let all = board.brought.iter_mut().filter_map(Option::take).collect();
        drop(board);
        match self.settle(all) {
            Ok(taken) => {
                let mut board = self.lock();
                board.taken = Some((meeting, taken.clone()));
                board.awaited = self.local - 1;
                self.changed.notify_all();
                Ok(taken)
            }
            Err(error) => {
                self.fail(&format!("{error:#}"));
                Err(error)
            }
        }
    }

    /// Adds or lists what the shards of all processes have brought.
    fn settle(&self, brought: Vec<Brought>) -> Result<Taken> {
        let (mut vectors, mut numbers) = (Vec::new(), Vec::new());
        for one in brought {
            match one {
                Brought::Vector(vector) => vectors.push(vector),
                Brought::Numbers(list) => numbers.push(list),
            }
        }
        if numbers.is_empty() {
            ensure!(
                vectors.windows(2).all(|pair| pair[0].len() == pair[1].len()),
                "shards sum vectors of other lengths"
            );
            return Ok(Taken::Sum(Arc::new(self.processes.sum(&vectors)?)));
        }
        ensure!(vectors.is_empty(), "a shard sums where another lists");
        let mut bytes = Vec::new();
        for list in &numbers {
            bytes.extend((list.len() as u64).to_le_bytes());
            bytes.extend(list.iter().flat_map(|number| number.to_le_bytes()));
        }
        let mut all = Vec::new();
        for bytes in self.processes.gather(&bytes)? {
            lists(&bytes, &mut all)?;
        }
        Ok(Taken::Numbers(Arc::new(all)))
    }
}

/// Adds the lists that a process has sent: each its length and its numbers.
fn lists(bytes: &[u8], all: &mut Vec<Vec<f64>>) -> Result<()> {
    let (words, _) = bytes.as_chunks::<8>();
    let mut words = words.iter();
    while let Some(length) = words.next() {
        let length = u64::from_le_bytes(*length) as usize;
        ensure!(length <= words.len(), "a process sent fewer numbers than it said");
        all.push(words.by_ref().take(length).map(|word| f64::from_le_bytes(*word)).collect());
    }
    Ok(())
}

/// One shard of a process.
pub struct Shard {
    group: Arc<Group>,
    index: usize,
    nanoseconds: AtomicU64,
}

impl Shard {
    fn timed<T>(&self, work: impl FnOnce() -> T) -> T {
        let start = Instant::now();
        let done = work();
        self.nanoseconds.fetch_add(start.elapsed().as_nanos() as u64, Ordering::Relaxed);
        done
    }

    fn meet(&self, brought: Brought) -> Result<Taken> {
        self.timed(|| self.group.meet(self.index, brought))
    }

    /// The sum on the device, where the processes can and each has one shard.
    fn sum_on_device(&self, values: &Tensor<1>) -> Result<Option<Tensor<1>>> {
        if self.group.local > 1 {
            return Ok(None);
        }
        self.timed(|| self.group.processes.sum_on_device(values))
    }
}

impl Comm for Shard {
    fn size(&self) -> usize {
        self.group.local * self.group.processes.size()
    }

    fn rank(&self) -> usize {
        self.group.processes.rank() * self.group.local + self.index
    }

    fn sum(&self, values: Tensor<1>) -> Result<Tensor<1>> {
        if let Some(sum) = self.sum_on_device(&values)? {
            return Ok(sum);
        }
        let device = values.device();
        match self.meet(Brought::Vector(read("what is summed over shards", values)?))? {
            Taken::Sum(sum) => Ok(Tensor::from_floats(sum.as_slice(), &device)),
            Taken::Numbers(_) => bail!("this shard sums where another lists"),
        }
    }

    fn gather(&self, values: &[f64]) -> Result<Vec<Vec<f64>>> {
        match self.meet(Brought::Numbers(values.to_vec()))? {
            Taken::Numbers(all) => Ok(Vec::clone(&all)),
            Taken::Sum(_) => bail!("this shard lists where another sums"),
        }
    }

    fn seconds(&self) -> f64 {
        self.nanoseconds.load(Ordering::Relaxed) as f64 * 1e-9
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::comm::OneProcess;
    use burn::tensor::Device;
    use std::thread;

    #[test]
    fn shards_of_a_process_sum_and_list_in_their_order_time_after_time() {
        let group = Group::new(4, Arc::new(OneProcess)).unwrap();
        let work = |shard: Shard| {
            let rank = shard.rank();
            for round in 0..200 {
                let big = [1e8, 3.0, -1e8, 3.0][rank];
                let sum = shard.sum(Tensor::from_floats([big, round as f32], &Device::flex())).unwrap();
                assert_eq!(read("sum", sum).unwrap(), [3.0, 4.0 * round as f32]);
                let numbers = vec![rank as f64; rank];
                let all = shard.gather(&numbers).unwrap();
                assert_eq!(all, [vec![], vec![1.0], vec![2.0; 2], vec![3.0; 3]]);
            }
            assert!(shard.seconds() > 0.0);
        };
        thread::scope(|scope| group.shards().into_iter().for_each(|shard| drop(scope.spawn(move || work(shard)))));
    }

    #[test]
    fn nobody_waits_for_a_shard_that_failed() {
        let group = Group::new(3, Arc::new(OneProcess)).unwrap();
        let mut shards = group.shards();
        let last = shards.pop().unwrap();
        thread::scope(|scope| {
            let waiting: Vec<_> =
                shards.into_iter().map(|shard| scope.spawn(move || shard.gather(&[1.0]).unwrap_err())).collect();
            group.fail("the device is lost");
            for error in waiting {
                assert!(error.join().unwrap().to_string().contains("the device is lost"));
            }
        });
        assert!(last.gather(&[]).is_err());
    }

    #[test]
    fn shards_that_do_not_divide_among_the_processes_are_refused() {
        assert!(Group::new(0, Arc::new(OneProcess)).is_err());
        assert_eq!(Group::new(3, Arc::new(OneProcess)).unwrap().local(), 3);
    }
}
