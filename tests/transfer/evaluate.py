"""Runs an exported policy in the original Safety-Gymnasium, with no training code in between (zero-shot transfer).

Example: `python evaluate.py policy.safetensors --episodes 50 --seed 1000 --workers 2 --json`
"""

from __future__ import annotations

import argparse
import dataclasses
import functools
import json
import multiprocessing
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np

from policy import Policy, PolicyFileError, load_policy
from real_env import make_env

BOOTSTRAP_RESAMPLES = 10_000


@dataclasses.dataclass(frozen=True)
class Episode:
    """Undiscounted totals of one episode."""

    episode_return: float
    cost: float
    length: int
    goals: int


@dataclasses.dataclass(frozen=True)
class Job:
    """What every worker process needs to run episodes by itself."""

    policy: Policy
    env_id: str
    seed: int
    stochastic: bool
    stock_assets: bool


def run_episode(env: Any, policy: Policy, seed: int, stochastic: bool) -> Episode:
    """Plays one episode; `seed` fixes the layout, the goals and the action noise."""
    noise = np.random.default_rng([seed, 1]) if stochastic else None
    obs, _ = env.reset(seed=seed)
    total_return, total_cost, length, goals = 0.0, 0.0, 0, 0
    done = False
    # Policies act in [-1, 1]; the Racecar's commands are in rad/s and rad.
    most = env.action_space.high
    while not done:
        obs, reward, cost, terminated, truncated, info = env.step(policy.act(obs, noise) * most)
        total_return += reward
        total_cost += cost
        length += 1
        goals += bool(info.get("goal_met", False))
        done = terminated or truncated
    return Episode(total_return, total_cost, length, goals)


@functools.lru_cache(maxsize=1)
def cached_env(env_id: str, stock_assets: bool) -> Any:
    """The process's own environment, built on first use."""
    return make_env(env_id, stock_assets)


def run_indexed_episode(job: Job, index: int) -> Episode:
    """Plays episode `index`, which has the seed `job.seed + index` whichever process runs it."""
    return run_episode(cached_env(job.env_id, job.stock_assets), job.policy, job.seed + index, job.stochastic)


def run_episodes(job: Job, episodes: int, workers: int) -> Iterator[Episode]:
    """Yields the episodes in order, played by `workers` processes."""
    play = functools.partial(run_indexed_episode, job)
    if workers == 1:
        yield from map(play, range(episodes))
        return
    with multiprocessing.get_context("spawn").Pool(workers) as pool:
        yield from pool.imap(play, range(episodes))


def bootstrap_interval(values: np.ndarray) -> list[float]:
    """Bounds of the 95 % percentile bootstrap interval of the mean."""
    picks = np.random.default_rng(0).integers(len(values), size=(BOOTSTRAP_RESAMPLES, len(values)))
    return [float(bound) for bound in np.percentile(values[picks].mean(axis=1), [2.5, 97.5])]


def summarise(episodes: list[Episode], cost_limit: float) -> dict[str, Any]:
    """Mean, standard deviation (of the sample, divisor n) and interval of the mean over episodes."""
    returns = np.array([e.episode_return for e in episodes])
    costs = np.array([e.cost for e in episodes])
    return {
        "return_mean": returns.mean(),
        "return_std": returns.std(),
        "return_ci95": bootstrap_interval(returns),
        "cost_mean": costs.mean(),
        "cost_std": costs.std(),
        "cost_ci95": bootstrap_interval(costs),
        "cost_limit": cost_limit,
        "violation_rate": float((costs > cost_limit).mean()),
        "length_mean": float(np.mean([e.length for e in episodes])),
        "goals_mean": float(np.mean([e.goals for e in episodes])),
    }


def check_env(policy: Policy, env_id: str) -> None:
    """Exits unless the environment's observation and action sizes are the policy's."""
    env = cached_env(env_id, stock_assets=False)
    sizes = (env.observation_space.shape[0], env.action_space.shape[0])
    if sizes != (policy.obs_dim, policy.action_dim):
        raise SystemExit(
            f"error: the policy maps {policy.obs_dim} observations to {policy.action_dim} actions, "
            f"{env_id} has {sizes[0]} and {sizes[1]}"
        )


def positive(text: str) -> int:
    """Argument type: an integer of at least 1."""
    value = int(text)
    if value < 1:
        raise argparse.ArgumentTypeError(f"{value} is not at least 1")
    return value


def parse_arguments() -> argparse.Namespace:
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("policy", type=Path, help="file written by `trainer export RUN --format safetensors`")
    parser.add_argument("--env", help="environment id (default: the one the policy was trained on)")
    parser.add_argument("--episodes", type=positive, default=50)
    parser.add_argument("--seed", type=int, default=1000, help="episode i is reset with SEED + i (default 1000)")
    parser.add_argument("--stochastic", action="store_true", help="sample actions instead of taking the mean")
    parser.add_argument("--cost-limit", type=float, default=25.0, help="an episode above it is a violation (default 25)")
    parser.add_argument("--workers", type=positive, default=1, help="processes")
    parser.add_argument("--json", action="store_true", help="print one JSON object")
    parser.add_argument("--stock-assets", action="store_true", help="decode the original sky at every reset (same physics, slow)")
    return parser.parse_args()


def print_text(report: dict[str, Any]) -> None:
    """Prints a report for people."""
    kind = "mean actions" if report["deterministic"] else "sampled actions"
    print(f"{report['env']}, {report['episodes']} episodes of the original Safety-Gymnasium, {kind}")
    for name in ("return", "cost"):
        low, high = report[f"{name}_ci95"]
        print(f"{name:>10}  {report[f'{name}_mean']:8.2f} +- {report[f'{name}_std']:.2f}   95 % of the mean [{low:.2f}, {high:.2f}]")
    print(f"{'violations':>10}  {100 * report['violation_rate']:7.0f} % of episodes cost more than {report['cost_limit']:g}")
    print(f"{'goals':>10}  {report['goals_mean']:8.2f}   length {report['length_mean']:.0f}   ({report['wall_s']:.0f} s)")


def main() -> int:
    """Evaluates the policy and prints the report."""
    arguments = parse_arguments()
    try:
        policy = load_policy(arguments.policy)
    except PolicyFileError as error:
        raise SystemExit(f"error: {error}") from error
    env_id = arguments.env or policy.env
    check_env(policy, env_id)
    job = Job(policy, env_id, arguments.seed, arguments.stochastic, arguments.stock_assets)
    start = time.perf_counter()
    episodes = []
    for episode in run_episodes(job, arguments.episodes, arguments.workers):
        episodes.append(episode)
        print(f"\repisode {len(episodes)}/{arguments.episodes}", end="", file=sys.stderr, flush=True)
    print(file=sys.stderr)
    report = {
        "env": env_id,
        "checkpoint": str(arguments.policy),
        "episodes": arguments.episodes,
        "seed": arguments.seed,
        "deterministic": not arguments.stochastic,
        **summarise(episodes, arguments.cost_limit),
        "wall_s": time.perf_counter() - start,
    }
    print(json.dumps(report)) if arguments.json else print_text(report)
    return 0


if __name__ == "__main__":
    sys.exit(main())
