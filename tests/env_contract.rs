//! What every registered environment must keep: shapes, determinism, autoreset, ranges.

use burn::tensor::{Device, Tensor};
use envs::{AgentKind, Navigation, NavigationSpec, ObjectKind, TaskKind, VecEnv, find, registry};
use test_support::numbers::{random_actions, tensor, values};

/// Observation parts of every environment as recorded in the original.
const OBS_KEYS: &str = include_str!("fixtures/obs_keys.txt");

/// Actions that are held for eight steps, so that agents get somewhere.
fn actions(spec: &NavigationSpec, n: usize, step: usize, device: &Device) -> Tensor<2> {
    tensor(&random_actions(step / 8, n * spec.env.action_dim), [n, spec.env.action_dim], device)
}

fn make(spec: &NavigationSpec, n: usize, seed: u64) -> Navigation {
    Navigation::new(spec.clone(), n, seed, &Device::flex()).expect("the CPU backend is always supported")
}

#[test]
fn shapes_are_those_of_the_specification() {
    for spec in registry() {
        for n in [1, 31, 32, 33, 100] {
            let mut env = make(spec, n, 1);
            assert_eq!(env.reset(false).dims(), [n, spec.env.obs_dim], "{}", spec.env.id);
            let batch = env.step(actions(spec, n, 0, &Device::flex()));
            assert_eq!(batch.obs.dims(), [n, spec.env.obs_dim], "{}", spec.env.id);
            assert_eq!(batch.final_obs.dims(), [n, spec.env.obs_dim], "{}", spec.env.id);
            for column in [
                &batch.reward,
                &batch.terminated,
                &batch.truncated,
                &batch.episode_return,
                &batch.episode_length,
                &batch.episode_partial,
            ] {
                assert_eq!(column.dims(), [n], "{}", spec.env.id);
            }
            for rows in [&batch.costs, &batch.episode_costs] {
                assert_eq!(rows.dims(), [spec.env.constraints.len(), n], "{}", spec.env.id);
            }
        }
    }
}

#[test]
fn observations_are_laid_out_as_recorded() {
    let mut seen = 0;
    for line in OBS_KEYS.lines() {
        let (id, keys) = line.split_once(' ').expect("an id and its keys");
        let spec = find(id).expect("a registered id");
        let parts: Vec<String> = spec.obs_parts().iter().map(|(name, size)| format!("{name}:{size}")).collect();
        assert_eq!(parts.join(" "), keys, "{id}");
        seen += 1;
    }
    assert_eq!(seen, registry().len());
}

#[test]
fn no_environments_is_an_error() {
    assert!(Navigation::new(registry()[0].clone(), 0, 1, &Device::flex()).is_err());
}

#[test]
fn the_same_seed_gives_the_same_bits_and_another_does_not() {
    for spec in registry() {
        let run = |seed: u64| {
            let mut env = make(spec, 40, seed);
            let mut trace = values(env.reset(false));
            for t in 0..50 {
                let batch = env.step(actions(spec, 40, t, &Device::flex()));
                trace.extend(values(batch.obs));
                trace.extend(values(batch.reward));
            }
            trace.iter().map(|x| x.to_bits()).collect::<Vec<_>>()
        };
        assert_eq!(run(5), run(5), "{}", spec.env.id);
        assert_ne!(run(5), run(6), "{}", spec.env.id);
    }
}

#[test]
fn an_environment_does_not_depend_on_its_neighbours_or_the_thread_count() {
    for spec in registry() {
        let run = |n: usize, threads: usize| {
            let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().expect("a thread pool");
            pool.install(|| {
                let mut env = make(spec, n, 9);
                env.reset(false);
                let mut trace = Vec::new();
                for t in 0..40 {
                    let batch = env.step(actions(spec, n, t, &Device::flex()));
                    trace.extend(values(batch.obs.slice([0..70, 0..spec.env.obs_dim])));
                }
                trace
            })
        };
        let one = run(200, 1);
        assert!(one == run(200, 3), "{}: the number of threads shows", spec.env.id);
        assert!(one == run(70, 2), "{}: the number of environments shows", spec.env.id);
    }
}

#[test]
fn a_restored_state_continues_bit_for_bit() {
    for spec in registry() {
        let (n, device) = (33, Device::flex());
        let mut env = make(spec, n, 3);
        env.reset(true);
        for t in 0..30 {
            env.step(actions(spec, n, t, &device));
        }
        let saved = env.state().expect("the host holds it");
        let mut twin = make(spec, n, 3);
        twin.load_state(&saved).expect("same kind");
        for t in 30..1100 {
            let (a, b) = (env.step(actions(spec, n, t, &device)), twin.step(actions(spec, n, t, &device)));
            assert_eq!(values(a.obs), values(b.obs), "{} step {t}", spec.env.id);
            assert_eq!(values(a.episode_return), values(b.episode_return), "{} step {t}", spec.env.id);
        }
        assert!(make(spec, n + 64, 3).load_state(&saved).is_err());
    }
}

#[test]
fn episodes_are_truncated_at_exactly_their_limit_and_begin_anew() {
    for spec in registry() {
        let (n, device) = (5, Device::flex());
        let mut env = make(spec, n, 2);
        let first = values(env.reset(false));
        for t in 1..=spec.env.max_episode_steps + 3 {
            let batch = env.step(actions(spec, n, t, &device));
            let (obs, last) = (values(batch.obs), values(batch.final_obs));
            let length = values(batch.episode_length);
            if t == spec.env.max_episode_steps {
                assert_eq!(values(batch.truncated), vec![1.0; n], "{}", spec.env.id);
                assert_eq!(length, vec![t as f32; n]);
                for i in 0..n {
                    let row = i * spec.env.obs_dim..(i + 1) * spec.env.obs_dim;
                    assert_ne!(obs[row.clone()], last[row.clone()], "{}: the new episode's observation", spec.env.id);
                    assert_ne!(obs[row.clone()], first[row], "{}: another layout", spec.env.id);
                }
            } else {
                assert_eq!(values(batch.truncated), vec![0.0; n], "{} step {t}", spec.env.id);
                assert_eq!(obs, last, "{}: final_obs equals obs while the episode goes on", spec.env.id);
                assert_eq!(length, vec![(t % spec.env.max_episode_steps) as f32; n]);
            }
        }
    }
}

/// Bounds on the parts of an observation: by nature, else some twice the largest seen in 1e6 random steps each.
fn bounds_of(agent: AgentKind, part: &str) -> (f32, f32) {
    let both = |limit: f32| (-limit, limit);
    match (part, agent) {
        (_, _) if part.ends_with("_lidar") => (0.0, 1.0),
        // The field's strength, in a rotated frame.
        ("magnetometer", _) => both(0.5 + 1e-4),
        // A rotation matrix.
        ("ballquat_rear", _) => both(1.0 + 1e-4),
        // A blow against a button or pillar.
        ("accelerometer", _) => both(250.0),
        ("velocimeter", _) => both(3.0),
        ("gyro", AgentKind::Point) => both(6.0),
        ("gyro", AgentKind::Car | AgentKind::Racecar) => both(9.0),
        ("ballangvel_rear", _) => both(30.0),
        _ => panic!("{part} has no bounds"),
    }
}

/// Bounds on a reward: reaching a goal gives 1, a step covers a few centimetres.
fn reward_bounds(task: TaskKind) -> (f32, f32) {
    match task {
        TaskKind::Goal | TaskKind::Button => (-0.05, 1.05),
        // Agent and box both move.
        TaskKind::Push => (-0.17, 1.1),
        // A tenth of the speed.
        TaskKind::Circle => (-0.16, 0.16),
        // Sixty a metre, and at most 6 cm a step.
        TaskKind::Run => (-3.6, 3.6),
    }
}

/// Takes `steps` random steps in each of `n` environments and checks every number.
fn wander(spec: &NavigationSpec, n: usize, steps: usize) {
    let mut env = make(spec, n, 11);
    env.reset(true);
    let parts: Vec<(&str, (f32, f32))> = spec
        .obs_parts()
        .into_iter()
        .flat_map(|(name, size)| std::iter::repeat_n((name, bounds_of(spec.agent, name)), size))
        .collect();
    let (low, high) = reward_bounds(spec.level.task);
    let (mut touches, mut cost_sum, mut run_return, mut run_cost) = (0.0, 0.0, vec![0.0f64; n], vec![0.0f32; n]);
    for t in 0..steps {
        let batch = env.step(actions(spec, n, t, &Device::flex()));
        for obs in [values(batch.obs), values(batch.final_obs)] {
            for (x, (part, (low, high))) in obs.iter().zip(parts.iter().cycle()) {
                // A NaN is within nothing.
                assert!((*low..=*high).contains(x), "{} step {t} {part}: {x}", spec.env.id);
            }
        }
        touches += values(env.touching()).iter().sum::<f32>();
        let (reward, cost) = (values(batch.reward), values(batch.costs));
        let done: Vec<f32> = values(batch.terminated + batch.truncated);
        let (total, total_cost) = (values(batch.episode_return), values(batch.episode_costs));
        for i in 0..n {
            assert!((low..=high).contains(&reward[i]), "{} step {t}: reward {}", spec.env.id, reward[i]);
            assert!(cost[i] == 0.0 || cost[i] == 1.0);
            run_return[i] += f64::from(reward[i]);
            run_cost[i] += cost[i];
            assert!((run_return[i] - f64::from(total[i])).abs() < 1e-3, "{} step {t}", spec.env.id);
            assert_eq!(run_cost[i], total_cost[i]);
            cost_sum += cost[i];
            if done[i] > 0.0 {
                (run_return[i], run_cost[i]) = (0.0, 0.0);
            }
        }
    }
    let obstacles = spec.groups().iter().any(|group| group.kind.is_free() || group.kind.is_solid());
    assert_eq!(touches > 0.0, obstacles, "{}: {touches} steps in touch", spec.env.id);
    let constrained = spec.level.walls > 0 || spec.level.groups.iter().any(|group| group.constrained);
    assert_eq!(cost_sum > 0.0, constrained, "{}: costs {cost_sum}", spec.env.id);
}

#[test]
fn rewards_costs_and_observations_stay_in_range() {
    // Over a million random steps an agent.
    for spec in registry() {
        wander(spec, 64, 1500);
    }
}

#[test]
#[ignore = "minutes"]
fn a_million_random_steps_in_every_environment_stay_in_range() {
    for spec in registry() {
        wander(spec, 512, 1954);
    }
}

#[test]
fn fresh_layouts_keep_clearances() {
    for spec in registry() {
        let mut env = make(spec, 256, 21);
        env.reset(false);
        let groups = spec.groups();
        for scene in env.scenes() {
            let keepouts = groups.iter().flat_map(|group| std::iter::repeat_n(group.keepout, group.count));
            let mut placed = vec![(scene.x, scene.y, spec.level.agent_keepout, spec.level.agent_extent)];
            if let Some([from, to]) = spec.level.agent_area {
                let inside = (from[0]..=to[0]).contains(&scene.x) && (from[1]..=to[1]).contains(&scene.y);
                assert!(inside, "{}: {} {} lies outside", spec.env.id, scene.x, scene.y);
            }
            for (object, keepout) in scene.objects.iter().zip(keepouts) {
                let on_a_button = spec.level.task == TaskKind::Button && object.kind == ObjectKind::Goal;
                if !on_a_button && object.kind != ObjectKind::Circle {
                    placed.push((object.x, object.y, keepout, spec.level.half_extent));
                }
            }
            for (i, (x, y, keepout, extent)) in placed.iter().enumerate() {
                assert!(x.abs().max(y.abs()) <= extent - keepout + 1e-5, "{}: {x} {y} lies outside", spec.env.id);
                for (other_x, other_y, other, _) in &placed[..i] {
                    let gap = (x - other_x).hypot(y - other_y);
                    assert!(gap >= keepout + other - 1e-5, "{}: {gap} m between two things", spec.env.id);
                }
            }
        }
    }
}

#[test]
fn staggered_episodes_are_flagged_once_and_end_at_different_times() {
    for spec in registry() {
        let (n, device, limit) = (64, Device::flex(), spec.env.max_episode_steps);
        let mut env = make(spec, n, 4);
        env.reset(true);
        let (mut ends, mut partial_ends) = (vec![0usize; n], vec![0usize; n]);
        for t in 0..limit {
            let batch = env.step(actions(spec, n, t, &device));
            let (truncated, partial) = (values(batch.truncated), values(batch.episode_partial));
            for i in 0..n {
                if truncated[i] > 0.0 {
                    assert_eq!(partial[i], 1.0, "{}", spec.env.id);
                    ends[i] = t;
                    partial_ends[i] += 1;
                } else {
                    assert_eq!(partial[i] == 1.0, partial_ends[i] == 0, "{}: the next episode is whole", spec.env.id);
                }
            }
        }
        assert_eq!(partial_ends, vec![1; n], "{}", spec.env.id);
        let mean = ends.iter().sum::<usize>() as f64 / n as f64;
        // Four standard errors of the mean of 64 uniform numbers.
        assert!((mean / limit as f64 - 0.5).abs() < 0.15, "{}: ends spread uniformly, mean {mean}", spec.env.id);
    }
}
