//! Against contacts recorded from MuJoCo 2.3.3 (`tests/parity/convex_fixture.py`), and against geometry.

use super::*;
use crate::agent::point::body::{AGENT_FORCE, PointBody, load_planar_body, write_agent_force};

// The geoms' places, behind the scratch.
const GA: usize = SCRATCH_LEN;
const GB: usize = SCRATCH_LEN + 15;

/// A contact: normal 3, gap, point 3.
type Contact = [f32; 7];

/// The contact of two geom records; the scratch starts at 3, to catch wrong addressing.
fn contact_of(a: &[f32; 15], kind_a: usize, b: &[f32; 15], kind_b: usize) -> Option<Contact> {
    let scratch_base = 3;
    let mut scratch = vec![f32::NAN; SCRATCH_LEN + 33];
    scratch[scratch_base + COUNT] = 0.0;
    for slot in [1, 2] {
        scratch[body(scratch_base, slot) + TOUCHES] = 0.0;
    }
    scratch[scratch_base + GA..scratch_base + GA + 15].copy_from_slice(a);
    scratch[scratch_base + GB..scratch_base + GB + 15].copy_from_slice(b);
    set_surface(&mut scratch, scratch_base, 1.0, 0.005, 0.0001, 1.0);
    convex_convex(&mut scratch, scratch_base, 1, scratch_base + GA, kind_a, 2, scratch_base + GB, kind_b);
    assert!(scratch[scratch_base + COUNT] <= 1.0);
    (scratch[scratch_base + COUNT] == 1.0).then(|| {
        let c = contact(scratch_base, 0);
        assert_eq!([scratch[of(c, FIRST)], scratch[of(c, SECOND)]], [1.0, 2.0]);
        let at = |k| scratch[of(c, k)];
        [at(FRAME), at(FRAME + 1), at(FRAME + 2), at(Y), at(ARM_FIRST), at(ARM_FIRST + 1), at(ARM_FIRST + 2)]
    })
}

fn upright(centre: [f32; 3], size: [f32; 3]) -> [f32; 15] {
    let [x, y, z] = centre;
    [x, y, z, 1.0, 0.0, 0.0, 0.0, 1.0, 0.0, 0.0, 0.0, 1.0, size[0], size[1], size[2]]
}

fn assert_close(got: Option<Contact>, expected: Contact, tolerance: f32) {
    let got = got.expect("a contact");
    for k in 0..7 {
        assert!((got[k] - expected[k]).abs() <= tolerance, "{k}: {got:?} {expected:?}");
    }
}

fn numbers(value: &serde_json::Value) -> Vec<f64> {
    value.as_array().expect("array").iter().map(|x| x.as_f64().expect("number")).collect()
}

fn kind(value: &serde_json::Value) -> usize {
    match value.as_str() {
        Some("sphere") => SPHERE,
        Some("box") => BOX,
        Some("cylinder") => CYLINDER,
        other => panic!("{other:?}"),
    }
}

fn geom(pose: &serde_json::Value, size: &serde_json::Value) -> [f32; 15] {
    let mut record = [0.0; 15];
    for (to, x) in record.iter_mut().zip(numbers(pose)) {
        *to = x as f32;
    }
    for (to, x) in record[12..].iter_mut().zip(numbers(size)) {
        *to = x as f32;
    }
    record
}

fn distance(got: &[f32], expected: &[f64]) -> f64 {
    got.iter().zip(expected).map(|(&g, &e)| (f64::from(g) - e).powi(2)).sum::<f64>().sqrt()
}

/// Errors of the contacts' normals, gaps \[m\] and points \[m\], and the same less four times MuJoCo's own spread: what
/// a pose shaken by float32's rounding does to its contact.
#[derive(Default)]
struct Errors {
    raw: [Vec<f64>; 3],
    excess: [Vec<f64>; 3],
    /// Points on a pillar at another height: an upright box touches it along a line, and ties decide where.
    jumps: usize,
}

fn errors_of(pair: &serde_json::Value) -> Errors {
    let (name, kinds, sizes) = (pair["name"].as_str().expect("name"), &pair["kinds"], &pair["sizes"]);
    let mut errors = Errors::default();
    for (n, case) in pair["cases"].as_array().expect("cases").iter().enumerate() {
        let (a, b) = (geom(&case["a"], &sizes[0]), geom(&case["b"], &sizes[1]));
        let got = contact_of(&a, kind(&kinds[0]), &b, kind(&kinds[1]));
        let mut expected = numbers(&case["contact"]);
        if case["sure"] == true {
            assert_eq!(got.is_some(), !expected.is_empty(), "{name}, case {n}");
        }
        if let (Some(got), false) = (got, expected.is_empty()) {
            if name.starts_with("pillar") && (f64::from(got[6]) - expected[6]).abs() > 1e-4 {
                errors.jumps += 1;
                expected[6] = f64::from(got[6]);
            }
            let spread = numbers(&case["spread"]);
            for (k, part) in [0..3, 3..4, 4..7].into_iter().enumerate() {
                let error = distance(&got[part.clone()], &expected[part]);
                errors.raw[k].push(error);
                errors.excess[k].push(error - 4.0 * spread[k]);
            }
        }
    }
    errors
}

#[test]
fn convex_contacts_match_mujoco() {
    let fixture: serde_json::Value =
        serde_json::from_str(include_str!("../../../../../tests/fixtures/contact/convex.json")).expect("JSON");
    let pairs = fixture["pairs"].as_array().expect("pairs");
    assert_eq!(pairs.len(), 14);
    for pair in pairs {
        let (name, mut errors) = (&pair["name"], errors_of(pair));
        // MuJoCo's search ends anywhere within 1e-6 m of the surface. Where rounding leads ours to another end, the depth
        // is off by up to that and the normal by more.
        for (k, (median, most)) in [(3e-5, 4e-4), (4e-7, 1e-6), (2e-6, 4e-5)].into_iter().enumerate() {
            errors.raw[k].sort_by(f64::total_cmp);
            let middle = errors.raw[k][errors.raw[k].len() / 2];
            let largest = errors.excess[k].iter().copied().fold(0.0, f64::max);
            assert!(middle < median && largest < most, "{name}, {k}: median {middle:e}, largest {largest:e}");
        }
        assert!(errors.raw[0].len() >= 14, "{name}: {} contacts", errors.raw[0].len());
        assert!(errors.jumps <= 2, "{name}: {} points at another height", errors.jumps);
    }
}

#[test]
fn a_substep_of_the_point_against_a_pillar_matches_mujoco() {
    let mut ties = 0;
    // Mass [kg], mass times com offset, moment of inertia about the origin; the sum of `invweight0`.
    let (mass, mass_com, inertia, weight) = (0.005_188_79, 1e-4, 2.842_182_7e-5, 128.482_1);
    let fixture: serde_json::Value =
        serde_json::from_str(include_str!("../../../../../tests/fixtures/contact/vases.json")).expect("JSON");
    for (n, row) in fixture["pillars"].as_array().expect("rows").iter().enumerate() {
        let single = |key: &str| numbers(&row[key]).iter().map(|&x| x as f32).collect::<Vec<f32>>();
        let (pose, v, f, pillar, push) =
            (single("pose"), single("velocity"), single("force"), single("pillar"), single("push"));
        let (x, y, cos, sin) = (pose[0], pose[1], pose[2], pose[3]);
        let (ball, arrow, column) = (SCRATCH_LEN, SCRATCH_LEN + 15, SCRATCH_LEN + 30);
        let s = &mut vec![f32::NAN; SCRATCH_LEN + 45];
        load_static(s, 0);
        let (vx, vy, omega, fx, fy, torque) = (v[0], v[1], v[2], f[0], f[1], f[2]);
        load_planar_body(s, 0, x, y, 0.1, cos, sin, vx, vy, omega, fx, fy, torque, mass, mass_com, inertia);
        place_upright_box(s, ball, x, y, 0.1, cos, sin, 0.1, 0.0, 0.0);
        place_upright_box(s, arrow, x + 0.1 * cos, y + 0.1 * sin, 0.1, cos, sin, 0.05, 0.05, 0.05);
        place_upright_box(s, column, pillar[0], pillar[1], 0.5, 1.0, 0.0, pillar[2], 0.5, 0.0);
        s[COUNT] = 0.0;
        set_surface(s, 0, 1.0, 0.01, 0.01, weight);
        convex_convex(s, 0, AGENT_SLOT, ball, SPHERE, STATIC_SLOT, column, CYLINDER);
        set_surface(s, 0, 1.0, 0.005, 0.0001, weight);
        convex_convex(s, 0, STATIC_SLOT, column, CYLINDER, AGENT_SLOT, arrow, BOX);
        assert_eq!(s[COUNT] as u64, row["contacts"].as_u64().expect("count"), "row {n}");
        solve::<PointBody>(s, 0, 0, false);
        write_agent_force(s, 0);
        let scale = (push[0] * push[0] + push[1] * push[1]).sqrt();
        let error = |k: usize| (s[AGENT_FORCE + k] - push[k]).abs() / if k < 2 { scale } else { 0.1 * scale };
        let worst = (0..3).map(error).fold(0.0, f32::max);
        assert!(worst < 5e-3, "row {n}: {push:?}, {worst:e} off");
        ties += u32::from(worst > 2e-4);
    }
    // Upright against upright: where rounding decides ties otherwise, the search ends at another depth within 1e-6 m.
    assert!(ties <= 1, "{ties}");
}

#[test]
fn a_ball_beside_a_pillar_touches_on_the_line_between_the_axes() {
    let mut ball = upright([0.5, -0.25, 0.1], [0.1, 0.0, 0.0]);
    ball[3..12].fill(f32::NAN); // A sphere's rotation is never looked at.
    let pillar = upright([0.5 + 0.6 * 0.299, -0.25 + 0.8 * 0.299, 0.5], [0.2, 0.5, 0.0]);
    // A third of the depth on the ball's side: the point divides it as the origin does the line of centres.
    let reach = 0.1 - 0.001 / 3.0;
    let point = [0.5 + 0.6 * reach, -0.25 + 0.8 * reach, 0.1];
    let expected = [0.6, 0.8, 0.0, -0.001, point[0], point[1], point[2]];
    assert_close(contact_of(&ball, SPHERE, &pillar, CYLINDER), expected, 2e-5);
}

#[test]
fn a_cylinder_standing_on_a_box_touches_in_the_middle() {
    // Every direction of the search is along the axes: caps and faces are reached in their middles.
    let can = upright([1.0, 2.0, 0.2245], [0.05, 0.025, 0.0]);
    let plinth = upright([1.0, 2.0, 0.1], [0.1, 0.1, 0.1]);
    let expected = [0.0, 0.0, -1.0, -0.0005, 1.0, 2.0, 0.19975];
    assert_close(contact_of(&can, CYLINDER, &plinth, BOX), expected, 1e-7);
}

#[test]
fn a_box_on_its_edge_cuts_into_a_wheel() {
    // The box is turned by 45 degrees about z, its edge 1 mm inside the round side of a wheel whose axis is y.
    let half = std::f32::consts::FRAC_1_SQRT_2;
    let mut wheel = upright([0.0, 0.0, 0.05], [0.05, 0.025, 0.0]);
    wheel[3..12].copy_from_slice(&[1.0, 0.0, 0.0, 0.0, 0.0, 1.0, 0.0, -1.0, 0.0]);
    let mut box_ = upright([0.049 + 0.1 / half, 0.0, 0.05], [0.1, 0.1, 0.1]);
    box_[3..12].copy_from_slice(&[half, -half, 0.0, half, half, 0.0, 0.0, 0.0, 1.0]);
    let got = contact_of(&wheel, CYLINDER, &box_, BOX).expect("a contact");
    assert!((got[0] - 1.0).abs() < 1e-6 && (got[3] + 0.001).abs() < 2e-6, "{got:?}");
    box_[0] += 0.001_01;
    assert_eq!(contact_of(&wheel, CYLINDER, &box_, BOX), None);
}

#[test]
fn any_overlap_gives_a_finite_contact() {
    let mut seed = 1u32;
    let mut uniform = || {
        seed = seed.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        (seed >> 8) as f32 / 16_777_216.0
    };
    let mut touching = 0;
    for n in 0..30_000 {
        let (kind_a, kind_b) = ([SPHERE, CYLINDER, BOX][n % 3], [CYLINDER, BOX][n % 2]);
        let mut random = |kind: usize, spread: f32| {
            let mut g = upright([0.0; 3], [0.0; 3]);
            g[..3].iter_mut().for_each(|x| *x = spread * (uniform() - 0.5));
            let mut q = [0.0f32; 4].map(|_| uniform() - 0.5);
            // A third upright, a third within float32's rounding of it.
            let lean = [0.0, 1e-7, 1.0][n / 6 % 3];
            (q[1], q[2]) = (lean * q[1], lean * q[2]);
            let [w, x, y, z] = q.map(|c| c / q.iter().map(|c| c * c).sum::<f32>().sqrt());
            let rows = [
                [1.0 - 2.0 * (y * y + z * z), 2.0 * (x * y - w * z), 2.0 * (x * z + w * y)],
                [2.0 * (x * y + w * z), 1.0 - 2.0 * (x * x + z * z), 2.0 * (y * z - w * x)],
                [2.0 * (x * z - w * y), 2.0 * (y * z + w * x), 1.0 - 2.0 * (x * x + y * y)],
            ];
            g[3..12].copy_from_slice(rows.as_flattened());
            let used = [1, 3, 2][kind];
            g[12..12 + used].iter_mut().for_each(|x| *x = 0.02 + 0.2 * uniform());
            g
        };
        let (a, b) = (random(kind_a, 0.4), random(kind_b, 0.4));
        let apart: f32 = (0..3).map(|k| (a[k] - b[k]).powi(2)).sum::<f32>().sqrt();
        let got = contact_of(&a, kind_a, &b, kind_b);
        // Every size is at least 0.02, so that a ball of that radius lies inside each.
        assert!(got.is_some() || apart > 0.04, "{n}: centres {apart} m apart");
        if let Some(c) = got {
            touching += 1;
            let length: f32 = c[..3].iter().map(|x| x * x).sum();
            assert!(c.iter().all(|x| x.is_finite()) && (length - 1.0).abs() < 1e-5, "{n}: {c:?}");
            let point_from = |g: &[f32; 15]| (0..3).map(|k| (c[4 + k] - g[k]).powi(2)).sum::<f32>().sqrt();
            let reach = |g: &[f32; 15]| g[12..].iter().map(|x| x * x).sum::<f32>().sqrt();
            assert!(c[3] < 0.0 && -c[3] < reach(&a) + reach(&b), "{n}: {c:?}");
            assert!(point_from(&a) < reach(&a) + 1e-3 && point_from(&b) < reach(&b) + 1e-3, "{n}: {c:?}");
        }
    }
    assert!((6_000..27_000).contains(&touching), "{touching}");
}
