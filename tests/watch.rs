//! Runs and reports as they are looked at: in a terminal, and in pages that a browser opens.

use std::fs;
use std::path::Path;
use std::process::{Command, Stdio};

use test_support::program::Sandbox;

/// What Chromium is called.
const BROWSERS: [&str; 4] = ["chromium", "chromium-browser", "google-chrome", "chrome"];

/// Points at the middle of every panel of the page's first figure, and writes what is then seen below the page.
const PROBE: &str = r#"<script>
const seen = document.createElement("pre");
seen.id = "seen";
addEventListener("error", (event) => seen.append(event.message));
addEventListener("load", () => {
  document.body.append(seen);
  document.querySelectorAll("figure > svg").forEach((svg, index) => {
    for (const panel of figures[index].panels) {
      const at = new DOMPoint((panel.left + panel.right) / 2, (panel.top + panel.bottom) / 2);
      const there = at.matrixTransform(svg.getScreenCTM());
      svg.dispatchEvent(new PointerEvent("pointermove", { clientX: there.x, clientY: there.y, bubbles: true }));
      const marks = svg.querySelectorAll("circle").length;
      seen.append(`${index}: ${tip.hidden ? "nothing" : tip.innerText.replaceAll("\n", " / ")} (${marks} marks)\n`);
      svg.dispatchEvent(new PointerEvent("pointerleave"));
    }
  });
  seen.append(`hidden again: ${tip.hidden}, loaded: ${performance.getEntriesByType("resource").length}`);
});
</script>"#;

/// What a browser shows of `page` under the pointer; none where none is installed.
fn seen(sandbox: &Sandbox, page: &Path) -> Option<String> {
    let is_there = |name: &&&str| {
        let mut command = Command::new(name);
        command
            .arg("--version")
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .status()
            .is_ok_and(|status| status.success())
    };
    let Some(browser) = BROWSERS.iter().find(is_there) else {
        println!("SKIPPED: no Chromium is installed, pages were not opened");
        return None;
    };
    let probed = sandbox.path("probed.html");
    let text = fs::read_to_string(page).unwrap();
    fs::write(&probed, text.replace("</body>", &format!("{PROBE}</body>"))).unwrap();
    let profile = format!("--user-data-dir={}", sandbox.path("profile").display());
    // No sandbox: containers often forbid the one Chromium would build, and the pages are our own. No network.
    let options =
        ["--headless", "--no-sandbox", "--disable-gpu", "--host-resolver-rules=MAP * ~NOTFOUND", "--dump-dom"];
    let output =
        Command::new(browser).args(options).args(["--window-size=1200,900", &profile]).arg(&probed).output().unwrap();
    let dom = String::from_utf8_lossy(&output.stdout).into_owned();
    let seen = dom.split("<pre id=\"seen\">").nth(1).and_then(|rest| rest.split("</pre>").next());
    Some(seen.unwrap_or_else(|| panic!("nothing was seen: {dom}")).to_owned())
}

fn assert_self_contained(page: &str) {
    let own = page.replace("http://www.w3.org/2000/svg", "");
    for outside in ["http:", "https:", " src=", " href=", "@import", "fetch(", "NaN"] {
        assert!(!own.contains(outside), "{outside} in {page}");
    }
}

#[test]
fn a_finished_run_is_drawn_once() {
    let sandbox = Sandbox::new();
    sandbox.train_tiny("run", 16_384, &["--set=rollout_steps=256", "--set=deployed.num_envs=8", "--quiet"]);
    let frame = sandbox.succeed(&["watch", "run"]).stdout;
    for part in
        ["run: kfcpo on SafetyPointGoal1-v0, seed 0", "16k / 16k steps", "finished in", "cost, limit 25", "Train/KL"]
    {
        assert!(frame.contains(part), "no {part} in {frame}");
    }
    let is_dot = |c: char| (0x2801..0x2900).contains(&u32::from(c));
    assert!(frame.chars().filter(|c| is_dot(*c)).count() > 20 && !frame.contains('\x1b'), "{frame}");
    // The last return is the one of the last row that has one.
    let text = fs::read_to_string(sandbox.path("run/metrics.csv")).unwrap();
    let place = text.lines().next().unwrap().split(',').position(|name| name == "Deployed/EpRet").unwrap();
    let last: f64 = text.lines().last().unwrap().split(',').nth(place).unwrap().parse().unwrap();
    assert!(frame.contains(&format!("return {last:.2} ")), "{last} in {frame}");

    let other = sandbox.succeed(&["watch", "run", "--once", "--columns", "Loss/RewardCritic"]).stdout;
    assert!(other.contains("Loss/RewardCritic") && !other.contains("Train/KL"), "{other}");
    let refused = sandbox.fail(&["watch", "run", "--columns", "Loss/Nothing"], 2);
    assert!(refused.contains("Loss/Nothing") && refused.contains("Loss/CostCritic"), "{refused}");
}

#[cfg(unix)]
#[test]
fn a_page_follows_a_run_until_it_is_told_to_stop() {
    use test_support::program::wait_until;
    let sandbox = Sandbox::new();
    let mut training = sandbox.start_endless("runs/a", &["--quiet"]);
    sandbox.wait_for_rows("runs/a", 3);
    let mut watching = sandbox.command(&["watch", "runs", "--html=out/page.html", "--every", "1"]);
    let watching = watching.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    let page = sandbox.path("out/page.html");
    let read = || fs::read_to_string(&page).unwrap_or_default();
    wait_until("a page", || read().contains("RELOAD_SECONDS = 1;"));
    let first = read();
    wait_until("another page", || read() != first && !read().is_empty());
    training.kill().unwrap();
    training.wait().unwrap();
    assert!(Command::new("kill").args(["-INT", &watching.id().to_string()]).status().unwrap().success());
    let output = watching.wait_with_output().unwrap();
    assert_eq!((output.status.code(), output.stdout.as_slice()), (Some(0), &b"out/page.html\n"[..]));
    let last = read();
    assert!(last.contains("RELOAD_SECONDS = 0;") && last.contains("runs/a"), "{last}");
    assert_self_contained(&last);
}

#[test]
fn a_reports_page_shows_values_under_the_pointer() {
    let sandbox = Sandbox::new();
    for (name, seed) in [("runs/a", "--seed=1"), ("runs/b", "--seed=2")] {
        let longer = ["--quiet", seed, "--set=rollout_steps=256", "--set=deployed.num_envs=8"];
        sandbox.train_tiny(name, 16_384, &longer);
    }
    let without = sandbox.succeed(&["report", "runs", "--out", "plain"]).stdout;
    let with = sandbox.succeed(&["report", "runs", "--out", "out", "--html"]).stdout;
    assert!(with == without && !sandbox.path("plain/report.html").exists());
    let page = sandbox.path("out/report.html");
    let text = fs::read_to_string(&page).unwrap();
    assert_self_contained(&text);
    assert_eq!(text.matches("<figure>").count(), 1);
    for part in [
        "<td>SafetyPointGoal1-v0</td>",
        "<th>IQM [95 % interval]</th>",
        "<h2>While learning</h2>",
        "RELOAD_SECONDS = 0;",
    ] {
        assert!(text.contains(part), "no {part} in {text}");
    }
    if let Some(seen) = seen(&sandbox, &page) {
        let lines: Vec<&str> = seen.lines().collect();
        assert_eq!(lines.len(), 3, "{seen}");
        for line in &lines[..2] {
            assert!(line.contains("environment steps / kfcpo (2 seeds): ") && line.ends_with("(1 marks)"), "{seen}");
        }
        assert!(lines[0].contains(" ± ") && lines[1].contains("limit 25"), "{seen}");
        assert_eq!(lines[2], "hidden again: true, loaded: 0", "{seen}");
    }
}
