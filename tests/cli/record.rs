//! What `record` writes: pages, GIFs and single frames.

use super::*;

/// The data in a recorded page.
pub fn page_data(page: &str) -> Value {
    let (_, rest) = page.split_once("<script type=\"application/json\" id=\"replay\">").unwrap();
    serde_json::from_str(rest.split_once("</script>").unwrap().0).unwrap()
}

/// Every lidar must read the closeness of its nearest object, in the direction in which that object is drawn: poses,
/// objects and readings of a frame belong together.
fn assert_lidars_see_the_objects(episode: &Value) {
    const DIGITS: &str = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";
    const RANGE: f64 = 3.0;
    let number = |value: &Value| value.as_f64().unwrap() / 1e3;
    let lidar = episode["lidar"].as_str().unwrap();
    for frame in (0..1000).step_by(37) {
        let [x, y, yaw] = [0, 1, 2].map(|i| number(&episode["agent"][3 * frame + i]));
        for (ring, kind) in ["goal", "hazard", "vase"].iter().enumerate() {
            let bins: Vec<usize> =
                (lidar[48 * frame + 16 * ring..][..16].chars()).map(|c| DIGITS.find(c).unwrap()).collect();
            let objects = episode["objects"].as_array().unwrap().iter().filter(|o| o["kind"] == *kind);
            let nearest = objects.map(|object| {
                let track: Vec<&Value> = object["track"].as_array().unwrap().iter().collect();
                let now = track.chunks(4).rfind(|key| key[0].as_u64().unwrap() as usize <= frame).unwrap();
                let (dx, dy) = (number(now[1]) - x, number(now[2]) - y);
                (dx.hypot(dy), (dy.atan2(dx) - yaw).rem_euclid(std::f64::consts::TAU))
            });
            let (distance, angle) = nearest.min_by(|a, b| a.0.total_cmp(&b.0)).unwrap();
            let closeness = (RANGE - distance).max(0.0) / RANGE;
            let strongest = *bins.iter().max().unwrap() as f64 / 63.0;
            assert!((strongest - closeness).abs() < 0.01, "{kind} in frame {frame}: {strongest} for {closeness}");
            // Away from a bin's edge, where half a millimetre could decide.
            let sector = angle / (std::f64::consts::TAU / 16.0);
            if closeness > 0.02 && (sector - sector.round()).abs() > 0.05 {
                let read = bins[sector as usize] as f64 / 63.0;
                assert!((read - closeness).abs() < 0.01, "{kind} in frame {frame}: bin {sector}");
            }
        }
    }
}

#[test]
fn episodes_are_recorded_as_a_page() {
    let sandbox = Sandbox::new();
    sandbox.train_tiny("run", 512, &[]);
    // Sampled actions: the mean of a policy that has hardly learned is to stand still.
    let same = ["--episodes=2", "--stochastic", "--device=cpu", "--threads=1", "--json"];
    let recorded = sandbox.succeed(&[&["record", "run", "--out=replay.html"][..], &same].concat()).json();
    let documented = [
        "env",
        "checkpoint",
        "episodes",
        "seed",
        "deterministic",
        "frames",
        "out",
        "bytes",
        "return_mean",
        "cost_mean",
        "cost_limit",
        "constraints",
    ];
    assert_eq!(keys(&recorded), documented);
    let limited = serde_json::json!([{ "name": "cost", "limit": 25.0, "cost_mean": recorded["cost_mean"] }]);
    assert_eq!(recorded["constraints"], limited);
    assert_eq!((&recorded["frames"], &recorded["out"]), (&2002.into(), &"replay.html".into()));
    let eval = sandbox.succeed(&[&["eval", "run"][..], &same].concat()).json();
    assert_eq!((&recorded["return_mean"], &recorded["cost_mean"]), (&eval["return_mean"], &eval["cost_mean"]));

    let page = fs::read_to_string(sandbox.path("replay.html")).unwrap();
    assert_eq!(recorded["bytes"], page.len());
    let data = page_data(&page);
    assert_eq!((&data["env"], &data["agent"]), (&"SafetyPointGoal1-v0".into(), &"Point".into()));
    assert_eq!(data["lidars"], serde_json::json!([["goal", 16], ["hazard", 16], ["vase", 16]]));
    let episodes = data["episodes"].as_array().unwrap();
    let numbers = |value: &Value| value.as_array().unwrap().iter().map(|v| v.as_i64().unwrap()).collect::<Vec<_>>();
    let (mut total_return, mut total_cost) = (0.0, 0.0);
    for episode in episodes {
        let (agent, returns) = (numbers(&episode["agent"]), numbers(&episode["returns"]));
        assert_eq!((agent.len(), returns.len(), returns[0]), (3 * 1000, 1001, 0));
        assert_eq!(episode["lidar"].as_str().unwrap().len(), 1000 * 3 * 16);
        // At most 2 m/s for 20 ms, and half a millimetre of rounding at either end.
        for (from, to) in agent.chunks(3).zip(agent.chunks(3).skip(1)) {
            assert!((to[0] - from[0]).abs() <= 41 && (to[1] - from[1]).abs() <= 41, "{from:?} {to:?}");
        }
        let objects = episode["objects"].as_array().unwrap();
        assert_eq!(objects.iter().filter(|o| o["kind"] == "hazard" && o["constrained"] == true).count(), 8);
        assert!(objects.iter().all(|o| numbers(&o["track"])[0] == 0), "every object is there from the beginning");
        assert_lidars_see_the_objects(episode);
        total_return += *returns.last().unwrap() as f64 / 1e3;
        let [spent] = &episode["costs"].as_array().unwrap()[..] else { panic!("one constraint") };
        total_cost += numbers(spent).chunks(2).map(|step| step[1] as f64 / 1e3).sum::<f64>();
    }
    assert!((total_return / 2.0 - eval["return_mean"].as_f64().unwrap()).abs() < 1e-3);
    assert_eq!(total_cost / 2.0, eval["cost_mean"].as_f64().unwrap());
    assert_ne!(episodes[0]["agent"], episodes[1]["agent"]);

    let default = sandbox.succeed(&["record", "run", "--steps=3", "--seed=5", "--device=cpu"]);
    assert!(default.stdout.contains("4 frames"), "{}", default.stdout);
    let page = fs::read_to_string(sandbox.path("run/replay.html")).unwrap();
    assert_eq!(page_data(&page)["episodes"][0]["returns"].as_array().unwrap().len(), 4);
}

#[test]
fn episodes_are_recorded_as_a_gif() {
    let sandbox = Sandbox::new();
    sandbox.train_tiny("run", 512, &[]);
    for (extra, size, frames, most_bytes) in [
        (vec![], (360, 421), 251, 2_000_000),
        (vec!["--size=200", "--every=10", "--steps=95", "--episodes=2"], (200, 234), 22, 100_000),
    ] {
        // The mean action of a policy that has hardly learned is almost none.
        let fixed = vec!["record", "run", "--out=a.gif", "--stochastic", "--device=cpu", "--threads=1", "--json"];
        let args = [fixed, extra].concat();
        let recorded = sandbox.succeed(&args).json();
        assert_eq!(recorded["frames"], frames);
        let bytes = fs::read(sandbox.path("a.gif")).unwrap();
        assert!(recorded["bytes"] == bytes.len() && bytes.len() < most_bytes, "{} bytes", bytes.len());
        let mut options = gif::DecodeOptions::new();
        options.set_color_output(gif::ColorOutput::RGBA);
        let mut decoder = options.read_info(bytes.as_slice()).unwrap();
        assert_eq!((decoder.width(), decoder.height()), size);
        let (mut pictures, mut still) = (0, 0);
        while let Some(frame) = decoder.read_next_frame().unwrap() {
            if pictures == 0 {
                assert_eq!((frame.width, frame.height), size, "the first picture is whole");
                let red = |p: &[u8]| p == [0xbd, 0x0b, 0x2f, 0xff];
                assert!(frame.buffer.chunks(4).filter(|p| red(p)).count() > 20, "the agent is seen");
            }
            still += u32::from(frame.buffer.chunks(4).all(|p| p[3] == 0));
            pictures += 1;
        }
        assert_eq!(pictures, frames);
        assert!(still < pictures / 4, "{still} of {pictures} pictures show no motion");
    }
}

#[test]
fn a_frame_is_recorded_as_a_png() {
    let sandbox = Sandbox::new();
    sandbox.train_tiny("run", 512, &[]);
    let record = |extra: &[&str]| {
        let fixed = ["record", "run", "--out=a.png", "--stochastic", "--steps=20", "--device=cpu", "--json"];
        let recorded = sandbox.succeed(&[&fixed[..], extra].concat()).json();
        let bytes = fs::read(sandbox.path("a.png")).unwrap();
        assert_eq!((&recorded["frames"], &recorded["bytes"]), (&1.into(), &bytes.len().into()));
        tiny_skia::Pixmap::decode_png(&bytes).unwrap()
    };
    let last = record(&[]);
    assert_eq!((last.width(), last.height()), (720, 842));
    let red = |picture: &tiny_skia::Pixmap| picture.data().chunks(4).filter(|p| *p == [0xbd, 0x0b, 0x2f, 0xff]).count();
    assert!(red(&last) > 80, "the agent is seen");
    assert_eq!(record(&["--at=20"]), last);
    assert!(record(&["--at=1"]) != last, "the agent has moved");
    assert_eq!(record(&["--at=0", "--size=200"]).width(), 200);
    for (args, part) in [
        (["--out=b.png", "--at=21", "--steps=20"], "20 steps"),
        (["--out=b.png", "--every=2", "--steps=20"], "--every"),
        (["--out=b.gif", "--at=2", "--steps=20"], "--at"),
        (["--out=b.html", "--size=300", "--steps=20"], "--size"),
    ] {
        let stderr = sandbox.fail(&[&["record", "run", "--device=cpu"][..], &args].concat(), 2);
        assert!(stderr.contains(part), "{args:?}: {stderr}");
    }
}
