"""Cuts short windows out of recorded trajectories of the original into tests/fixtures/parity.txt.

    python tests/parity/make_fixtures.py RECORDINGS_DIR... --out tests/fixtures/parity.txt --keys tests/fixtures/obs_keys.txt

Every window is a recording of its own: free motion, a goal reached, a hazard crossed, an obstacle of each kind struck and
pressed. Each environment has at most one window of a reason, two of contacts and of goals; the second goes without
observations. Also writes the observation's parts of every environment
as recorded. Places, angles and rates of the agent keep
nine significant digits, finer than float32; what the recordings hold in float32 seven.
"""

from __future__ import annotations

import argparse
import collections
import sys
from collections.abc import Iterator
from pathlib import Path

import numpy as np

from layout_statistics import ENV_IDS
from record import OBSTACLE_KINDS, kind_of

STEPS_EACH = 5
ONCE = ("start", "middle", "cost edge")  # other reasons: twice, from different recordings
COORDINATES = {"Car": (13, 11), "Racecar": (12, 11)}  # the agent's share of qpos and qvel; it comes first
DOUBLES = ("agent_pos", "agent_yaw", "agent_linvel", "agent_angvel")
OBJECTS = ("obj_pos", "obj_quat", "obj_linvel", "obj_angvel")
OUTCOMES = ("action", "reward", "cost")
# A window does not hold how the gremlins were turned at the start of the episode, where their welds pull them: it must begin
# with all of them turned like that.
TURNED = 1e-5


def numbers(array: np.ndarray, digits: int = 9) -> str:
    return " ".join(f"{x:.{digits}g}" for x in np.asarray(array, dtype=float).ravel())


def texts(array: np.ndarray) -> list[str]:
    return [text.decode() for text in array]


def cut(name: str, z: dict[str, np.ndarray], start: int, why: str, with_obs: bool) -> dict[str, str]:
    """The lines of one window by name."""
    env, rows = texts(z["meta"])[0], slice(start, start + STEPS_EACH + 1)
    out = {"file": f"{name}[{start}:{start + STEPS_EACH}] {why}", "env": env}
    out |= {key: numbers(z[key][rows]) for key in DOUBLES}
    out |= {key: numbers(z[key][rows], 8 if key == "obj_pos" else 7) for key in OBJECTS + ("obs",) * with_obs}
    out |= {key: numbers(z[key][start : start + STEPS_EACH]) for key in OUTCOMES}
    if not np.isnan(z["goal_pos"]).any():
        out["goal_pos"] = numbers(z["goal_pos"][rows])
    for agent, (positions, velocities) in COORDINATES.items():
        if env.startswith(f"Safety{agent}"):
            out |= {"qpos": numbers(z["qpos"][rows, :positions]), "qvel": numbers(z["qvel"][rows, :velocities])}
    if "Button" in env:
        out |= {key: numbers(z[key][rows]) for key in ("button_timer", "goal_button", "time")}
    kept = [i for i, name in enumerate(texts(z["layout_names"])) if kind_of(name) == "gremlin"]
    if kept:
        out["layout_names"] = " ".join(texts(z["layout_names"][kept]))
        out["layout_xy"] = numbers(z["layout_xy"][kept])
    out["free_names"], out["static_names"] = " ".join(texts(z["free_names"])), " ".join(texts(z["static_names"]))
    out["static_pos"] = numbers(z["static_pos"])
    out["agent_contact_bodies"] = " ".join(text or "-" for text in texts(z["agent_contact_bodies"][rows]))
    return {key: value for key, value in out.items() if value}


def windows(z: dict[str, np.ndarray]) -> Iterator[tuple[int, str]]:
    """First steps of the windows worth keeping, and what for, in order of time for each."""
    steps = len(z["reward"])
    gremlins = [i for i, name in enumerate(texts(z["free_names"])) if kind_of(name) == "gremlin"]
    touched = [{kind_of(name) for name in row.split(",")} - {""} for row in texts(z["agent_contact_bodies"])]
    found = [(steps // 2, "middle")]
    if not gremlins and "Point" in texts(z["meta"])[0]:
        # Elsewhere the first step is a tie: gaps to the floor are exactly zero.
        found.append((0, "start"))
    found += [(int(t) - 2, "goal") for t in np.flatnonzero(z["goal_met"])]
    found += [(int(t) - 2, "cost edge") for t in np.flatnonzero(np.diff(z["cost"]) != 0)]
    for kind in OBSTACLE_KINDS:
        # The last touched geom may be one of the push box's columns.
        here = [any(name.startswith(kind) for name in row) for row in touched]
        pressed = [all(here[t : t + STEPS_EACH + 1]) for t in range(steps)]
        found += [(t - 1, f"strikes {kind}") for t in range(1, steps) if here[t + 1] and not here[t]]
        found += [(t, f"presses {kind}") for t in range(steps) if pressed[t] and not (t and pressed[t - 1])]
    for start, why in found:
        start = min(max(start, 0), steps - STEPS_EACH)
        turned = np.abs(z["obj_quat"][start][gremlins] - z["obj_quat"][0][gremlins]).max() if gremlins else 0.0
        if turned < TURNED:
            yield start, why


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("recordings", nargs="+", type=Path, help="folders of .npz recordings")
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--keys", type=Path, required=True)
    arguments = parser.parse_args()
    cuts, keys = [], {}
    for env in ENV_IDS:
        seen: dict[str, list[tuple[str, int]]] = collections.defaultdict(list)
        for path in sorted(path for folder in arguments.recordings for path in folder.glob(f"{env}_*.npz")):
            with np.load(path) as file:
                z = dict(file)
            # Nothing free: keys absent in some recordings.
            z |= {key: np.zeros((len(z["obs"]), 0)) for key in DOUBLES + OBJECTS if key not in z}
            keys[env] = " ".join(texts(z["obs_keys"]))
            in_file: set[str] = set()
            for start, why in windows(z):
                # One of a reason from each recording: different layouts.
                if why in in_file or len(seen[why]) == (1 if why in ONCE else 2):
                    continue
                if all(path.stem != other or abs(start - at) >= STEPS_EACH for each in seen.values() for other, at in each):
                    cuts.append(cut(path.stem, z, start, why, not seen[why]))
                    seen[why].append((path.stem, start))
                    in_file.add(why)
        print(f"{env}: " + ", ".join(f"{why} {len(at)}" for why, at in seen.items()), file=sys.stderr)
    arguments.out.write_text("".join("".join(f"{k} {v}\n" for k, v in c.items()) + "\n" for c in cuts), encoding="utf-8")
    arguments.keys.write_text("".join(f"{env} {parts}\n" for env, parts in keys.items()), encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main())
