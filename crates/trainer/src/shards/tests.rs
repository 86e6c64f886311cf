//! Runs of several shards, in one process and in several: the latter are threads here, which meet as MPI's processes do.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Barrier, Mutex};

use burn::tensor::Tensor;

use super::*;
use crate::algorithm::ALGORITHMS;
use crate::comm::{OneProcess, in_order};
use crate::config::{CriticConfig, PolicyConfig};

/// Where the processes of a test meet.
struct Hall {
    barrier: Barrier,
    brought: Mutex<Vec<Vec<u8>>>,
    /// Whether they sum on their devices.
    on_devices: bool,
    /// How often they have.
    sums_on_devices: AtomicUsize,
}

/// A process of a test.
struct Visitor {
    hall: Arc<Hall>,
    rank: usize,
}

impl Visitor {
    fn exchange(&self, bytes: Vec<u8>) -> Vec<Vec<u8>> {
        self.hall.brought.lock().unwrap()[self.rank] = bytes;
        self.hall.barrier.wait();
        let all = self.hall.brought.lock().unwrap().clone();
        self.hall.barrier.wait();
        all
    }
}

impl Processes for Visitor {
    fn size(&self) -> usize {
        self.hall.brought.lock().unwrap().len()
    }
    fn rank(&self) -> usize {
        self.rank
    }
    fn sum(&self, parts: &[Vec<f32>]) -> Result<Vec<f32>> {
        let all = self.exchange(parts.concat().iter().flat_map(|x| x.to_le_bytes()).collect()).concat();
        let floats: Vec<f32> = all.as_chunks::<4>().0.iter().map(|word| f32::from_le_bytes(*word)).collect();
        Ok(in_order(floats.chunks(parts[0].len().max(1))))
    }
    fn sum_on_device(&self, part: &Tensor<1>) -> Result<Option<Tensor<1>>> {
        if !self.hall.on_devices {
            return Ok(None);
        }
        self.hall.sums_on_devices.fetch_add(1, Ordering::Relaxed);
        let sum = self.sum(&[compute::read("a part", part.clone())?])?;
        Ok(Some(Tensor::from_floats(sum.as_slice(), &part.device())))
    }
    fn gather(&self, bytes: &[u8]) -> Result<Vec<Vec<u8>>> {
        Ok(self.exchange(bytes.to_vec()))
    }
    fn collect(&self, bytes: Vec<u8>) -> Result<Vec<Vec<u8>>> {
        Ok(self.exchange(bytes))
    }
    fn broadcast(&self, bytes: Vec<u8>) -> Result<Vec<u8>> {
        Ok(self.exchange(bytes).swap_remove(0))
    }
    fn host(&self) -> String {
        format!("host{}", self.rank)
    }
    fn abort(&self, code: u8) -> ! {
        panic!("aborted with {code}")
    }
}

fn config(algo: &str, shards: usize) -> TrainConfig {
    TrainConfig {
        algo: algo.to_owned(),
        num_envs: 8,
        rollout_steps: 12,
        shards,
        policy: PolicyConfig { hidden: vec![8], ..PolicyConfig::default() },
        critic: CriticConfig { hidden: vec![8], minibatch_size: 32, ..CriticConfig::default() },
        ..TrainConfig::default()
    }
}

/// What `lead` makes of a run that so many processes train, `continued` from there if from anywhere.
fn among<T>(
    processes: usize,
    config: &TrainConfig,
    continued: Option<&State>,
    lead: impl FnOnce(&mut Shards) -> T,
) -> T {
    meet(&hall(processes, false), config, continued, lead)
}

fn hall(processes: usize, on_devices: bool) -> Arc<Hall> {
    let brought = Mutex::new(vec![Vec::new(); processes]);
    Arc::new(Hall { barrier: Barrier::new(processes), brought, on_devices, sums_on_devices: AtomicUsize::new(0) })
}

/// [`among`] the processes of a hall.
fn meet<T>(
    hall: &Arc<Hall>,
    config: &TrainConfig,
    continued: Option<&State>,
    lead: impl FnOnce(&mut Shards) -> T,
) -> T {
    let processes = hall.brought.lock().unwrap().len();
    let visitor = |rank| Arc::new(Visitor { hall: hall.clone(), rank }) as Arc<dyn Processes>;
    thread::scope(|scope| {
        for rank in 1..processes {
            let processes = visitor(rank);
            scope.spawn(move || {
                let asked = || true;
                let device = &Device::flex();
                let code = follow(&Follower { processes: &processes, device, threads: 1, asked, in_pool: false });
                assert_eq!(code.unwrap(), 7);
            });
        }
        let processes = visitor(0);
        let mut shards = Shards::new(config, &Device::flex(), processes.clone()).unwrap();
        if let Some(state) = continued {
            shards.load(state).unwrap();
        }
        shards.lead(config, continued).unwrap();
        let result = lead(&mut shards);
        end(processes.as_ref(), 7).unwrap();
        result
    })
}

/// The state after so many iterations, and whether every one reported finite losses.
fn after(shards: &mut Shards, iterations: usize) -> State {
    for _ in 0..iterations {
        let report = shards.iterate().unwrap();
        assert_eq!(report.first_not_finite(), None);
    }
    let mut state = shards.save().unwrap();
    state.scalars.remove("runner.totals"); // seconds
    state
}

#[test]
fn a_run_of_four_shards_has_the_same_bits_in_one_two_and_four_processes() {
    for algo in ["kfcpo", "ppo-lag"] {
        let config = config(algo, 4);
        let alone = after(&mut Shards::new(&config, &Device::flex(), Arc::new(OneProcess)).unwrap(), 4);
        for processes in [2, 4] {
            let state = among(processes, &config, None, |shards| {
                assert_eq!((shards.local(), shards.processes()), (4 / processes, processes));
                after(shards, 4)
            });
            assert!(state == alone, "{algo} in {processes} processes");
        }
        let other = after(
            &mut Shards::new(&TrainConfig { seed: 1, ..config }, &Device::flex(), Arc::new(OneProcess)).unwrap(),
            4,
        );
        assert!(other.tensors["policy.params"] != alone.tensors["policy.params"]);
    }
}

#[test]
fn sums_on_devices_are_taken_where_every_process_has_one_shard_and_change_no_bit() {
    let config = config("kfcpo", 4);
    let by_hosts = among(4, &config, None, |shards| after(shards, 3));
    for processes in [4, 2] {
        let hall = hall(processes, true);
        assert!(meet(&hall, &config, None, |shards| after(shards, 3)) == by_hosts, "{processes} processes");
        assert_eq!(hall.sums_on_devices.load(Ordering::Relaxed) > 0, processes == 4);
    }
}

#[test]
fn a_run_goes_on_in_another_number_of_processes() {
    let config = config("kfcpo", 4);
    let whole = among(4, &config, None, |shards| after(shards, 5));
    let half = among(4, &config, None, |shards| {
        after(shards, 3);
        shards.save().unwrap()
    });
    for processes in [1, 2] {
        let resumed = among(processes, &config, Some(&half), |shards| after(shards, 2));
        assert!(resumed == whole, "in {processes} processes");
    }
}

#[test]
fn every_algorithm_learns_the_same_in_all_shards() {
    for algorithm in ALGORITHMS {
        let config = config(algorithm.name, 2);
        let mut shards = Shards::new(&config, &Device::flex(), Arc::new(OneProcess)).unwrap();
        let before = shards.first().checksum().unwrap();
        // Every iteration compares the checksums.
        let state = after(&mut shards, 3);
        assert!(shards.first().checksum().unwrap() != before, "{}", algorithm.name);
        assert!(state.part("shard.0.env").unwrap() != state.part("shard.1.env").unwrap(), "{}", algorithm.name);
    }
}

#[test]
fn all_samples_count_as_in_a_run_of_one_shard() {
    let mut shards = Shards::new(&config("kfcpo", 4), &Device::flex(), Arc::new(OneProcess)).unwrap();
    let reports: Vec<IterationReport> = (0..3).map(|_| shards.iterate().unwrap()).collect();
    assert_eq!(reports[2].steps, 3 * 8 * 12);
    let minibatches = |report: &IterationReport| {
        let update = &report.update;
        update.accepted.unwrap() + update.rejected.unwrap() + update.skipped.unwrap()
    };
    let mut alone = Shards::new(&config("kfcpo", 1), &Device::flex(), Arc::new(OneProcess)).unwrap();
    let alone: Vec<IterationReport> = (0..3).map(|_| alone.iterate().unwrap()).collect();
    assert_eq!(minibatches(&reports[2]), minibatches(&alone[2]));
    assert_eq!(
        reports[2].deployed.as_ref().unwrap().steps,
        4 * alone[2].deployed.as_ref().unwrap().steps,
        "one a shard"
    );
    let communication =
        |report: &IterationReport| report.update.metrics.iter().any(|(name, _)| name == "Time/Communication");
    assert!(communication(&reports[2]) && !communication(&alone[2]));
}

#[test]
fn processes_that_have_learned_different_things_end_the_run() {
    let config = config("kfcpo", 2);
    let mut shards = Shards::new(&config, &Device::flex(), Arc::new(OneProcess)).unwrap();
    shards.iterate().unwrap();
    let mut state = shards.runners[1].common_state().unwrap();
    state.tensors.get_mut("critics.params").unwrap().values[5] += 1e-3;
    shards.runners[1].load_common(&state).unwrap();
    let error = shards.iterate().unwrap_err().to_string();
    assert!(error.contains("shard 1 (process 0) and shard 0 have learned different things in iteration 2"), "{error}");
}

#[test]
fn a_request_to_stop_reaches_process_0_and_places_are_told() {
    let asked = among(2, &config("ppo-lag", 2), None, |shards| {
        assert!(!shards.any_asked());
        shards.iterate().unwrap();
        let processes = shards.group.as_ref().unwrap().processes().clone();
        assert_eq!(places(processes.as_ref(), 3).unwrap(), ["3 threads on host0", "1 threads on host1"]);
        shards.any_asked()
    });
    assert!(asked, "the other process was");
}
