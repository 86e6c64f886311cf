"""Statistics of the start layouts and goal respawns of the original Safety-Gymnasium, for the Rust layout test.

Every layout comes from a full `env.reset(seed)` of the original; nothing of its sampler is written again here.

Example: `python tests/parity/layout_statistics.py --resets 3000 --out tests/fixtures/layout_stats.json`
"""

from __future__ import annotations

import argparse
import dataclasses
import itertools
import json
import re
import sys
from pathlib import Path
from typing import Any

import mujoco
import numpy as np

from record import kind_of

sys.path.insert(0, str(Path(__file__).resolve().parent.parent / "transfer"))
from real_env import make_env  # noqa: E402 (the path above must come first)

LEVELS = (*(f"{task}{level}" for task in ("Goal", "Button", "Push", "Circle") for level in range(3)), "Run0")
ENV_IDS = tuple(f"Safety{agent}{level}-v0" for agent in ("Point", "Car", "Racecar") for level in LEVELS)
# Besides agent and goal; the walls and the circle always stand at the same place.
KINDS = ("hazard", "vase", "button", "pillar", "gremlin", "push_box")
TURNED_KINDS = ("vase", "gremlin", "push_box")  # the others look alike from every side
BUTTONS = 4
QUANTILES = (0.05, 0.1, 0.25, 0.5, 0.75, 0.9, 0.95)
POSITION_BINS = 20
YAW_BINS = 16
BOOTSTRAP_RESAMPLES = 200
DIGITS = 6


@dataclasses.dataclass(frozen=True)
class Layout:
    """World positions [2] or [n, 2] in metres and yaws in radians within [0, 2 pi) right after a reset.

    `respawned_goal` is the goal that follows when the first one is reached by the agent (Goal) or the push box (Push)
    standing exactly on it; `respawn_agent` is where the agent then is. `goal_button` is the button that is the goal.
    """

    agent: np.ndarray
    agent_yaw: float
    goal: np.ndarray | None
    objects: dict[str, np.ndarray]
    yaws: dict[str, np.ndarray]
    goal_button: int | None
    respawned_goal: np.ndarray | None
    respawn_agent: np.ndarray | None


def yaw_of_matrix(matrix: np.ndarray) -> float:
    """Rotation about z of a 3 x 3 matrix, within [0, 2 pi)."""
    return float(np.arctan2(matrix[1, 0], matrix[0, 0]) % (2 * np.pi))


def bodies(task: Any, kind: str) -> list[str]:
    """Names of the bodies of a kind, in order of their numbers."""
    names = [task.model.body(i).name for i in range(task.model.nbody)]
    return sorted((n for n in names if kind_of(n) == kind), key=lambda n: int("0" + re.sub(r"\D", "", n)))


def put_on_goal(task: Any, body: str) -> None:
    """Moves the agent or the push box to the goal."""
    goal = task.goal.pos[:2]
    model = task.model.body(body)
    joint = task.model.joint(int(model.jntadr[0]))
    at = int(joint.qposadr[0])
    if joint.type[0] == mujoco.mjtJoint.mjJNT_FREE:
        task.data.qpos[at : at + 2] = goal
        return
    world_from_initial = np.zeros(9)
    mujoco.mju_quat2Mat(world_from_initial, model.quat)
    # The Point's slide joints move along the axes of its initial orientation.
    offset = world_from_initial.reshape(3, 3).T @ np.append(goal - model.pos[:2], 0.0)
    task.data.qpos[at : at + 2] = offset[:2]


def respawn_goal(task: Any) -> np.ndarray:
    """Puts what must reach the goal on it and lets the task draw the next goal as its `step` does; returns its place [2]."""
    put_on_goal(task, "push_box" if hasattr(task, "push_box") else "agent")
    task.update_layout()
    task.update_world()
    return task.goal.pos[:2].copy()


def sample_layout(env: Any, seed: int) -> Layout:
    """Resets the environment and reads the layout, then the goal that follows it."""
    env.reset(seed=seed)
    task = env.unwrapped.task
    names = {kind: found for kind in KINDS if (found := bodies(task, kind))}
    body = task.data.body
    agent, goal = task.agent.pos[:2].copy(), task.goal.pos[:2].copy() if hasattr(task, "goal") else None
    agent_yaw = yaw_of_matrix(task.agent.mat)
    objects = {kind: np.array([body(n).xpos[:2] for n in found]) for kind, found in names.items()}
    yaws = {k: np.array([yaw_of_matrix(body(n).xmat.reshape(3, 3)) for n in names[k]]) for k in TURNED_KINDS if k in names}
    button = None
    if "button" in objects:
        button = int(np.argmin(np.linalg.norm(objects["button"] - goal, axis=1)))
        if nearest(goal[None], objects["button"]) > 1e-9:
            raise ValueError("the goal is not at a button")
    # Last: it moves things.
    respawned = respawn_goal(task) if goal is not None and button is None else None
    respawn_agent = task.agent.pos[:2].copy() if respawned is not None else None
    return Layout(agent, agent_yaw, goal, objects, yaws, button, respawned, respawn_agent)


def nearest(a: np.ndarray, b: np.ndarray) -> float:
    """Smallest distance between a point of `a` [n, 2] and a point of `b` [m, 2]."""
    return float(np.linalg.norm(a[:, None] - b[None], axis=-1).min())


def nearest_pair(a: np.ndarray) -> float:
    """Smallest distance between two different points of `a` [n, 2], n >= 2."""
    distances = np.linalg.norm(a[:, None] - a[None], axis=-1)
    return float(distances[np.triu_indices(len(a), 1)].min())


def scalars(layout: Layout) -> dict[str, float]:
    """The numbers whose distribution over resets is recorded; distances and radii (from the origin) in metres."""
    agent, goal, respawned = layout.agent[None], layout.goal, layout.respawned_goal
    values = {"agent_radius": np.linalg.norm(layout.agent)}
    if goal is not None:
        values |= {"goal_radius": np.linalg.norm(goal), "agent_goal": nearest(agent, goal[None])}
    if respawned is not None:
        values["respawn_goal_radius"] = np.linalg.norm(respawned)
        values["respawn_agent_goal"] = nearest(layout.respawn_agent[None], respawned[None])
    for name, objects in layout.objects.items():
        values[f"{name}_first_radius"] = np.linalg.norm(objects[0])
        values[f"{name}_last_radius"] = np.linalg.norm(objects[-1])
        values[f"agent_{name}_nearest"] = nearest(agent, objects)
        if name != "button":
            values[f"goal_{name}_nearest"] = nearest(goal[None], objects)
        if respawned is not None:
            # The push box then stands on the first goal.
            values[f"respawn_goal_{name}_nearest"] = nearest(respawned[None], goal[None] if name == "push_box" else objects)
        if len(objects) > 1:
            values[f"{name}_{name}_nearest"] = nearest_pair(objects)
    for one, other in itertools.combinations(layout.objects, 2):
        values[f"{one}_{other}_nearest"] = nearest(layout.objects[one], layout.objects[other])
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
    """Marginal distributions of every coordinate and yaw, and of the button that is the goal."""
    points = {"agent": np.array([layout.agent[None] for layout in layouts])}
    first = layouts[0]
    if first.goal is not None:
        points["goal"] = np.array([layout.goal[None] for layout in layouts])
    if first.respawned_goal is not None:
        points["respawn_goal"] = np.array([layout.respawned_goal[None] for layout in layouts])
    points |= {kind: np.array([layout.objects[kind] for layout in layouts]) for kind in first.objects}
    yaws = {"agent": np.array([[layout.agent_yaw] for layout in layouts])}
    yaws |= {kind: np.array([layout.yaws[kind] for layout in layouts]) for kind in first.yaws}
    result = {}
    for name, values in points.items():
        for axis, label in enumerate("xy"):
            result[f"{name}_{label}"] = histogram(values[:, :, axis], -half_extent, half_extent, POSITION_BINS)
    for name, values in yaws.items():
        result[f"{name}_yaw"] = histogram(values, 0.0, 2 * np.pi, YAW_BINS)
    if first.goal_button is not None:
        chosen = np.array([[layout.goal_button] for layout in layouts])
        result["goal_button"] = histogram(chosen, 0, BUTTONS, BUTTONS)
    return result


def env_statistics(env_id: str, resets: int) -> dict[str, Any]:
    """All statistics of one environment, from the resets with seeds 0 .. resets - 1."""
    env = make_env(env_id)
    layouts = [sample_layout(env, seed) for seed in range(resets)]
    task = env.unwrapped.task
    # In Circle and Run only the agent is drawn, within a rectangle of its own.
    square = task.agent.placements[0] if task.agent.placements else task.placements_conf.extents
    half_extent = float(task.floor_conf.size[0] if "Run" in env_id else square[2])
    table = [scalars(layout) for layout in layouts]
    return {
        "resets": resets,
        "half_extent": half_extent,
        "objects": {kind: len(places) for kind, places in layouts[0].objects.items()},
        "scalars": {name: describe(np.array([row[name] for row in table])) for name in table[0]},
        "histograms": histograms(layouts, half_extent),
    }


def to_json(value: Any) -> str:
    """Indented JSON with every list of numbers on one line."""
    return re.sub(r"\[[^\[\]]*\]", lambda match: " ".join(match[0].split()), json.dumps(value, indent=1)) + "\n"


def main() -> int:
    """Writes the statistics of the chosen environments after each; the others in the file are kept."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--resets", type=int, default=3000, help="layouts per environment (default 3000)")
    parser.add_argument("--envs", nargs="+", default=list(ENV_IDS), help="environment ids (default: all)")
    parser.add_argument("--out", type=Path, required=True, help="JSON file; entries with at least as many resets are kept")
    arguments = parser.parse_args()
    if arguments.resets < 2:
        parser.error("--resets must be at least 2")
    known = json.loads(arguments.out.read_text(encoding="utf-8"))["envs"] if arguments.out.exists() else {}
    for env_id in arguments.envs:
        if known.get(env_id, {}).get("resets", 0) < arguments.resets:
            known[env_id] = env_statistics(env_id, arguments.resets)
        document = {
            "source": "safety-gymnasium 1.0.0, mujoco 2.3.3",
            "quantile_levels": list(QUANTILES),
            "envs": {name: known[name] for name in ENV_IDS if name in known},
        }
        arguments.out.write_text(to_json(document), encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main())
