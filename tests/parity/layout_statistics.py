"""Statistics of the start layouts and goal respawns of the original Safety-Gymnasium, for the Rust layout test.

Every layout comes from a full `env.reset(seed)` of the original; nothing of its sampler is written again here.

Example: `python tests/parity/layout_statistics.py --resets 10000 --out tests/fixtures/layout_stats.json`
"""

from __future__ import annotations

import argparse
import dataclasses
import json
import re
import sys
from pathlib import Path
from typing import Any

import mujoco
import numpy as np

sys.path.insert(0, str(Path(__file__).resolve().parent.parent / "transfer"))
from real_env import make_env  # noqa: E402 (the path above must come first)

ENV_IDS = ("SafetyPointGoal0-v0", "SafetyPointGoal1-v0", "SafetyPointGoal2-v0")
QUANTILES = (0.05, 0.1, 0.25, 0.5, 0.75, 0.9, 0.95)
POSITION_BINS = 20
YAW_BINS = 16
BOOTSTRAP_RESAMPLES = 200
DIGITS = 6


@dataclasses.dataclass(frozen=True)
class Layout:
    """World positions [2] or [n, 2] in metres and yaws in radians within [0, 2 pi) right after a reset.

    `respawned_goal` is the goal that follows when the agent stands exactly on the first one.
    """

    agent: np.ndarray
    agent_yaw: float
    goal: np.ndarray
    hazards: np.ndarray
    vases: np.ndarray
    vase_yaws: np.ndarray
    respawned_goal: np.ndarray


def yaw_of_matrix(matrix: np.ndarray) -> float:
    """Rotation about z of a 3 x 3 matrix, within [0, 2 pi)."""
    return float(np.arctan2(matrix[1, 0], matrix[0, 0]) % (2 * np.pi))


def positions(task: Any, kind: str) -> np.ndarray:
    """Positions [n, 2] of all objects of a kind; n = 0 when the task has none."""
    if not hasattr(task, kind):
        return np.empty((0, 2))
    return np.array([position[:2] for position in getattr(task, kind).pos]).reshape(-1, 2)


def respawn_goal(task: Any) -> np.ndarray:
    """Puts the agent on the goal and lets the task draw the next goal as its `step` does; returns the new position [2]."""
    body = task.model.body("agent")
    world_from_initial = np.zeros(9)
    mujoco.mju_quat2Mat(world_from_initial, body.quat)
    # The slide joints move along the axes of the agent's initial orientation.
    offset = world_from_initial.reshape(3, 3).T @ np.append(task.goal.pos[:2] - body.pos[:2], 0.0)
    task.data.qpos[:2] = offset[:2]
    task.update_layout()
    task.update_world()
    return task.goal.pos[:2].copy()


def sample_layout(env: Any, seed: int) -> Layout:
    """Resets the environment and reads the layout, then the goal that follows it."""
    env.reset(seed=seed)
    task = env.unwrapped.task
    vases = positions(task, "vases")
    return Layout(
        agent=task.agent.pos[:2].copy(),
        agent_yaw=yaw_of_matrix(task.agent.mat),
        goal=task.goal.pos[:2].copy(),
        hazards=positions(task, "hazards"),
        vases=vases,
        vase_yaws=np.array([yaw_of_matrix(task.data.body(f"vase{i}").xmat.reshape(3, 3)) for i in range(len(vases))]),
        respawned_goal=respawn_goal(task),  # last: it moves the agent
    )


def nearest(a: np.ndarray, b: np.ndarray) -> float:
    """Smallest distance between a point of `a` [n, 2] and a point of `b` [m, 2]."""
    return float(np.linalg.norm(a[:, None] - b[None], axis=-1).min())


def nearest_pair(a: np.ndarray) -> float:
    """Smallest distance between two different points of `a` [n, 2], n >= 2."""
    distances = np.linalg.norm(a[:, None] - a[None], axis=-1)
    return float(distances[np.triu_indices(len(a), 1)].min())


def scalars(layout: Layout) -> dict[str, float]:
    """The numbers whose distribution over resets is recorded; distances and radii (from the origin) in metres."""
    agent, goal, respawned = layout.agent[None], layout.goal[None], layout.respawned_goal[None]
    values = {
        "agent_radius": np.linalg.norm(layout.agent),
        "goal_radius": np.linalg.norm(layout.goal),
        "agent_goal": nearest(agent, goal),
        "respawn_goal_radius": np.linalg.norm(layout.respawned_goal),
        "respawn_agent_goal": nearest(goal, respawned),
    }
    for name, objects in (("hazard", layout.hazards), ("vase", layout.vases)):
        if len(objects):
            values[f"{name}_first_radius"] = np.linalg.norm(objects[0])
            values[f"{name}_last_radius"] = np.linalg.norm(objects[-1])
            values[f"agent_{name}_nearest"] = nearest(agent, objects)
            values[f"goal_{name}_nearest"] = nearest(goal, objects)
            values[f"respawn_goal_{name}_nearest"] = nearest(respawned, objects)
        if len(objects) > 1:
            values[f"{name}_{name}_nearest"] = nearest_pair(objects)
    if len(layout.hazards) and len(layout.vases):
        values["hazard_vase_nearest"] = nearest(layout.hazards, layout.vases)
    return {name: float(value) for name, value in values.items()}


def rounded(values: Any) -> Any:
    """Numbers with DIGITS decimals, for a file that reads well."""
    return np.round(values, DIGITS).tolist()


def describe(values: np.ndarray) -> dict[str, Any]:
    """Count, mean, standard deviation and quantiles of values [n], with standard errors of the mean and the quantiles."""
    picks = np.random.default_rng(0).integers(len(values), size=(BOOTSTRAP_RESAMPLES, len(values)))
    resampled = np.quantile(values[picks], QUANTILES, axis=1)
    return {
        "count": len(values),
        "mean": rounded(values.mean()),
        "std": rounded(values.std(ddof=1)),
        "mean_stderr": rounded(values.std(ddof=1) / np.sqrt(len(values))),
        "quantiles": rounded(np.quantile(values, QUANTILES)),
        "quantiles_stderr": rounded(resampled.std(axis=1, ddof=1)),
    }


def histogram(per_layout: np.ndarray, low: float, high: float, bins: int) -> dict[str, Any]:
    """Share of objects per bin of values [layouts, objects].

    The standard error comes from the spread over layouts, since objects of one layout are not independent.
    """
    index = np.floor((per_layout - low) / (high - low) * bins).astype(int)
    if index.min() < 0 or index.max() >= bins:
        raise ValueError(f"a value lies outside [{low}, {high})")
    shares = (index[:, :, None] == np.arange(bins)).mean(axis=1)
    stderr = shares.std(axis=0, ddof=1) / np.sqrt(len(shares))
    return {"low": low, "high": high, "share": rounded(shares.mean(axis=0)), "share_stderr": rounded(stderr)}


def histograms(layouts: list[Layout], half_extent: float) -> dict[str, Any]:
    """Marginal distributions of every coordinate and yaw."""
    points = {
        "agent": np.array([layout.agent[None] for layout in layouts]),
        "goal": np.array([layout.goal[None] for layout in layouts]),
        "respawn_goal": np.array([layout.respawned_goal[None] for layout in layouts]),
        "hazard": np.array([layout.hazards for layout in layouts]),
        "vase": np.array([layout.vases for layout in layouts]),
    }
    yaws = {"agent": np.array([[layout.agent_yaw] for layout in layouts]), "vase": np.array([layout.vase_yaws for layout in layouts])}
    result = {}
    for name, values in points.items():
        for axis, label in enumerate("xy"):
            if values.shape[1]:
                result[f"{name}_{label}"] = histogram(values[:, :, axis], -half_extent, half_extent, POSITION_BINS)
    for name, values in yaws.items():
        if values.shape[1]:
            result[f"{name}_yaw"] = histogram(values, 0.0, 2 * np.pi, YAW_BINS)
    return result


def env_statistics(env_id: str, resets: int) -> dict[str, Any]:
    """All statistics of one environment, from the resets with seeds 0 .. resets - 1."""
    env = make_env(env_id)
    layouts = [sample_layout(env, seed) for seed in range(resets)]
    half_extent = float(env.unwrapped.task.placements_conf.extents[2])
    table = [scalars(layout) for layout in layouts]
    return {
        "resets": resets,
        "half_extent": half_extent,
        "hazards": len(layouts[0].hazards),
        "vases": len(layouts[0].vases),
        "scalars": {name: describe(np.array([row[name] for row in table])) for name in table[0]},
        "histograms": histograms(layouts, half_extent),
    }


def to_json(value: Any) -> str:
    """Indented JSON with every list of numbers on one line."""
    return re.sub(r"\[[^\[\]]*\]", lambda match: " ".join(match[0].split()), json.dumps(value, indent=1)) + "\n"


def main() -> int:
    """Writes the statistics of all environments."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--resets", type=int, default=10_000, help="layouts per environment (default 10000)")
    parser.add_argument("--out", type=Path, required=True, help="JSON file to write")
    arguments = parser.parse_args()
    if arguments.resets < 2:
        parser.error("--resets must be at least 2")
    statistics = {
        "source": "safety-gymnasium 1.0.0, mujoco 2.3.3",
        "quantile_levels": list(QUANTILES),
        "envs": {env_id: env_statistics(env_id, arguments.resets) for env_id in ENV_IDS},
    }
    arguments.out.write_text(to_json(statistics), encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main())
