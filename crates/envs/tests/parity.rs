//! Teacher-forced agreement with recordings of the original (windows cut by `tests/parity/make_fixtures.py`).

use envs::{ErrorSpread, ParityReport, Recording, replay};

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
        "goal_pos" => recording.goal_pos = wide(),
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

/// Asserts an upper bound on an error that was scored.
fn within(report: &ParityReport, name: &str, error: f64, bound: f64) {
    assert!(error <= bound, "{}: {name} {error:e} > {bound:e}", report.file);
}

#[test]
fn contact_free_steps_agree_to_float32() {
    let mut steps = 0;
    for report in reports() {
        let free = &report.free;
        if free.scored == 0 {
            continue;
        }
        steps += free.scored;
        within(&report, "pos", free.pos.max, 2e-6);
        within(&report, "yaw", free.yaw.max, 1e-4);
        within(&report, "vel", free.vel.p99, 1e-4);
        within(&report, "omega", free.omega.p99, 5e-3);
        within(&report, "lidar", free.lidar.max, 1e-5);
        within(&report, "reward", free.reward.max, 1e-5);
        assert_eq!(free.cost_mismatches, free.cost_mismatches_at_edge, "{}", report.file);
    }
    assert!(steps > 100, "{steps} steps scored");
}

#[test]
fn the_pooled_errors_meet_the_targets() {
    // Windows are too short for percentiles of their own: take the windows' medians and maxima.
    let reports = reports();
    let medians = |f: fn(&ParityReport) -> ErrorSpread| {
        let mut all: Vec<f64> = reports.iter().map(|r| f(r).p50).filter(|x| !x.is_nan()).collect();
        all.sort_by(f64::total_cmp);
        all[all.len() / 2]
    };
    assert!(medians(|r| r.free.pos) < 1e-7);
    assert!(medians(|r| r.free.vel) < 1e-6);
    assert!(medians(|r| r.free.omega) < 1e-5);
    assert!(medians(|r| r.free.obs) < 1e-4);
}

#[test]
fn contact_steps_agree() {
    let mut steps = 0;
    for report in reports() {
        let contact = &report.contact;
        if contact.scored == 0 {
            continue;
        }
        steps += contact.scored;
        within(&report, "pos", contact.pos.max, 1e-5);
        within(&report, "vel", contact.vel.max, 1e-3);
        within(&report, "omega", contact.omega.max, 1e-2);
        within(&report, "object position", contact.object_pos.max, 1e-4);
        assert_eq!(contact.cost_mismatches, 0, "{}", report.file);
    }
    assert!(steps > 5, "{steps} contact steps scored");
}

#[test]
fn a_shifted_recording_is_found_out() {
    // The comparison itself must be able to fail: a millimetre in the outcome shows as a millimetre.
    let mut window = windows().swap_remove(0);
    let row = window.agent_pos.len() - 3;
    window.agent_pos[row] += 1e-3;
    let report = replay(&window).expect("a complete recording");
    assert!((report.all.pos.max - 1e-3).abs() < 1e-5, "{:?}", report.all.pos);
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
    assert_eq!(value("steps"), 10.0);
}
