"""What fixed policies earn, cost, touch and observe in the original Safety-Gymnasium, for comparison with our simulator.

The policies see only the observation, so each side can run them. README.md beside the output states their formulas.

Example: `python tests/parity/behaviour_statistics.py --episodes 200 --out tests/fixtures/behaviour_stats.json`
"""

from __future__ import annotations

import argparse
import dataclasses
import json
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from layout_statistics import rounded, to_json

sys.path.insert(0, str(Path(__file__).resolve().parent.parent / "transfer"))
from real_env import make_env  # noqa: E402 (the path above must come first)

ENV_IDS = ("SafetyPointGoal1-v0", "SafetyPointGoal2-v0", "SafetyPointGoal0-v0")

# Places of the Point's observation in the Goal tasks; level 0 has no vases.
FORWARD_VELOCITY = 3
GOAL_LIDAR = slice(12, 28)
VASE_LIDAR = slice(44, 60)
BIN_ANGLE = 2 * np.pi / 16

CRUISE_SPEED = 1.0  # m/s
FACING = 0.6  # rad: the target counts as ahead

# A policy maps (observation [D], generator) to an action [2].
ScriptedPolicy = Callable[[np.ndarray, np.random.Generator], np.ndarray]


def bearing(lidar: np.ndarray) -> float | None:
    """Angle to the nearest object of a lidar [16] in the agent's frame within [-pi, pi); None when none is in range.

    With one object in range the strongest bin holds s, its neighbours alpha s and (1 - alpha) s, where alpha is the
    object's place within the bin: the lidar can be inverted exactly. With several the angle is approximate.
    """
    strongest = int(np.argmax(lidar))
    after, before = lidar[(strongest + 1) % 16], lidar[strongest - 1]
    if after + before <= 0.0:
        return None
    angle = (strongest + after / (after + before)) * BIN_ANGLE
    return float((angle + np.pi) % (2 * np.pi) - np.pi)


def steer(obs: np.ndarray, lidar: slice) -> np.ndarray:
    """Turns to the nearest object of a lidar and holds CRUISE_SPEED while it is ahead; brakes otherwise."""
    angle = bearing(obs[lidar])
    if angle is None:
        return np.array([1.0, 0.3])
    target_speed = CRUISE_SPEED if abs(angle) < FACING else 0.0
    return np.clip([5.0 * (target_speed - obs[FORWARD_VELOCITY]), 2.0 * angle], -1.0, 1.0)


def seek(obs: np.ndarray, _noise: np.random.Generator) -> np.ndarray:
    """Drives to the goal, through whatever stands between."""
    return steer(obs, GOAL_LIDAR)


def ram(obs: np.ndarray, _noise: np.random.Generator) -> np.ndarray:
    """Drives at the nearest vase, again and again."""
    return steer(obs, VASE_LIDAR)


def uniform(_obs: np.ndarray, noise: np.random.Generator) -> np.ndarray:
    """A fresh uniform action every step."""
    return noise.uniform(-1.0, 1.0, 2)


POLICIES: dict[str, ScriptedPolicy] = {"seek": seek, "uniform": uniform, "ram": ram}


@dataclasses.dataclass(frozen=True)
class EpisodeRecord:
    """Scalars of one episode, and the mean and mean square [D] of its observations."""

    scalars: dict[str, float]
    obs_mean: np.ndarray
    obs_square: np.ndarray


class VaseProbe:
    """Watches the vases of a running episode."""

    def __init__(self, task: Any) -> None:
        self.task = task
        model = task.model
        names = [model.geom(i).name for i in range(model.ngeom)]
        self.agent_geoms = [i for i, name in enumerate(names) if name in task.agent.body_info.geom_names]
        self.vase_geoms = [i for i, name in enumerate(names) if name.startswith("vase")]
        self.start = self.positions()

    def positions(self) -> np.ndarray:
        """Positions [vases, 2]."""
        return np.array([p[:2] for p in self.task.vases.pos]) if self.vase_geoms else np.zeros((0, 2))

    def touched(self) -> bool:
        """Whether the agent touches a vase now."""
        contacts = self.task.data.contact
        pairs = np.stack([contacts.geom1, contacts.geom2])
        agent, vase = np.isin(pairs, self.agent_geoms), np.isin(pairs, self.vase_geoms)
        return bool((agent.any(axis=0) & vase.any(axis=0)).any())

    def displacement(self) -> float:
        """Mean distance between the vases' places now and at the start, in metres."""
        moved = np.linalg.norm(self.positions() - self.start, axis=1)
        return float(moved.mean()) if len(moved) else 0.0


def run_episode(env: Any, policy: ScriptedPolicy, seed: int) -> EpisodeRecord:
    """Plays the episode of a seed to its end."""
    noise = np.random.default_rng([seed, 1])
    obs, _ = env.reset(seed=seed)
    probe = VaseProbe(env.unwrapped.task)
    names = ("return", "cost", "goals", "contact_share", "hazard_share", "vase_contact_share", "vase_velocity_share", "length")
    totals = dict.fromkeys(names, 0.0)
    seen = [obs]
    done = False
    while not done:
        obs, reward, cost, terminated, truncated, info = env.step(policy(obs, noise))
        seen.append(obs)
        totals["return"] += reward
        totals["cost"] += cost
        totals["goals"] += bool(info.get("goal_met", False))
        totals["contact_share"] += probe.touched() if probe.vase_geoms else 0.0
        totals["hazard_share"] += info.get("cost_hazards", 0.0)
        totals["vase_contact_share"] += info.get("cost_vases_contact", 0.0)
        totals["vase_velocity_share"] += info.get("cost_vases_velocity", 0.0)
        totals["length"] += 1
        done = terminated or truncated
    for name in names:
        if name.endswith("_share"):
            totals[name] /= totals["length"]
    observations = np.array(seen)
    speed = np.linalg.norm(observations[:, 3:5], axis=1)
    totals |= {"speed": speed.mean(), "turn_rate": np.abs(observations[:, 8]).mean(), "vase_displacement": probe.displacement()}
    return EpisodeRecord(totals, observations.mean(axis=0), np.square(observations).mean(axis=0))


def summarise(records: list[EpisodeRecord]) -> dict[str, Any]:
    """Mean, standard deviation and standard error over episodes of every scalar, and the observation's moments."""
    count = len(records)
    scalars = {}
    for name in records[0].scalars:
        values = np.array([record.scalars[name] for record in records])
        std = values.std(ddof=1)
        scalars[name] = {"mean": rounded(values.mean()), "std": rounded(std), "stderr": rounded(std / np.sqrt(count))}
    means = np.array([record.obs_mean for record in records])
    variance = np.mean([record.obs_square for record in records], axis=0) - np.square(means.mean(axis=0))
    return {
        "episodes": count,
        "scalars": scalars,
        "obs_mean": rounded(means.mean(axis=0)),
        "obs_mean_stderr": rounded(means.std(axis=0, ddof=1) / np.sqrt(count)),
        "obs_std": rounded(np.sqrt(np.maximum(variance, 0.0))),
    }


def measure(env_id: str, policy: str, episodes: int) -> dict[str, Any]:
    """Statistics of one policy in one environment over the seeds 0 .. episodes - 1."""
    start = time.perf_counter()
    env = make_env(env_id)
    result = summarise([run_episode(env, POLICIES[policy], seed) for seed in range(episodes)])
    print(f"{env_id} {policy}: {time.perf_counter() - start:.0f} s", file=sys.stderr)
    return result


def parse_arguments() -> argparse.Namespace:
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--episodes", type=int, default=200, help="per environment and policy (default 200)")
    parser.add_argument("--envs", nargs="+", default=list(ENV_IDS), help="environment ids (default: PointGoal1, 2, 0)")
    parser.add_argument("--policies", nargs="+", choices=POLICIES, default=list(POLICIES))
    parser.add_argument("--out", type=Path, required=True, help="JSON file; environments already in it and not run now are kept")
    arguments = parser.parse_args()
    if arguments.episodes < 2:
        parser.error("--episodes must be at least 2")
    return arguments


def main() -> int:
    """Runs every policy in every environment and writes the file after each."""
    arguments = parse_arguments()
    document: dict[str, Any] = {"source": "safety-gymnasium 1.0.0, mujoco 2.3.3", "envs": {}}
    if arguments.out.exists():
        document["envs"] = json.loads(arguments.out.read_text(encoding="utf-8"))["envs"]
    for env_id in arguments.envs:
        for policy in arguments.policies:
            if policy == "ram" and "Goal0" in env_id:
                continue  # no vases
            document["envs"].setdefault(env_id, {})[policy] = measure(env_id, policy, arguments.episodes)
            arguments.out.write_text(to_json(document), encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main())
