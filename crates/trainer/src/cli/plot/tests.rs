//! Ticks, ranges, and what a drawn figure holds.

use super::*;

#[test]
fn ticks_are_round_and_inside() {
    assert_eq!(ticks((0.0, 10.0)), [0.0, 2.0, 4.0, 6.0, 8.0, 10.0]);
    assert_eq!(ticks((-0.9, 2.1)), [0.0, 1.0, 2.0]);
    assert_eq!(ticks((0.0, 4e6)), [0.0, 1e6, 2e6, 3e6, 4e6]);
    assert_eq!(short(2_500_000.0), "2.5M");
    assert_eq!(short(20_000.0), "20k");
    assert_eq!(short(-0.001), "0");
    let names = |range| named_ticks(range).into_iter().map(|(_, name)| name).collect::<Vec<_>>();
    assert_eq!(names((0.0, 0.011)), ["0.000", "0.005", "0.010"]);
    assert_eq!(names((0.0, 1.0)), ["0", "0.2", "0.4", "0.6", "0.8", "1"]);
}

#[test]
fn a_logarithmic_axis_is_marked_at_powers_of_two() {
    let marks = Scale::Log2.ticks((6.0, 18.0));
    assert_eq!(marks.first(), Some(&(64.0, "64".to_owned())));
    assert!(marks.contains(&(16_384.0, "16k".to_owned())), "{marks:?}");
    assert_eq!(Scale::Log2.place(1024.0), 10.0);
    assert_eq!((power_of_two(21), power_of_two(-1)), ("2M".to_owned(), "0.5".to_owned()));
}

#[test]
fn ranges_survive_odd_data() {
    assert_eq!(range([].into_iter(), 0.1), (0.0, 1.0));
    assert_eq!(range([f64::NAN, 4.0].into_iter(), 0.1), (2.0, 6.0));
    assert_eq!(range([0.0, 10.0].into_iter(), 0.1), (-1.0, 11.0));
}

#[test]
fn a_figure_holds_its_curves_and_the_limit() {
    let points = |y: f64| {
        let point = |x: f64| Point { x, y: y * x, low: y * x - 1.0, high: y * x + 1.0 };
        [0.0, 1.0, 2.0].into_iter().map(point).collect()
    };
    let curves =
        vec![Curve { name: "a<b".into(), points: points(1.0) }, Curve { name: "c".into(), points: points(2.0) }];
    let panel = Panel { label: "cost".into(), curves, limit: Some((25.0, "limit 25".into())) };
    let panels = vec![panel];
    let figure = Figure { title: "T & U".into(), x_label: "steps".into(), x_scale: Scale::Linear, panels };
    let svg = figure.to_svg();
    for part in ["a&lt;b", "T &amp; U", "limit 25", "stroke-dasharray", PALETTE[0], PALETTE[1]] {
        assert!(svg.contains(part), "{part} in {svg}");
    }
    assert_eq!(svg.matches("fill-opacity").count(), 2);
    assert!(!svg.contains("NaN"));

    // The limit and the bottom of the axis tell what a height means: every point stands where its value is.
    let limit = attribute(svg.lines().find(|line| line.contains("stroke-dasharray")).unwrap(), "y1");
    let ticks: Vec<(f64, f64)> = svg.lines().filter(|line| line.contains("#e4e4e4")).map(tick).collect();
    assert!(ticks.len() >= 3, "{ticks:?}");
    let zero = ticks.iter().find(|(value, _)| *value == 0.0).unwrap().1;
    let height = |value: f64| zero + (limit - zero) * value / 25.0;
    for (value, y) in &ticks {
        assert!((height(*value) - y).abs() < 0.11, "tick {value} at {y}");
    }
    let (right, width) = (PANEL_WIDTH - RIGHT, PANEL_WIDTH - RIGHT - LEFT);
    for (index, slope) in [(0, 1.0), (1, 2.0)] {
        let line = svg.lines().find(|l| l.contains(&format!("stroke=\"{}\" stroke-width=\"2\"", PALETTE[index])));
        let [band, curve]: [Vec<(f64, f64)>; 2] = paths(line.unwrap()).try_into().unwrap();
        let expected = |y: &dyn Fn(f64) -> f64, xs: &[f64]| -> Vec<(f64, f64)> {
            xs.iter().map(|x| (LEFT + x / 2.0 * width, height(y(*x)))).collect()
        };
        assert_near(&curve, &expected(&|x| slope * x, &[0.0, 1.0, 2.0]));
        let upper = expected(&|x| slope * x + 1.0, &[0.0, 1.0, 2.0]);
        let lower = expected(&|x| slope * x - 1.0, &[2.0, 1.0, 0.0]);
        assert_near(&band, &[upper, lower].concat());
        assert!((curve[2].0 - right).abs() < 0.11);
    }
}

fn assert_near(got: &[(f64, f64)], expected: &[(f64, f64)]) {
    assert_eq!(got.len(), expected.len(), "{got:?} {expected:?}");
    for (a, b) in got.iter().zip(expected) {
        // Written with one digit, and the heights above are read with one.
        assert!((a.0 - b.0).abs() < 0.11 && (a.1 - b.1).abs() < 0.25, "{got:?} {expected:?}");
    }
}

fn attribute(line: &str, name: &str) -> f64 {
    let (_, rest) = line.split_once(&format!("{name}=\"")).unwrap();
    rest.split_once('"').unwrap().0.parse().unwrap()
}

/// A tick's value, by its label, and its height.
fn tick(line: &str) -> (f64, f64) {
    let label = line.rsplit_once("</text>").unwrap().0.rsplit_once('>').unwrap().1;
    (label.parse().unwrap(), attribute(line, "y1"))
}

/// The points of every path of a line.
fn paths(line: &str) -> Vec<Vec<(f64, f64)>> {
    let data = line.split(" d=\"").skip(1).map(|rest| rest.split_once('"').unwrap().0);
    let points = data.map(|d| d.trim_end_matches('Z').split(['M', 'L']).filter(|point| !point.is_empty()));
    let number = |text: &str| text.parse::<f64>().unwrap();
    let point = |text: &str| text.split_once(' ').map(|(x, y)| (number(x), number(y))).unwrap();
    points.map(|points| points.map(point).collect()).collect()
}
