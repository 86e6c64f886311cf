//! Whole episodes of a policy in our simulator, and what the fixture says of them.

use burn::tensor::{Device, Tensor};
use envs::{Navigation, NavigationSpec, ObjectKind, Scene, TaskKind, VecEnv};
use test_support::numbers::values;

use crate::policies::{Uniform, act};

/// Series over episodes: scalars by the fixture's names, and mean observations.
pub struct Episodes {
    /// Name and one number an episode.
    pub scalars: Vec<(String, Vec<f64>)>,
    /// `[obs_dim]` series of the episodes' mean observations.
    pub obs: Vec<Vec<f64>>,
}

/// Sums over the steps of one episode.
#[derive(Clone, Default)]
struct Account {
    total: f64,
    cost: f64,
    goals: f64,
    length: f64,
    touching: f64,
    in_hazard: f64,
    outside: f64,
    speed: f64,
    turn_rate: f64,
    box_path: f64,
    obs: Vec<f64>,
}

/// Mean distance of the objects of a kind between two scenes \[m\]; None where there are none.
fn moved(kind: ObjectKind, from: &Scene, to: &Scene) -> Option<f64> {
    let pairs = from.objects.iter().zip(&to.objects).filter(|(object, _)| object.kind == kind);
    let gaps: Vec<f64> = pairs.map(|(a, b)| f64::from((a.x - b.x).hypot(a.y - b.y))).collect();
    (!gaps.is_empty()).then(|| gaps.iter().sum::<f64>() / gaps.len() as f64)
}

fn in_hazard(scene: &Scene) -> bool {
    let mut hazards = scene.objects.iter().filter(|object| object.kind == ObjectKind::Hazard);
    hazards.any(|hazard| (hazard.x - scene.x).hypot(hazard.y - scene.y) < hazard.size)
}

fn outside(scene: &Scene) -> bool {
    scene.walls.is_some_and(|(x, y)| scene.x.abs() > x || y.is_some_and(|y| scene.y.abs() > y))
}

/// Plays one episode of `policy` in each of `n` environments.
///
/// Contact, hazards and places are seen between steps. A step that ends an episode begins the next one at once, so
/// its own are not seen: those shares are of one step fewer.
pub fn play(spec: &NavigationSpec, policy: &str, n: usize) -> Episodes {
    let (dim, device) = (spec.env.obs_dim, Device::flex());
    let mut env = Navigation::new(spec.clone(), n, 99, &device).expect("the CPU backend is always supported");
    let mut obs = values(env.reset(false));
    let start = env.scenes();
    let mut last = start.clone();
    let mut uniform = Uniform(7);
    let mut accounts = vec![Account { obs: vec![0.0; dim], ..Account::default() }; n];
    let see = |accounts: &mut [Account], obs: &[f32]| {
        for (account, o) in accounts.iter_mut().zip(obs.chunks_exact(dim)) {
            account.speed += f64::from(o[3]).hypot(f64::from(o[4]));
            account.turn_rate += f64::from(o[8].abs());
            account.obs.iter_mut().zip(o).for_each(|(sum, x)| *sum += f64::from(*x));
        }
    };
    see(&mut accounts, &obs);
    for t in 1..=spec.env.max_episode_steps {
        let action: Vec<f32> = obs.chunks_exact(dim).flat_map(|o| act(policy, spec, o, &mut uniform)).collect();
        let batch = env.step(Tensor::<1>::from_floats(action.as_slice(), &device).reshape([n, 2]));
        let (reward, cost, ended) = (values(batch.reward), values(batch.costs), values(batch.terminated));
        for (i, account) in accounts.iter_mut().enumerate() {
            account.total += f64::from(reward[i]);
            account.cost += f64::from(cost[i]);
            // A step moves agent and box a few centimetres, so only a reached goal pays this much; Run has none.
            account.goals += f64::from(u8::from(reward[i] > 0.5 && spec.level.task != TaskKind::Run));
            account.length += 1.0;
            assert!(ended[i] == 0.0, "{}: a goal found no place, which the accounts do not foresee", spec.env.id);
        }
        see(&mut accounts, &values(batch.final_obs));
        obs = values(batch.obs);
        if t < spec.env.max_episode_steps {
            let (scenes, touching) = (env.scenes(), values(env.touching()));
            for (i, account) in accounts.iter_mut().enumerate() {
                account.touching += f64::from(touching[i]);
                account.in_hazard += f64::from(u8::from(in_hazard(&scenes[i])));
                account.outside += f64::from(u8::from(outside(&scenes[i])));
                account.box_path += moved(ObjectKind::PushBox, &last[i], &scenes[i]).unwrap_or(0.0);
            }
            last = scenes;
        }
    }
    summarise(spec, &accounts, &start, &last)
}

fn summarise(spec: &NavigationSpec, accounts: &[Account], start: &[Scene], last: &[Scene]) -> Episodes {
    let (seen, between) = ((spec.env.max_episode_steps + 1) as f64, (spec.env.max_episode_steps - 1) as f64);
    let series = |f: &dyn Fn(&Account) -> f64| accounts.iter().map(f).collect::<Vec<f64>>();
    let mut scalars = vec![
        ("return".to_owned(), series(&|a| a.total)),
        ("cost".to_owned(), series(&|a| a.cost)),
        ("goals".to_owned(), series(&|a| a.goals)),
        ("length".to_owned(), series(&|a| a.length)),
        ("speed".to_owned(), series(&|a| a.speed / seen)),
        ("turn_rate".to_owned(), series(&|a| a.turn_rate / seen)),
        ("contact_share".to_owned(), series(&|a| a.touching / between)),
        ("hazard_share".to_owned(), series(&|a| a.in_hazard / between)),
        ("out_of_boundary_share".to_owned(), series(&|a| a.outside / between)),
        ("push_box_path".to_owned(), series(&|a| a.box_path)),
    ];
    for kind in [ObjectKind::Vase, ObjectKind::PushBox] {
        let gaps: Option<Vec<f64>> = start.iter().zip(last).map(|(from, to)| moved(kind, from, to)).collect();
        scalars.extend(gaps.map(|gaps| (format!("{}_displacement", kind.object_name()), gaps)));
    }
    let obs = (0..spec.env.obs_dim).map(|k| series(&|a| a.obs[k] / seen)).collect();
    Episodes { scalars, obs }
}
