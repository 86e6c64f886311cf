//! Teacher-forced agreement with recordings of the original (windows cut by `tests/parity/make_fixtures.py`).
//!
//! The bounds are three times what was measured, or a float32's worth where that is nothing.

use std::collections::BTreeSet;

use envs::{ParityReport, Recording, SplitErrors, registry, replay};

const WINDOWS: &str = include_str!("../../../tests/fixtures/parity.txt");

fn windows() -> Vec<Recording> {
    let blocks = WINDOWS.split("\n\n").filter(|block| !block.trim().is_empty());
    blocks.map(|block| block.lines().fold(Recording::default(), read_line)).collect()
}

fn read_line(mut recording: Recording, line: &str) -> Recording {
    let (name, text) = line.split_once(' ').unwrap_or((line, ""));
    let wide = || text.split_whitespace().map(|x| x.parse().expect("a number")).collect::<Vec<f64>>();
    let single = || text.split_whitespace().map(|x| x.parse().expect("a number")).collect::<Vec<f32>>();
    let names = || text.split_whitespace().map(|x| x.trim_matches('-').to_owned()).collect::<Vec<_>>();
    match name {
        "file" => recording.file = text.to_owned(),
        "env" => recording.env = text.to_owned(),
        "action" => recording.action = wide(),
        "reward" => recording.reward = wide(),
        "cost" => recording.cost = wide(),
        "obs" => recording.obs = single(),
        "agent_pos" => recording.agent_pos = wide(),
        "agent_yaw" => recording.agent_yaw = wide(),
        "agent_linvel" => recording.agent_linvel = wide(),
        "agent_angvel" => recording.agent_angvel = wide(),
        "qpos" => recording.qpos = wide(),
        "qvel" => recording.qvel = wide(),
        "goal_pos" => recording.goal_pos = wide(),
        "button_timer" => recording.button_timer = wide(),
        "goal_button" => recording.goal_button = wide(),
        "time" => recording.time = wide(),
        "layout_names" => recording.layout_names = names(),
        "layout_xy" => recording.layout_xy = wide(),
        "obj_pos" => recording.obj_pos = wide(),
        "obj_quat" => recording.obj_quat = single(),
        "obj_linvel" => recording.obj_linvel = single(),
        "obj_angvel" => recording.obj_angvel = single(),
        "static_pos" => recording.static_pos = wide(),
        "free_names" => recording.free_names = names(),
        "static_names" => recording.static_names = names(),
        "agent_contact_bodies" => recording.agent_contact_bodies = names(),
        _ => panic!("unknown array {name}"),
    }
    recording
}

fn reports() -> Vec<ParityReport> {
    windows().iter().map(|window| replay(window).expect("a complete recording")).collect()
}

/// Names of the bounds below, and where a report has them.
fn maxima(set: &SplitErrors) -> [(&'static str, f64); 8] {
    [
        ("pos", set.pos.max),
        ("yaw", set.yaw.max),
        ("vel", set.vel.max),
        ("omega", set.omega.max),
        ("lidar", set.lidar.max),
        ("obs", set.obs.max),
        ("reward", set.reward.max),
        ("object", set.object_pos.max),
    ]
}

/// Agent and task of an environment's id, and bounds on the errors of any step in the order of [`maxima`]; SI.
type Bounds = (&'static str, [f64; 8]);

/// Of steps without contact.
const FREE: &[Bounds] = &[
    // Run is 16 m from the origin, where neighbouring float32 numbers are 2e-6 m apart.
    ("PointRun", [2e-6, 1e-5, 5e-5, 2.5e-3, 2e-5, 4e-2, 1.2e-6, 3.5e-6]),
    ("CarRun", [2e-6, 2e-6, 6e-7, 5e-6, 4e-6, 8e-5, 1e-6, 7e-7]),
    ("RacecarRun", [2e-6, 2e-6, 6e-6, 3e-5, 2e-6, 3e-4, 1e-6, 1e-6]),
    ("Point", [3e-7, 1e-5, 5e-5, 2.5e-3, 2e-5, 4e-2, 1.2e-6, 3.5e-6]),
    ("Car", [3.5e-7, 2e-6, 6e-7, 5e-6, 4e-6, 8e-5, 1e-6, 7e-7]),
    // Where a front wheel rubs the bumper MuJoCo's depth is uncertain by 5e-5 m; a contact that closes a stage later shows.
    ("Racecar", [1e-4, 2e-4, 1.6e-2, 4.5e-2, 8e-4, 7.5, 7e-5, 1e-6]),
];

/// Of steps with contact. A grazed corner, or a servo about to saturate, multiplies rounding: the largest error is some
/// hundred times the middle one. `obs` is the accelerometer's, in m/s^2.
const CONTACT: &[Bounds] = &[
    ("PointGoal", [8e-6, 1.2e-4, 1.4e-3, 2.7e-2, 7e-5, 4e-2, 5e-6, 5e-4]),
    ("PointButton", [2.2e-5, 1.8e-4, 1.3e-2, 0.5, 4e-3, 7.0, 2.2e-5, 4e-4]),
    ("PointPush", [2.4e-5, 4e-5, 4e-3, 2.2e-2, 5e-5, 11.0, 1.8e-5, 1e-5]),
    ("CarGoal", [7e-7, 2.1e-6, 2e-5, 4.2e-5, 5e-5, 1.2e-3, 2.3e-7, 1.8e-5]),
    ("CarButton", [1.6e-6, 8e-6, 1.5e-4, 7e-4, 2.4e-5, 1.6e-2, 1.7e-6, 7e-6]),
    ("CarPush", [3e-5, 1e-4, 9e-4, 1.8e-3, 4e-3, 4e-3, 5e-4, 6e-4]),
    ("RacecarGoal", [2e-4, 4.2e-4, 7e-2, 3.3e-2, 1.1e-3, 18.0, 1.8e-4, 1.8e-4]),
    ("RacecarButton", [6e-5, 2.3e-5, 8e-3, 2.1e-2, 2.8e-4, 1.0, 5e-5, 8e-6]),
    ("RacecarPush", [5.4e-5, 1e-4, 1.3e-2, 1.6e-2, 2.4e-3, 4.0, 5e-4, 5e-4]),
];

/// Steps scored, and what exceeds its bound, of the steps that `split` takes out of a report.
fn judge(bounds: &[Bounds], split: fn(&ParityReport) -> &SplitErrors) -> (usize, Vec<String>) {
    let (mut steps, mut problems) = (0, Vec::new());
    for report in reports() {
        let set = split(&report);
        if set.scored == 0 {
            continue;
        }
        steps += set.scored;
        let name = report.env.trim_start_matches("Safety");
        let (_, limits) = bounds.iter().find(|(start, _)| name.starts_with(start)).expect("bounds for every agent");
        for ((what, error), limit) in maxima(set).into_iter().zip(limits) {
            // NaN: nothing of the kind was recorded.
            if error > *limit {
                problems.push(format!("{}: {what} {error:e} > {limit:e}", report.file));
            }
        }
        if set.cost_mismatches > set.cost_mismatches_at_edge || set.contact_mismatches > 0 {
            let (cost, contact) = (set.cost_mismatches, set.contact_mismatches);
            problems.push(format!("{}: {cost} costs and {contact} contacts differ", report.file));
        }
    }
    (steps, problems)
}

#[test]
fn contact_free_steps_agree_to_float32() {
    let (steps, problems) = judge(FREE, |report| &report.free);
    assert!(problems.is_empty(), "{}", problems.join("\n"));
    assert!(steps > 200, "{steps} steps scored");
}

#[test]
fn contact_steps_agree() {
    let (steps, problems) = judge(CONTACT, |report| &report.contact);
    assert!(problems.is_empty(), "{}", problems.join("\n"));
    assert!(steps > 300, "{steps} steps scored");
}

#[test]
fn the_middle_errors_are_float32s() {
    // Windows are too short for percentiles of their own: the middle one of the windows' medians.
    let reports = reports();
    let middle = |agent: &str, f: fn(&ParityReport) -> f64| {
        let ours = reports.iter().filter(|report| report.env.contains(agent));
        let mut all: Vec<f64> = ours.map(f).filter(|x| !x.is_nan()).collect();
        all.sort_by(f64::total_cmp);
        all[all.len() / 2]
    };
    for agent in ["Point", "Car", "Racecar"] {
        let bounds = [
            ("free pos", middle(agent, |r| r.free.pos.p50), 1e-7),
            ("free yaw", middle(agent, |r| r.free.yaw.p50), 1e-6),
            ("free vel", middle(agent, |r| r.free.vel.p50), if agent == "Racecar" { 1.5e-6 } else { 3e-7 }),
            ("free omega", middle(agent, |r| r.free.omega.p50), 3e-6),
            ("free obs", middle(agent, |r| r.free.obs.p50), 6e-5),
            ("contact pos", middle(agent, |r| r.contact.pos.p50), 2e-7),
            ("contact yaw", middle(agent, |r| r.contact.yaw.p50), 1e-6),
            ("contact vel", middle(agent, |r| r.contact.vel.p50), 6e-6),
            ("contact omega", middle(agent, |r| r.contact.omega.p50), 2e-5),
            ("contact object", middle(agent, |r| r.contact.object_pos.p50), 2e-6),
        ];
        for (name, error, bound) in bounds {
            assert!(error < bound, "{agent} {name}: {error:e} > {bound:e}");
        }
    }
}

#[test]
fn every_environment_and_every_obstacle_is_among_the_windows() {
    let windows = windows();
    let envs: BTreeSet<&str> = windows.iter().map(|window| window.env.as_str()).collect();
    assert_eq!(envs, registry().iter().map(|spec| spec.env.id.as_str()).collect::<BTreeSet<_>>());
    for agent in ["Point", "Car", "Racecar"] {
        for kind in ["vase", "button", "gremlin", "pillar", "push_box"] {
            let meets = |window: &&Recording| {
                window.env.contains(agent) && window.agent_contact_bodies.iter().any(|names| names.contains(kind))
            };
            assert!(windows.iter().filter(meets).count() > 1, "{agent} meets a {kind}");
        }
    }
}

#[test]
fn a_shifted_recording_is_found_out() {
    // The comparison itself must be able to fail: a millimetre in the outcome shows as a millimetre.
    for mut window in windows() {
        let row = window.agent_pos.len() - 3;
        window.agent_pos[row] += 1e-3;
        let report = replay(&window).expect("a complete recording");
        assert!((report.all.pos.max - 1e-3).abs() < 5e-5, "{}: {:?}", window.file, report.all.pos);
    }
}

#[test]
fn the_figures_carry_every_name_of_the_command_line() {
    let figures = reports()[0].figures();
    let value = |name: &str| figures.iter().find(|(n, _)| n == name).unwrap_or_else(|| panic!("{name}")).1;
    for name in ["pos_err", "yaw_err", "vel_err", "omega_err", "obs_err"] {
        for suffix in ["p50", "p99", "max", "p50_free", "p99_contact", "max_contact"] {
            value(&format!("{name}_{suffix}"));
        }
    }
    for name in ["lidar_err_p99", "reward_err_max", "object_pos_err_max_contact", "cost_mismatches_free"] {
        value(name);
    }
    assert_eq!(value("steps"), 5.0);
}

#[test]
#[ignore = "prints the largest errors of every window"]
fn print_errors() {
    for report in reports() {
        for (set, name) in [(&report.free, "free"), (&report.contact, "contact")] {
            let errors = maxima(set).map(|(what, error)| format!("{what} {error:.1e}")).join(" ");
            let (cost, contact) = (set.cost_mismatches, set.contact_mismatches);
            println!("{} {name} {} {errors} cost {cost} contact {contact}", report.file, set.scored);
        }
    }
}
