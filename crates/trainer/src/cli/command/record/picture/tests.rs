//! What a frame shows, and where.

use super::super::episode::Lidar;
use super::*;
use crate::config::Constraint;

const WIDTH: u32 = 300;

fn track(kind: &'static str, size: f32, poses: &[Pose]) -> Track {
    Track { kind, size, constrained: false, keys: poses.iter().copied().enumerate().collect() }
}

/// One episode among these objects, the agent where told.
fn replay(agent: &'static str, half_extent: f32, poses: &[Pose], objects: Vec<Track>) -> Replay {
    let steps = poses.len();
    let mut lidar = vec![0.0; 16 * steps];
    lidar[4] = 1.0;
    Replay {
        env: format!("Safety{agent}Test1-v0"),
        agent,
        algo: "kfcpo".into(),
        checkpoint: 0,
        seed: 0,
        deterministic: true,
        constraints: vec![Constraint { name: "cost".into(), limit: 2.0 }],
        step_seconds: 0.02,
        half_extent,
        lidar_range: 3.0,
        lidars: vec![Lidar { kind: "goal", first: 0, bins: 16 }],
        episodes: vec![Episode {
            agent: poses.to_vec(),
            returns: vec![0.0; steps + 1],
            costs: vec![(0..=steps).map(|step| step as f32).collect()],
            kinds: Vec::new(),
            lidar,
            objects,
        }],
    }
}

/// The pixel at `x`, `y` \[m\] of a picture that shows `reach` \[m\] to all sides of the middle.
fn at(canvas: &Canvas, reach: f32, x: f32, y: f32) -> Rgb {
    let scale = WIDTH as f32 / 2.0 / reach;
    let place = |p: f32| (WIDTH as f32 / 2.0 + p * scale) as usize;
    canvas.pixel(place(x), place(-y))
}

fn draw(replay: &Replay, frame: usize) -> Canvas {
    let painter = Painter::new(replay, &replay.episodes[0], WIDTH);
    painter.draw(frame, frame.saturating_sub(1)).expect("a small picture")
}

/// What a shape's inside looks like over `ground`.
fn over(ground: Rgb, ink: Ink) -> Rgb {
    let mut canvas = Canvas::new(3, 3, ground).expect("a small picture");
    canvas.rectangle(ink, [1.5, 1.5], [1.5, 1.5], [1.0, 0.0]);
    canvas.pixel(1, 1)
}

#[test]
fn every_kind_of_object_is_drawn_in_its_colour_where_it_is() {
    let place = |i: usize| [-1.2 + 0.6 * (i % 5) as f32, if i < 5 { 1.0 } else { -1.0 }];
    let kinds = ["vase", "gremlin", "pillar", "button", "push_box"];
    let objects = kinds.iter().enumerate().map(|(i, kind)| {
        let [x, y] = place(i).map(|p| (p * 1e3) as i32);
        track(kind, 0.1, &[[x, y, 500]])
    });
    let flat = [track("goal", 0.1, &[[-1200, -1000, 0]]), track("hazard", 0.1, &[[-600, -1000, 0]])];
    let walls = [track("sigwall", 3.5, &[[1500, 0, 0]]), track("sigwall", 3.5, &[[0, -1500, 0]])];
    let ring = track("circle", 1.4, &[[0, 0, 0]]);
    let all = objects.chain(flat).chain(walls).chain([ring]).collect();
    let replay = replay("Point", 1.5, &[[0, 0, 0]], all);
    let canvas = draw(&replay, 0);
    let reach = 1.5 + MARGIN;
    for (i, kind) in kinds.iter().enumerate() {
        let [x, y] = place(i);
        assert_eq!(at(&canvas, reach, x, y), color(kind), "{kind}");
    }
    assert_eq!(at(&canvas, reach, -1.2, -1.0), over(FLOOR, Ink(color("goal"), 0.4)));
    assert_eq!(at(&canvas, reach, -0.6, -1.0), over(FLOOR, Ink(color("hazard"), 0.3)));
    assert_eq!(at(&canvas, reach, 1.5, 0.8), over(ARENA, Ink(color("sigwall"), 0.75)));
    assert_ne!(at(&canvas, reach, -0.7, -1.5), FLOOR);
    // The ring is 0.04 m thick and hollow.
    let diagonal = 1.4 / 2f32.sqrt();
    assert_eq!(at(&canvas, reach, diagonal, diagonal), over(FLOOR, Ink(color("circle"), 0.9)));
    assert_eq!(at(&canvas, reach, 0.5, 0.5), FLOOR);
    // The column at the box's corner belongs to it.
    assert_ne!(at(&canvas, reach, 1.2 + 0.13 * 0.4, 1.0 + 0.13), FLOOR);
}

#[test]
fn the_agent_looks_where_it_goes_and_the_lidar_turns_with_it() {
    let quarter = 1571;
    for (agent, nose) in [("Point", [0.0, 0.12]), ("Car", [0.12, 0.0]), ("Racecar", [0.0, 0.23])] {
        // Turned to the left by a right angle: the Point's front is now at +y, the Car's, body -y, at +x.
        let replay = replay(agent, 1.0, &[[0, 0, quarter]], vec![]);
        let canvas = draw(&replay, 0);
        let reach = 1.0 + MARGIN;
        assert_eq!(at(&canvas, reach, 0.0, 0.0), BODY, "{agent}");
        assert_eq!(at(&canvas, reach, nose[0], nose[1]), TRIM, "{agent}");
        // Bin 4 begins at a quarter turn from the body's x axis: in the world it points along -x.
        let middle = LIDAR_RADIUS + LIDAR_RING / 2.0;
        let (sin, cos) = (TAU / 2.0 + TAU / 32.0).sin_cos();
        assert_eq!(at(&canvas, reach, middle * cos, middle * sin), over(FLOOR, Ink(color("goal"), 0.9)), "{agent}");
        assert_eq!(at(&canvas, reach, -middle * cos, -middle * sin), FLOOR, "{agent}");
    }
}

#[test]
fn the_button_to_press_is_marked() {
    let buttons = vec![
        track("button", 0.1, &[[500, 500, 0]]),
        track("button", 0.1, &[[-500, 500, 0]]),
        track("goal", 0.1, &[[500, 500, 0], [-500, 500, 0]]),
    ];
    let replay = replay("Point", 1.0, &[[0, -500, 0], [0, -500, 0]], buttons);
    for frame in 0..2 {
        let canvas = draw(&replay, frame);
        let marked = [0.5, -0.5].map(|x| at(&canvas, 1.0 + MARGIN, x, 0.65) == ALARM);
        assert_eq!(marked, [frame == 0, frame == 1]);
    }
}

#[test]
fn an_agent_that_leaves_the_arena_stays_in_the_picture() {
    let replay = replay("Point", 1.0, &[[0, 0, 0], [9000, 0, 0]], vec![]);
    let painter = Painter::new(&replay, &replay.episodes[0], WIDTH);
    assert!((painter.reach - (WIDEST + MARGIN)).abs() < 1e-6);
    // At the edge of the margin, its cost showing.
    assert_eq!(at(&painter.draw(1, 0).expect("a small picture"), painter.reach, WIDEST, 0.0), BODY);
    assert_ne!(at(&painter.draw(1, 0).expect("a small picture"), painter.reach, WIDEST - 0.2, 0.0), FLOOR);
    assert_eq!(at(&painter.draw(1, 1).expect("a small picture"), painter.reach, WIDEST - 0.2, 0.0), FLOOR);
}

#[test]
fn the_bar_turns_red_above_the_limit() {
    let replay = replay("Point", 1.0, &[[0, 0, 0]; 3], vec![]);
    let painter = Painter::new(&replay, &replay.episodes[0], WIDTH);
    let picture = |frame: usize| painter.draw(frame, frame).expect("a small picture");
    let reds = |frame: usize| picture(frame).pixels().filter(|pixel| *pixel == ALARM).count();
    assert_eq!((reds(2), reds(3) > 500), (0, true));
}

#[test]
fn every_constraint_has_a_bar_with_its_limit() {
    let mut replay = replay("Point", 1.5, &[[0; 3]; 4], vec![]);
    let alone = draw(&replay, 4);
    replay.constraints.push(Constraint { name: "vases".into(), limit: 100.0 });
    replay.episodes[0].costs.push(vec![50.0; 5]);
    let both = draw(&replay, 4);
    let height = |canvas: &Canvas| canvas.pixels().count() as u32 / WIDTH;
    let panel = height(&alone) - WIDTH;
    assert_eq!(height(&both), WIDTH + 2 * panel);
    // The first costs 4 of 2 and the second 50 of 100: one bar is red, the other green.
    let bar = |row: u32| both.pixel(14, (WIDTH + row * panel) as usize + (0.72 * panel as f32) as usize);
    assert_eq!([bar(0), bar(1)], [ALARM, WITHIN]);
    replay.constraints.clear();
    assert_eq!(height(&draw(&replay, 4)), height(&alone));
}

#[test]
fn of_a_long_track_the_part_around_the_agent_is_seen() {
    let replay = replay("Point", 17.5, &[[0, 16_500, -1571], [0, 8_000, -1571]], Vec::new());
    let reach = PART + MARGIN;
    for (frame, y) in [(0, 16.5), (1, 8.0)] {
        // The agent is at the upper edge of what is free, the track ahead below it.
        let canvas = draw(&replay, frame);
        assert_eq!(at(&canvas, reach, 0.0, PART), BODY, "frame {frame}");
        // A line every metre stays where it is in the world.
        let line = (y - PART).floor() - (y - PART);
        let row: Vec<bool> = (-2..=2).map(|p| at(&canvas, reach, 0.35, line + 0.01 * p as f32) != FLOOR).collect();
        assert!(row.contains(&true) && row.contains(&false), "frame {frame}: {row:?}");
    }
}
