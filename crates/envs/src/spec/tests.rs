//! Levels of one's own: what is accepted, what is refused and in which words.

use burn::tensor::{Device, Tensor};

use super::*;
use crate::navigation::Navigation;
use crate::registry::{find, registry};
use crate::vec_env::VecEnv;

#[test]
fn a_level_without_room_is_an_error_that_says_so() {
    let mut level = Level::clone(&find("PointGoal1").unwrap().level);
    level.groups[1].keepout = 0.7;
    let message = NavigationSpec::new(AgentKind::Point, level).unwrap_err().to_string();
    assert!(message.contains("`Goal1`") && message.contains("groups[1] (hazard)"), "{message}");
    assert!(message.contains("8 objects do not fit"), "{message}");
}

#[test]
fn the_levels_of_the_suite_pass_the_trial_of_a_level_of_ones_own() {
    for spec in registry() {
        assert_eq!(&NavigationSpec::new(spec.agent, Level::clone(&spec.level)).unwrap(), spec);
    }
}

#[test]
fn every_environment_comes_back_from_json_bit_for_bit() {
    for spec in registry() {
        let text = serde_json::to_string_pretty(spec).unwrap();
        let read: NavigationSpec = serde_json::from_str(&text).unwrap();
        assert_eq!(&read, spec);
        let bits: Vec<u32> = spec.params(7).into_iter().map(f32::to_bits).collect();
        assert_eq!(read.params(7).into_iter().map(f32::to_bits).collect::<Vec<_>>(), bits, "{}", spec.env.id);
        let trace = |spec: &NavigationSpec| {
            let device = Device::flex();
            let mut env = Navigation::new(spec.clone(), 33, 4, &device).unwrap();
            env.reset(true);
            let action = Tensor::<2>::full([33, spec.env.action_dim], 0.7, &device);
            let steps: Vec<f32> = (0..30)
                .flat_map(|_| {
                    let batch = env.step(action.clone());
                    [batch.obs.reshape([-1]), batch.costs.reshape([-1]), batch.reward]
                        .map(|x| x.into_data().try_to_vec().unwrap())
                })
                .flatten()
                .collect();
            steps.into_iter().map(f32::to_bits).collect::<Vec<u32>>()
        };
        assert_eq!(trace(&read), trace(spec), "{}", spec.env.id);
    }
}

#[test]
fn json_that_is_no_level_is_refused_by_name() {
    let json = |change: &dyn Fn(&mut serde_json::Value)| {
        let mut value = serde_json::to_value(find("CarGoal1").unwrap()).unwrap();
        change(&mut value);
        serde_json::from_value::<NavigationSpec>(value).unwrap_err().to_string()
    };
    let message = json(&|value| value["level"]["grops"] = 1.into());
    assert!(message.contains("grops"), "{message}");
    let message = json(&|value| value["level"]["groups"][1]["kind"] = "lava".into());
    assert!(message.contains("lava") && message.contains("hazard"), "{message}");
    let message = json(&|value| value["agent"] = "Doggo".into());
    assert!(message.contains("Doggo") && message.contains("Point"), "{message}");
    let message = json(&|value| value["level"]["groups"][2]["count"] = 12.into());
    assert!(message.contains("groups[2] (vase)") && message.contains("from 1 to 10"), "{message}");
}
