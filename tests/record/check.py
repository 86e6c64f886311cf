"""Tries recorded pages in headless Chromium: python tests/record/check.py PAGE.html...

Each page is opened on a plain screen, one of double density, a dark one and a phone's; probe.js plays, scrubs,
switches and reads back what is drawn. With `--trainer PATH` a tiny run is trained and recorded first. README.md has
the commands. Exit code 1 where a check fails.
"""

import argparse
import pathlib
import shutil
import subprocess
import sys
import tempfile

from chromium import Chromium

PROBE = pathlib.Path(__file__).resolve().parent / "probe.js"
BROWSERS = ("chromium", "chromium-browser", "google-chrome")
# Width and height [CSS pixels], density, colour scheme.
SCREENS = {
    "screen": (1280, 900, 1, "light"),
    "fine": (1280, 900, 2, "light"),
    "dark": (1280, 900, 1, "dark"),
    "phone": (390, 844, 3, "light"),
}
TINY = [
    "--env=PointGoal1", "--num-envs=8", "--device=cpu", "--threads=1", "--total-steps=2048", "--quiet",
    "--set=rollout_steps=32", "--set=policy.hidden=16,16", "--set=critic.hidden=16,16",
    "--set=critic.minibatch_size=128", "--set=kfcpo.minibatch_size=128",
]  # fmt: skip
PAGE_COLOR = "getComputedStyle(document.body).backgroundColor.match(/\\d+/g).map(Number)"


def record_tiny_run(trainer: pathlib.Path, directory: pathlib.Path) -> pathlib.Path:
    """Trains for a moment and records two episodes of sampled actions: a beginner's mean action is to stand still."""
    run, page = directory / "run", directory / "replay.html"
    subprocess.run([trainer, "train", f"--out={run}", *TINY], check=True, capture_output=True)
    arguments = [f"--out={page}", "--episodes=2", "--stochastic", "--device=cpu", "--threads=1"]
    subprocess.run([trainer, "record", run, *arguments], check=True, capture_output=True)
    return page


def try_page(browser: Chromium, page: pathlib.Path, screen: str, pictures: pathlib.Path | None) -> int:
    """Tries a page on one screen, prints what failed and returns how much."""
    browser.open(page, *SCREENS[screen])
    checks = browser.evaluate(PROBE.read_text())
    dark = max(browser.evaluate(PAGE_COLOR)) < 100
    mine = {
        "dark where the system is": (dark == (SCREENS[screen][3] == "dark"), ""),
        "nothing else is asked for": (browser.requests() == [page.as_uri()], browser.requests()),
        "no complaint": (not browser.complaints(), browser.complaints()),
    }
    checks += [{"name": name, "passed": passed, "detail": detail} for name, (passed, detail) in mine.items()]
    failed = [one for one in checks if not one["passed"]]
    print(f"{page.name} on {screen}: {len(checks) - len(failed)} of {len(checks)} checks passed", flush=True)
    for one in failed:
        print(f"  {one['name']}: {one['detail']}")
    if pictures:
        pictures.mkdir(parents=True, exist_ok=True)
        browser.evaluate("seek(Math.round(0.6 * steps()))")
        browser.screenshot(pictures / f"{page.stem}-{screen}.png")
    return len(failed)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("pages", nargs="*", type=pathlib.Path, metavar="PAGE.html")
    parser.add_argument("--trainer", type=pathlib.Path, help="train and record a tiny run with this program")
    parser.add_argument("--browser", default=next(filter(None, map(shutil.which, BROWSERS)), None))
    parser.add_argument("--screenshots", type=pathlib.Path, help="also write what is seen into this directory")
    arguments = parser.parse_args()
    if not arguments.browser:
        parser.error("Chromium is not installed; --browser names one")
    if not arguments.pages and not arguments.trainer:
        parser.error("name a page, or a --trainer to record one")
    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as name:
        directory = pathlib.Path(name)
        pages = [page.resolve() for page in arguments.pages]
        if arguments.trainer:
            pages.append(record_tiny_run(arguments.trainer.resolve(), directory))
        with Chromium(arguments.browser, directory / "profile") as browser:
            tried = [try_page(browser, page, screen, arguments.screenshots) for page in pages for screen in SCREENS]
    return 1 if sum(tried) else 0


if __name__ == "__main__":
    sys.exit(main())
