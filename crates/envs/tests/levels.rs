//! What a level says beyond its objects: fixed layouts, and what ends an episode.

use burn::tensor::{Device, Tensor};
use envs::{
    AgentKind, CostKind, CostSum, Layout, Level, Navigation, NavigationSpec, Purpose, Scene, StepBatch, VecEnv, find,
};
use serde_json::{Value, json};

fn level(name: &str) -> Level {
    Level::clone(&find(&format!("Point{name}")).unwrap().level)
}

fn layouts(layouts: Value) -> Vec<Layout> {
    serde_json::from_value(layouts).unwrap()
}

fn begun(agent: AgentKind, level: Level, num_envs: usize, seed: u64) -> Navigation {
    let spec = NavigationSpec::new(agent, level).unwrap();
    let mut env = Navigation::new(spec, num_envs, seed, &Device::flex()).unwrap();
    env.reset(false);
    env
}

fn values(tensor: Tensor<1>) -> Vec<f32> {
    tensor.into_data().try_to_vec().unwrap()
}

fn stand_still(env: &mut Navigation) -> StepBatch {
    let shape = [env.num_envs(), env.spec().action_dim];
    env.step(Tensor::zeros(shape, &Device::flex()))
}

/// Everything of a scene, to the rounding of a quaternion.
fn assert_alike(one: &Scene, other: &Scene, what: &str) {
    assert_eq!((one.x, one.y), (other.x, other.y), "{what}");
    assert!((one.yaw - other.yaw).abs() < 1e-6, "{what}");
    for (a, b) in one.objects.iter().zip(&other.objects) {
        assert_eq!((a.kind, a.x, a.y), (b.kind, b.x, b.y), "{what}");
        let turn = (a.yaw - b.yaw).rem_euclid(std::f32::consts::TAU);
        assert!(turn.min(std::f32::consts::TAU - turn) < 1e-5, "{what}: {} {}", a.yaw, b.yaw);
    }
}

#[test]
fn a_placed_layout_is_where_it_says_in_every_episode() {
    let mut own = level("Goal1");
    own.groups[1].count = 2;
    own.layouts = layouts(json!([{
        "agent": [0.0, -1.0, 1.5],
        "objects": {"goal": [[1.0, 1.0]], "hazard": [[0.0, 0.5], [-0.5, 0.5]], "vase": [[0.5, -0.5, 0.25]]}
    }]));
    let env = begun(AgentKind::Point, own, 33, 5);
    for scene in env.scenes() {
        assert!((scene.x, scene.y) == (0.0, -1.0) && (scene.yaw - 1.5).abs() < 1e-6);
        let places: Vec<(f32, f32)> = scene.objects.iter().map(|object| (object.x, object.y)).collect();
        assert_eq!(places, [(1.0, 1.0), (0.0, 0.5), (-0.5, 0.5), (0.5, -0.5)]);
        assert!((scene.objects[3].yaw - 0.25).abs() < 1e-5);
    }
}

#[test]
fn a_numbered_layout_is_the_one_that_an_evaluation_of_the_seed_begins_with() {
    for agent in [AgentKind::Point, AgentKind::Car] {
        for name in ["Goal2", "Button2", "Push2", "Circle1"] {
            let met = begun(agent, level(name), 40, Purpose::Evaluating.seed(1_000_000)).scenes();
            let mut own = level(name);
            own.layouts = layouts(json!([{"seed": 1_000_000, "number": 37}]));
            let scenes = begun(agent, own, 3, 9).scenes();
            scenes.iter().for_each(|scene| assert_alike(scene, &met[37], name));
        }
    }
}

#[test]
fn every_layout_of_a_list_is_drawn() {
    let mut own = level("Goal0");
    own.layouts = layouts(json!([
        {"agent": [0.0, 0.0], "objects": {"goal": [[1.0, 1.0]]}},
        {"agent": [0.5, 0.5], "objects": {"goal": [[-1.0, 1.0]]}},
    ]));
    let scenes = begun(AgentKind::Car, own, 64, 2).scenes();
    let first = scenes.iter().filter(|scene| scene.x == 0.0 && scene.objects[0].x == 1.0).count();
    let second = scenes.iter().filter(|scene| scene.x == 0.5 && scene.objects[0].x == -1.0).count();
    assert!(first + second == 64 && first > 16 && second > 16, "{first} {second}");
    assert!(scenes.windows(2).any(|pair| pair[0].yaw != pair[1].yaw), "yaws that are not given are drawn");
}

#[test]
fn a_reached_goal_ends_the_episode_where_the_level_says_so() {
    let at_the_goal = json!([{"agent": [0.0, 0.0], "objects": {"goal": [[0.1, 0.0]]}}]);
    for ends in [false, true] {
        let own = Level { continue_goal: !ends, layouts: layouts(at_the_goal.clone()), ..level("Goal0") };
        let mut env = begun(AgentKind::Point, own, 4, 0);
        let batch = stand_still(&mut env);
        assert!(values(batch.reward).iter().all(|reward| *reward > 0.9));
        assert_eq!(values(batch.terminated), [if ends { 1.0 } else { 0.0 }; 4]);
        // A goal that was reached has moved; after the end of an episode it is back in its place.
        assert_eq!(env.scenes().iter().all(|scene| scene.objects[0].x == 0.1), ends);
    }
}

#[test]
fn an_episode_ends_when_its_cost_reaches_the_bound() {
    let mut own = level("Goal1");
    own.groups[1].count = 1;
    own.terminate_at_cost = Some(3.0);
    own.layouts = layouts(json!([{
        "agent": [0.0, 0.0],
        "objects": {"goal": [[1.0, 1.0]], "hazard": [[0.0, 0.0]], "vase": [[-1.0, -1.0]]}
    }]));
    let mut env = begun(AgentKind::Point, own, 2, 0);
    for step in 1..=7 {
        let batch = stand_still(&mut env);
        let over = step % 3 == 0;
        assert_eq!(values(batch.terminated), [if over { 1.0 } else { 0.0 }; 2], "step {step}");
        assert_eq!(values(batch.episode_costs.reshape([-1])), [((step - 1) % 3 + 1) as f32; 2]);
    }
}

#[test]
fn constraints_are_sums_of_kinds_by_the_rule_of_the_level() {
    let sum =
        |name: &str, kinds: &[CostKind]| CostSum { name: name.to_owned(), kinds: kinds.iter().copied().collect() };
    // In a hazard and beyond the right wall.
    let layout = json!([{"agent": [1.3, 0.0], "objects": {"goal": [[0.0, 1.0]], "hazard": [[1.3, 0.0]], "vase": [[-1.0, -1.0]]}}]);
    for (rule, expected) in [
        (json!("indicator"), [1.0, 1.0, 1.0]),
        (json!("sum"), [1.0, 1.0, 2.0]),
        (json!({"hazards": 1, "walls": 0.25}), [1.0, 0.25, 1.25]),
    ] {
        let mut own = Level { walls: 2, layouts: layouts(layout.clone()), ..level("Goal1") };
        own.groups[1].count = 1;
        own.cost = serde_json::from_value(rule).unwrap();
        let both = [CostKind::Hazards, CostKind::Walls];
        own.constraints = vec![sum("hazards", &both[..1]), sum("walls", &both[1..]), sum("both", &both)];
        own.terminate_at_cost = Some(5.0);
        let mut env = begun(AgentKind::Point, own, 3, 0);
        assert_eq!(env.spec().constraints, ["hazards", "walls", "both"]);
        let steps_to_end = (5.0f32 / expected.iter().sum::<f32>()).ceil() as usize;
        for step in 1..=2 * steps_to_end {
            let batch = stand_still(&mut env);
            assert_eq!(batch.costs.dims(), [3, 3]);
            let each: Vec<f32> = expected.iter().flat_map(|cost| [*cost; 3]).collect();
            assert_eq!(values(batch.costs.reshape([-1])), each);
            let age = (step - 1) % steps_to_end + 1;
            let sums: Vec<f32> = each.iter().map(|cost| cost * age as f32).collect();
            assert_eq!(values(batch.episode_costs.reshape([-1])), sums);
            assert_eq!(
                values(batch.terminated),
                [if age == steps_to_end { 1.0 } else { 0.0 }; 3],
                "the sum of all ends it"
            );
            let bits = (CostKind::Hazards.bit() | CostKind::Walls.bit()) as f32;
            assert_eq!(values(batch.kinds.unwrap()), [bits; 3]);
        }
    }
}

#[test]
fn kinds_are_told_apart_without_a_change_to_the_environment() {
    for id in ["PointGoal2", "CarButton2", "PointPush2"] {
        let spec = find(id).unwrap();
        let mut split = Level::clone(&spec.level);
        split.constraints = (split.cost_kinds().into_iter())
            .map(|kind| CostSum { name: kind.name().to_owned(), kinds: [kind].into() })
            .collect();
        let mut plain = begun(spec.agent, Level::clone(&spec.level), 64, 3);
        let mut apart = begun(spec.agent, split, 64, 3);
        let kinds = spec.cost_kinds();
        assert_eq!(apart.spec().constraints, kinds.iter().map(|kind| kind.name()).collect::<Vec<_>>());
        let mut met = vec![0; kinds.len()];
        for step in 0..400 {
            // Mostly ahead, now and then to the side.
            let turn = |env: usize| if (env + step / 50).is_multiple_of(3) { -0.3 } else { 0.04 };
            let action: Vec<f32> = (0..64).flat_map(|env| [0.05, turn(env)]).collect();
            let action = || Tensor::<1>::from_floats(action.as_slice(), &Device::flex()).reshape([64, 2]);
            let (one, other) = (plain.step(action()), apart.step(action()));
            assert_eq!(values(one.obs.reshape([-1])), values(other.obs.reshape([-1])), "{id}");
            let (cost, costs) = (values(one.costs.reshape([-1])), values(other.costs.reshape([-1])));
            let bits = values(one.kinds.unwrap());
            for env in 0..64 {
                let broken = |k: usize| bits[env] as u32 & kinds[k].bit() != 0;
                for k in 0..kinds.len() {
                    assert_eq!(costs[k * 64 + env] == 1.0, broken(k), "{id} {}", kinds[k].name());
                    met[k] += usize::from(broken(k));
                }
                assert_eq!(cost[env] == 1.0, (0..kinds.len()).any(broken), "{id}");
            }
        }
        assert!(met.iter().all(|count| *count > 0), "{id}: {met:?}");
    }
}

#[test]
fn layouts_that_cannot_be_are_refused_with_what_is_in_the_way() {
    let refused = |name: &str, layout: Value| {
        let own = Level { layouts: layouts(json!([layout])), ..level(name) };
        NavigationSpec::new(AgentKind::Point, own).unwrap_err().to_string()
    };
    let message = refused("Goal0", json!({"agent": [0, 0], "objects": {}}));
    assert!(message.contains("layouts[0]") && message.contains("`objects.goal`: 0 places for 1"), "{message}");
    let message = refused("Goal0", json!({"agent": [0, 0], "objects": {"goal": [[0, 1]], "vase": [[1, 1]]}}));
    assert!(message.contains("`objects.vase`: the level has no such group"), "{message}");
    let message = refused("Push0", json!({"agent": [0, 0], "objects": {"goal": [[0, 1]], "push_box": [[0.3, 0]]}}));
    assert!(message.contains("push_box[0] stands in agent"), "{message}");
    let message = refused("Goal0", json!({"agent": [0, 99], "objects": {"goal": [[0, 1]]}}));
    assert!(message.contains("within 10 m"), "{message}");
    let message = refused("Goal0", json!({"agent": [0, 0], "target": 1, "objects": {"goal": [[0, 1]]}}));
    assert!(message.contains("`target` = 1"), "{message}");
    for wrong in [json!({"seed": 1}), json!({"agent": [0, 0], "number": 3}), json!({"agent": [0]}), json!({})] {
        assert!(serde_json::from_value::<Layout>(wrong).is_err());
    }
    let buttons = json!({"agent": [0, 0], "target": 2, "objects": {"button": [[1, 1], [-1, 1], [1, -1], [-1, -1]]}});
    let own = Level { layouts: layouts(json!([buttons])), ..level("Button0") };
    let scenes = begun(AgentKind::Point, own, 8, 0).scenes();
    assert!(scenes.iter().all(|scene| (scene.objects[4].x, scene.objects[4].y) == (1.0, -1.0)));
}
