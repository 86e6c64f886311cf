//! Episodes in environments that cannot be drawn: their numbers in a table and their curves, on a page.

use std::fmt::Write;

use anyhow::Result;
use envs::VecEnv;

use crate::cli::plot::{Curve, Figure, Panel, Point, Scale};
use crate::config::{Actions, Constraint};
use crate::evaluate::Evaluator;
use crate::policy::exported::{PolicySnapshot, host};

/// Parts of observations and actions that get a curve: more could not be told apart.
const MOST_CURVES: usize = 12;
/// What the page looks like.
const STYLE: &str = "body { font: 15px/1.5 system-ui, sans-serif; margin: 2em auto; max-width: 1400px; padding: 0 1em; } \
                     table { border-collapse: collapse; } th, td { padding: 0.2em 1em; text-align: right; } \
                     th { border-bottom: 1px solid; } svg { width: 420px; }";

/// One episode, step after step.
#[derive(Debug, Clone, Default, PartialEq)]
struct Course {
    /// Return until each step, that one included.
    returns: Vec<f64>,
    /// Costs until then, by constraint.
    costs: Vec<Vec<f64>>,
    /// What was observed before the step.
    obs: Vec<Vec<f64>>,
    /// The action, before the environment bounded it.
    actions: Vec<Vec<f64>>,
}

/// Plays one episode in every environment and returns a page of its own: a table of returns, costs and lengths, and per episode the
/// curves of return, costs, actions and observations.
///
/// # Errors
/// When policy and environments do not fit, or the device cannot be read.
pub fn page(
    policy: &PolicySnapshot,
    env: Box<dyn VecEnv>,
    constraints: &[Constraint],
    seed: u64,
    actions: Actions,
) -> Result<String> {
    let name = escaped(&env.spec().id);
    let courses = courses(&mut Evaluator::new(policy, env, seed, actions)?, constraints.len())?;
    let mut page = format!(
        "<!DOCTYPE html>\n<html lang=\"en\"><head><meta charset=\"utf-8\"><title>{name}</title><style>{STYLE}</style></head>\n\
         <body><h1>{name}</h1>\n<p>{actions} actions, seed {seed}</p>\n{}",
        table(&courses, constraints)
    );
    for (number, course) in courses.iter().enumerate() {
        page.push_str("<div>\n");
        figures(number, course, constraints).iter().for_each(|figure| page.push_str(&figure.to_svg()));
        page.push_str("</div>\n");
    }
    page.push_str("</body></html>\n");
    Ok(page)
}

fn courses(play: &mut Evaluator, constraints: usize) -> Result<Vec<Course>> {
    let all = play.env().num_envs();
    let mut courses = vec![Course { costs: vec![Vec::new(); constraints], ..Course::default() }; all];
    let mut running = vec![true; all];
    while running.contains(&true) {
        let obs = host(play.obs())?;
        let (batch, taken) = play.advance_with_actions();
        let (returns, costs) = (host(&batch.episode_return)?, host(&batch.episode_costs)?); // costs row after row
        let (taken, done) = (host(&taken)?, host(&(batch.terminated + batch.truncated))?);
        for (i, course) in courses.iter_mut().enumerate().filter(|(i, _)| running[*i]) {
            let row = |values: &[f32]| -> Vec<f64> {
                values.chunks_exact(values.len() / all).nth(i).into_iter().flatten().map(|v| f64::from(*v)).collect()
            };
            course.obs.push(row(&obs));
            course.actions.push(row(&taken));
            course.returns.push(returns[i].into());
            for (until, cost) in course.costs.iter_mut().zip(costs.iter().skip(i).step_by(all)) {
                until.push((*cost).into());
            }
        }
        running.iter_mut().zip(done).for_each(|(running, done)| *running &= done == 0.0);
    }
    Ok(courses)
}

fn table(courses: &[Course], constraints: &[Constraint]) -> String {
    let mut rows = String::from("<table><tr><th>episode</th><th>return</th>");
    for Constraint { name, limit } in constraints {
        let _ = write!(rows, "<th>{} (limit {limit})</th>", escaped(name));
    }
    rows.push_str("<th>steps</th></tr>\n");
    let last = |values: &[f64]| values.last().copied().unwrap_or_default();
    for (number, course) in courses.iter().enumerate() {
        let _ = write!(rows, "<tr><td>{number}</td><td>{:.3}</td>", last(&course.returns));
        for costs in &course.costs {
            let _ = write!(rows, "<td>{:.3}</td>", last(costs));
        }
        let _ = writeln!(rows, "<td>{}</td></tr>", course.returns.len());
    }
    rows + "</table>\n"
}

/// Return, each cost, actions, observations.
fn figures(number: usize, course: &Course, constraints: &[Constraint]) -> Vec<Figure> {
    let panel = |label: &str, curves, limit| Panel { label: label.to_owned(), curves, limit };
    let cost = |(Constraint { name, limit }, costs): (&Constraint, &Vec<f64>)| {
        panel(name, vec![curve(name, costs.iter().copied())], Some((*limit, format!("limit {limit}"))))
    };
    let mut panels = vec![panel("return", vec![curve("return", course.returns.iter().copied())], None)];
    panels.extend(constraints.iter().zip(&course.costs).map(cost));
    panels.push(panel("action", parts("action", &course.actions), None));
    panels.push(panel("observation", parts("observation", &course.obs), None));
    let title = format!("episode {number}");
    let figure = |panel| Figure {
        title: title.clone(),
        x_label: "step".to_owned(),
        x_scale: Scale::Linear,
        panels: vec![panel],
    };
    panels.into_iter().map(figure).collect()
}

/// A curve per number of the rows, as far as they can be told apart.
fn parts(name: &str, rows: &[Vec<f64>]) -> Vec<Curve> {
    let width = rows.first().map_or(0, Vec::len).min(MOST_CURVES);
    (0..width).map(|k| curve(&format!("{name} {k}"), rows.iter().map(|row| row[k]))).collect()
}

fn curve(name: &str, values: impl Iterator<Item = f64>) -> Curve {
    let point = |(step, y): (usize, f64)| Point { x: (step + 1) as f64, y, low: y, high: y };
    Curve { name: name.to_owned(), points: values.enumerate().map(point).collect() }
}

/// Text that a page shows as it is.
fn escaped(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;")
}

#[cfg(test)]
mod tests {
    use super::*;
    use burn::tensor::Device;
    use envs::{Batched, Env, EnvSpec, Outcome};
    use kfac::Activation;

    /// Goes where it is told to; an episode has as many steps as its environment has had before, and two.
    struct Walker(f32);

    impl Env for Walker {
        fn spec(&self) -> EnvSpec {
            let (id, constraints) = ("Walk<er>-v0".to_owned(), vec!["way".to_owned()]);
            EnvSpec { id, obs_dim: 1, action_dim: 1, max_episode_steps: 3, constraints }
        }

        fn reset(&mut self, _seed: u64, obs: &mut [f32]) {
            self.0 = 0.5;
            obs[0] = self.0;
        }

        fn step(&mut self, action: &[f32], obs: &mut [f32]) -> Outcome {
            self.0 += action[0];
            obs[0] = self.0;
            Outcome { reward: self.0, costs: [action[0].abs()], terminated: false, truncated: false }
        }

        fn state(&self) -> Vec<f64> {
            vec![self.0.into()]
        }

        fn load_state(&mut self, state: &[f64]) {
            self.0 = state[0] as f32;
        }
    }

    /// Acts by twice what it sees, which is beyond the bounds.
    fn policy() -> PolicySnapshot {
        PolicySnapshot {
            env: "Walk<er>-v0".to_owned(),
            activation: Activation::Relu,
            sizes: vec![1, 1, 1],
            theta: vec![2.0, 0.0, 1.0, 0.0],
            log_std: vec![-0.5],
            obs_mean: vec![0.0],
            obs_std: vec![1.0],
            obs_count: 1.0,
            obs_clip: 5.0,
            std_floor: 0.01,
            deployed_actions: Actions::Mean,
        }
    }

    #[test]
    fn an_episode_is_told_in_numbers_and_curves() {
        let env = Batched::new(2, 0, &Device::flex(), |_| Walker(0.0)).unwrap();
        let mut play = Evaluator::new(&policy(), Box::new(env), 0, Actions::Mean).unwrap();
        let all = courses(&mut play, 1).unwrap();
        assert_eq!(all[0], all[1]);
        assert_eq!(all[0].obs, [[0.5], [1.5], [2.5]]);
        assert_eq!(all[0].actions, [[1.0], [3.0], [5.0]]);
        assert_eq!((&all[0].returns[..], &all[0].costs[0][..]), (&[1.5, 4.0, 7.5][..], &[1.0, 2.0, 3.0][..]));

        let env = Batched::new(2, 0, &Device::flex(), |_| Walker(0.0)).unwrap();
        let limits = [Constraint { name: "way".to_owned(), limit: 2.5 }];
        let page = page(&policy(), Box::new(env), &limits, 0, Actions::Mean).unwrap();
        assert_eq!(page.matches("<svg").count(), 2 * 4);
        assert!(page.contains("<h1>Walk&lt;er&gt;-v0</h1>") && page.contains("<td>7.500</td><td>3.000</td><td>3</td>"));
        assert!(page.contains("limit 2.5") && page.contains("observation 0") && !page.contains("NaN"));
    }
}
