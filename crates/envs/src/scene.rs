//! What an environment looks like from above: poses and sizes for pictures, read back from the state.
//!
//! For replays and figures, not for training: reading is a copy from the device.

use crate::navigation::Navigation;
use crate::object::ObjectKind;
use crate::spec::NavigationSpec;
use crate::state::{AGENT_OWN, COS, LANES, SIN, STATIC_FIELDS, X, Y};

/// First of the four numbers (w, x, y, z) of a movable box's orientation, after its position.
const QUATERNION: usize = 3;

/// One environment from above; world frame, origin in the middle of the arena.
#[derive(Clone, Debug, PartialEq)]
pub struct Scene {
    /// Agent position x \[m\].
    pub x: f32,
    /// Agent position y \[m\].
    pub y: f32,
    /// Agent yaw in (-pi, pi\] \[rad\]; the Point looks along its x axis, the Car along -y.
    pub yaw: f32,
    /// The level's objects, group by group in placement order: the same number and order in every scene of an
    /// environment.
    pub objects: Vec<SceneObject>,
    /// Lines not to cross, as distances from the origin: beyond plus and minus `x` costs, and, given, beyond plus and
    /// minus `y` \[m\].
    pub walls: Option<(f32, Option<f32>)>,
}

/// One object of a [`Scene`].
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct SceneObject {
    /// What it is.
    pub kind: ObjectKind,
    /// Position x \[m\].
    pub x: f32,
    /// Position y \[m\].
    pub y: f32,
    /// Yaw of a movable box \[rad\]; 0 of an object that cannot move, which are all round.
    pub yaw: f32,
    /// Radius, or half-width of a box \[m\].
    pub size: f32,
    /// Whether it costs.
    pub constrained: bool,
}

impl Navigation {
    /// How every environment looks now, in environment order; one copy of the state from the device.
    ///
    /// Episodes begin again within the step that ends them, so the last scene of an episode is the one before its last
    /// step.
    pub fn scenes(&self) -> Vec<Scene> {
        let state = self.fields().into_data().try_to_vec::<f32>().expect("the state is float32");
        let block = self.navigation_spec().state_dim() * LANES;
        let lanes = state.chunks_exact(block).flat_map(|block| (0..LANES).map(move |lane| (block, lane)));
        lanes.take(self.batch.num_envs).map(|(block, lane)| scene(self.navigation_spec(), block, lane)).collect()
    }
}

/// The scene of the environment in `lane` of a block of states.
fn scene(spec: &NavigationSpec, block: &[f32], lane: usize) -> Scene {
    let at = |field: usize| block[field * LANES + lane];
    let mut objects = Vec::new();
    let mut first = AGENT_OWN + spec.agent.state_fields();
    for group in spec.groups() {
        let fields = group.kind.fields();
        for object in (first..).step_by(fields).take(group.count) {
            // A state of more numbers than a place is that of a free body.
            let yaw = if fields > STATIC_FIELDS {
                box_yaw(core::array::from_fn(|k| at(object + QUATERNION + k)))
            } else {
                0.0
            };
            objects.push(SceneObject {
                kind: group.kind,
                x: at(object),
                y: at(object + 1),
                yaw,
                size: group.size,
                constrained: group.constrained,
            });
        }
        first += group.count * fields;
    }
    let distance = spec.level.wall_distance;
    let walls = (spec.level.walls > 0).then(|| (distance, (spec.level.walls > 2).then_some(distance)));
    Scene { x: at(X), y: at(Y), yaw: at(SIN).atan2(at(COS)), objects, walls }
}

/// Direction of a box's x axis seen from above \[rad\], from its quaternion (w, x, y, z).
fn box_yaw([w, x, y, z]: [f32; 4]) -> f32 {
    (2.0 * (w * z + x * y)).atan2(1.0 - 2.0 * (y * y + z * z))
}

#[cfg(test)]
mod tests {
    use burn::tensor::{Device, Tensor};

    use super::*;
    use crate::registry::{find, registry};
    use crate::state::YAW;
    use crate::vec_env::VecEnv;

    #[test]
    fn a_box_turned_about_the_vertical_has_that_yaw_and_a_small_tilt_leaves_it() {
        for yaw in [-3.0f32, -1.2, 0.0, 0.4, 2.9] {
            let (w, z) = ((yaw / 2.0).cos(), (yaw / 2.0).sin());
            assert!((box_yaw([w, 0.0, 0.0, z]) - yaw).abs() < 1e-6);
            // Tilted by 0.02 rad about the world's x axis.
            let (c, s) = (0.01f32.cos(), 0.01f32.sin());
            assert!((box_yaw([c * w, s * w, -s * z, c * z]) - yaw).abs() < 5e-4);
        }
    }

    #[test]
    fn every_object_of_every_environment_is_seen_where_the_level_puts_it() {
        for spec in registry() {
            let mut env = Navigation::new(spec.clone(), 33, 5, &Device::flex()).unwrap();
            env.reset(false);
            let scenes = env.scenes();
            assert_eq!(scenes.len(), 33, "{}", spec.env.id);
            let kinds: Vec<ObjectKind> =
                spec.level.groups.iter().flat_map(|g| core::iter::repeat_n(g.kind, g.count)).collect();
            for scene in &scenes {
                assert_eq!(scene.objects.iter().map(|o| o.kind).collect::<Vec<_>>(), kinds, "{}", spec.env.id);
                assert!(scene.x.abs() <= spec.level.half_extent && scene.y.abs() <= spec.level.half_extent);
                assert!(scene.objects.iter().all(|o| o.size > 0.0 && o.yaw.abs() < 3.2), "{}", spec.env.id);
            }
            assert!(scenes[0] != scenes[32], "{}: layouts differ between environments", spec.env.id);
        }
    }

    #[test]
    fn the_agent_is_where_its_state_says() {
        let spec = find("PointGoal2").unwrap();
        let mut env = Navigation::new(spec.clone(), 2, 9, &Device::flex()).unwrap();
        env.reset(false);
        for _ in 0..50 {
            env.step(Tensor::from_floats([[0.04, 0.5], [-0.02, -1.0]], &Device::flex()));
        }
        let state = env.fields().into_data().try_to_vec::<f32>().unwrap();
        for (lane, scene) in env.scenes().iter().enumerate() {
            assert_eq!((scene.x, scene.y), (state[X * LANES + lane], state[Y * LANES + lane]));
            assert!((scene.yaw - state[YAW * LANES + lane]).abs() < 1e-5);
        }
    }
}
