"""What fixed policies earn, cost, touch and observe in the original Safety-Gymnasium, for comparison with our simulator.

The policies (`scripted_policies.py`) see only the observation, so each side can run them. The work can be interrupted:
finished episodes stay in the `--cache` folder and the next run adds what is missing.

Example: `python tests/parity/behaviour_statistics.py --episodes 100 --cache CACHE --out tests/fixtures/behaviour_stats.json`
"""

from __future__ import annotations

import argparse
import dataclasses
import json
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np

from layout_statistics import rounded, to_json
from record import kind_of
from scripted_policies import POLICIES, ScriptedPolicy, View

sys.path.insert(0, str(Path(__file__).resolve().parent.parent / "transfer"))
from real_env import make_env  # noqa: E402 (the path above must come first)

# Levels with obstacles first: they tell most.
ENV_IDS = tuple(
    f"Safety{agent}{task}{level}-v0"
    for level in (1, 2, 0)
    for agent in ("Car", "Point", "Racecar")
    for task in ("Goal", "Button", "Push", "Circle", "Run")
    if task != "Run" or level == 0
)
SHARES = {
    "cost_hazards": "hazard_share",
    "cost_vases_contact": "vase_contact_share",
    "cost_vases_velocity": "vase_velocity_share",
    "cost_pillars": "pillar_share",
    "cost_buttons": "button_share",
    "cost_gremlins": "gremlin_share",
    "cost_out_of_boundary": "out_of_boundary_share",
}
SOLID_KINDS = ("vase", "pillar", "button", "gremlin", "push_box")
SAVE_EVERY = 10  # episodes


@dataclasses.dataclass
class Episodes:
    """Finished episodes, one row each: scalars by name [n], mean and mean square [n, D] of the observations."""

    scalars: dict[str, list[float]] = dataclasses.field(default_factory=dict)
    obs_mean: list[np.ndarray] = dataclasses.field(default_factory=list)
    obs_square: list[np.ndarray] = dataclasses.field(default_factory=list)

    def __len__(self) -> int:
        return len(self.obs_mean)

    def add(self, scalars: dict[str, float], observations: np.ndarray) -> None:
        """Adds an episode; a name that earlier episodes lacked was zero in them."""
        for name in scalars.keys() | self.scalars.keys():
            self.scalars.setdefault(name, [0.0] * len(self)).append(float(scalars.get(name, 0.0)))
        self.obs_mean.append(observations.mean(axis=0))
        self.obs_square.append(np.square(observations).mean(axis=0))

    @classmethod
    def load(cls, path: Path | None) -> Episodes:
        """From a cache file; none when there is none."""
        if path is None or not path.exists():
            return cls()
        with np.load(path) as file:
            scalars = {str(name): list(row) for name, row in zip(file["names"], file["scalars"])}
            return cls(scalars, list(file["obs_mean"]), list(file["obs_square"]))

    def save(self, path: Path) -> None:
        """To a cache file, whole or not at all."""
        partial = path.with_suffix(".part.npz")
        names = np.array(list(self.scalars))
        table = np.array(list(self.scalars.values()))
        np.savez(partial, names=names, scalars=table, obs_mean=self.obs_mean, obs_square=self.obs_square)
        partial.replace(path)


class ContactProbe:
    """Watches what the agent touches in a running episode and how far the movable objects get."""

    def __init__(self, task: Any) -> None:
        self.task, self.model, self.data = task, task.model, task.data
        bodies = [kind_of(self.model.body(int(b)).name) for b in self.model.geom_bodyid]
        names = [self.model.geom(i).name for i in range(self.model.ngeom)]
        self.is_agent = np.array([name in task.agent.body_info.geom_names for name in names])
        # 0: nothing to bump into.
        self.kind = np.array([SOLID_KINDS.index(b) + 1 if b in SOLID_KINDS else 0 for b in bodies])
        self.vases = [i for i in range(self.model.nbody) if kind_of(self.model.body(i).name) == "vase"]
        self.boxes = [i for i in range(self.model.nbody) if self.model.body(i).name == "push_box"]
        self.kinds_here = [SOLID_KINDS[k - 1] for k in np.unique(self.kind) if k]
        self.start = self.data.xpos[:, :2].copy()
        self.last = self.start.copy()
        self.touches = np.zeros(len(SOLID_KINDS) + 1)
        self.touching_steps = 0
        self.box_path = 0.0

    def observe(self) -> None:
        """Counts the present moment."""
        contacts = self.data.contact
        first, second = contacts.geom1, contacts.geom2
        kinds = np.r_[self.kind[second[self.is_agent[first]]], self.kind[first[self.is_agent[second]]]]
        present = np.bincount(kinds, minlength=len(self.touches)) > 0
        self.touches += present
        self.touching_steps += bool(present[1:].any())
        for box in self.boxes:
            place = self.data.xpos[box, :2].copy()
            self.box_path += float(np.linalg.norm(place - self.last[box]))
            self.last[box] = place

    def scalars(self, steps: int) -> dict[str, float]:
        """Shares of steps in touch, and displacements in metres."""
        moved = np.linalg.norm(self.data.xpos[:, :2] - self.start, axis=1)
        values = {"contact_share": self.touching_steps / steps}
        values |= {f"{kind}_touch_share": self.touches[SOLID_KINDS.index(kind) + 1] / steps for kind in self.kinds_here}
        if self.vases:
            values["vase_displacement"] = float(moved[self.vases].mean())
        if self.boxes:
            values |= {"push_box_displacement": float(moved[self.boxes].mean()), "push_box_path": self.box_path}
        return values


def move_gremlins(gremlins: Any) -> None:
    """What `Gremlins.move` does, with the same arithmetic and without looking up names: twice the speed in Button."""
    phase = float(gremlins.engine.data.time)
    target = np.array([np.sin(phase), np.cos(phase)]) * gremlins.travel
    gremlins.engine.data.mocap_pos[: gremlins.num] = (target[0], target[1], gremlins.size)


def run_episode(env: Any, policy: ScriptedPolicy, view: View, seed: int) -> tuple[dict[str, float], np.ndarray]:
    """Plays the episode of a seed to its end; returns its scalars and all observations [steps + 1, D]."""
    noise = np.random.default_rng([seed, 1])
    obs, _ = env.reset(seed=seed)
    probe = ContactProbe(env.unwrapped.task)
    totals = dict.fromkeys(("return", "cost", "goals", "length"), 0.0)
    shares: dict[str, float] = {}
    seen = [obs]
    done = False
    while not done:
        obs, reward, cost, terminated, truncated, info = env.step(policy(obs, view, noise))
        seen.append(obs)
        totals["return"] += reward
        totals["cost"] += cost
        totals["goals"] += bool(info.get("goal_met", False))
        totals["length"] += 1
        for key, name in SHARES.items():
            if key in info:
                shares[name] = shares.get(name, 0.0) + float(info[key])
        probe.observe()
        done = terminated or truncated
    observations = np.array(seen)
    steps = int(totals["length"])
    motion = {"speed": np.linalg.norm(observations[:, 3:5], axis=1).mean(), "turn_rate": np.abs(observations[:, 8]).mean()}
    shares = {name: total / steps for name, total in shares.items()}
    return totals | shares | motion | probe.scalars(steps), observations


def summarise(episodes: Episodes) -> dict[str, Any]:
    """Mean, standard deviation and standard error over episodes of every scalar, and the observation's moments."""
    count = len(episodes)
    scalars = {}
    for name, values in sorted(episodes.scalars.items()):
        std = np.std(values, ddof=1)
        scalars[name] = {"mean": rounded(np.mean(values)), "std": rounded(std), "stderr": rounded(std / np.sqrt(count))}
    means = np.array(episodes.obs_mean)
    variance = np.mean(episodes.obs_square, axis=0) - np.square(means.mean(axis=0))
    return {
        "episodes": count,
        "scalars": scalars,
        "obs_mean": rounded(means.mean(axis=0)),
        "obs_mean_stderr": rounded(means.std(axis=0, ddof=1) / np.sqrt(count)),
        "obs_std": rounded(np.sqrt(np.maximum(variance, 0.0))),
    }


def measure(env_id: str, policy: str, count: int, cache: Path | None) -> dict[str, Any]:
    """Statistics of one policy in one environment over the seeds 0 .. count - 1."""
    start = time.perf_counter()
    path = cache / f"{env_id}_{policy}.npz" if cache else None
    episodes = Episodes.load(path)
    known = len(episodes)
    env = make_env(env_id)
    spaces = env.unwrapped.task.obs_info.obs_space_dict.spaces
    view = View.of(env_id, {name: int(np.prod(space.shape)) for name, space in spaces.items()})
    for seed in range(known, count):
        episodes.add(*run_episode(env, POLICIES[policy], view, seed))
        if path and (len(episodes) % SAVE_EVERY == 0 or len(episodes) == count):
            episodes.save(path)
    seconds = time.perf_counter() - start
    print(f"{env_id} {policy}: {len(episodes) - known} new episodes, {seconds:.0f} s", file=sys.stderr, flush=True)
    return summarise(episodes)


def parse_arguments() -> argparse.Namespace:
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--episodes", type=int, default=100, help="per environment and policy (default 100)")
    parser.add_argument("--envs", nargs="+", default=list(ENV_IDS), help="environment ids (default: all)")
    parser.add_argument("--policies", nargs="+", choices=POLICIES, default=["uniform", "seek"])
    parser.add_argument("--cache", type=Path, help="folder of finished episodes, to resume from")
    parser.add_argument("--out", type=Path, required=True, help="JSON file; entries with at least as many episodes are kept")
    arguments = parser.parse_args()
    if arguments.episodes < 2:
        parser.error("--episodes must be at least 2")
    return arguments


def main() -> int:
    """Runs every policy in every environment and writes the file after each."""
    arguments = parse_arguments()
    if arguments.cache:
        arguments.cache.mkdir(parents=True, exist_ok=True)
    document: dict[str, Any] = {"source": "safety-gymnasium 1.0.0, mujoco 2.3.3", "envs": {}}
    if arguments.out.exists():
        document["envs"] = json.loads(arguments.out.read_text(encoding="utf-8"))["envs"]
    make_env("SafetyPointGoal0-v0")  # imports the package
    from safety_gymnasium.assets.mocaps.gremlins import Gremlins

    Gremlins.move = move_gremlins
    for env_id in arguments.envs:
        for policy in arguments.policies:
            entry = document["envs"].setdefault(env_id, {})
            if entry.get(policy, {}).get("episodes", 0) < arguments.episodes:
                entry[policy] = measure(env_id, policy, arguments.episodes, arguments.cache)
                arguments.out.write_text(to_json(document), encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main())
