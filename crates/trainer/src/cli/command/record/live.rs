//! Environments as they stand now, drawn like the frames of a record: for programs that show them while they step.

use anyhow::{Context, Result};
use envs::{Navigation, VecEnv};

use super::episode::{Episode, Replay, lidars};
use super::picture::Painter;
use crate::config::Constraint;

/// A picture of 8-bit RGB.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Picture {
    /// Pixels from left to right.
    pub width: usize,
    /// Pixels from top to bottom.
    pub height: usize,
    /// `[height, width, 3]`, row-major.
    pub rgb: Vec<u8>,
}

/// What is shown beside the arena.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Account {
    /// Return of the episode so far.
    pub episode_return: f32,
    /// Its cost so far, of all constraints together.
    pub cost: f32,
    /// The limit that the cost is shown against.
    pub cost_limit: f64,
}

/// Draws environment `index`, which observes `obs` `[obs_dim]`, `width` pixels wide.
///
/// # Errors
///
/// When there is no such environment, or no memory holds the picture.
pub fn picture(env: &Navigation, index: usize, obs: &[f32], account: Account, width: u32) -> Result<Picture> {
    let spec = env.navigation_spec();
    let scenes = env.scenes();
    let scene = scenes.get(index).with_context(|| format!("environment {index} of {}", env.num_envs()))?;
    let lidars = lidars(spec);
    let readings = lidars.iter().flat_map(|lidar| &obs[lidar.first..lidar.first + lidar.bins]).copied();
    let moment = Episode::moment(scene, readings, account.episode_return, account.cost);
    let replay = Replay {
        env: spec.env.id.clone(),
        agent: spec.agent.name(),
        algo: String::new(),
        checkpoint: 0,
        seed: 0,
        deterministic: true,
        constraints: vec![Constraint { name: "cost".to_owned(), limit: account.cost_limit }],
        step_seconds: spec.agent.step_seconds(),
        half_extent: spec.level.half_extent,
        lidar_range: spec.level.lidar_range,
        lidars,
        episodes: Vec::new(),
    };
    let painter = Painter::new(&replay, &moment, width);
    let rgb = painter.draw(0, 0)?.pixels().flat_map(|color| color.0).collect();
    Ok(Picture { width: width as usize, height: painter.height() as usize, rgb })
}

#[cfg(test)]
mod tests {
    use super::*;
    use burn::tensor::Device;
    use compute::read;

    #[test]
    fn an_environment_is_drawn_while_it_runs() {
        let mut env = Navigation::new(envs::find("PointGoal1").unwrap(), 2, 0, &Device::flex()).unwrap();
        let obs = read("obs", env.reset(false)).unwrap();
        let account = Account { episode_return: 1.0, cost: 2.0, cost_limit: 25.0 };
        let row = |i: usize| &obs[i * env.spec().obs_dim..(i + 1) * env.spec().obs_dim];
        let [one, other] = [0, 1].map(|i| picture(&env, i, row(i), account, 200).unwrap());
        assert_eq!((one.width, one.rgb.len()), (200, 3 * one.width * one.height));
        assert!(one != other && one.rgb.iter().any(|value| *value != one.rgb[0]));
        assert!(picture(&env, 2, row(0), account, 200).unwrap_err().to_string().contains("environment 2"));
    }
}
