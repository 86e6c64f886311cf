"""Steps per second of one environment of the original Safety-Gymnasium and of `trainer bench env`, in turn in one run.

    python benches/beside_original.py --trainer target/release/trainer RacecarGoal1 CarGoal1 --threads 1

Random actions; the original steps one environment in this process, as its users do, resets left out of neither. It needs the
packages of tests/transfer (its README says how they are installed).
"""

import argparse
import json
import pathlib
import statistics
import subprocess
import sys
import time

import numpy as np

sys.path.insert(0, str(pathlib.Path(__file__).parent.parent / "tests" / "transfer"))
import real_env  # noqa: E402 (it lies there)


def of_original(env, rng, seconds):
    """Steps per second of `env` of Safety-Gymnasium, its resets among them."""
    scale = np.asarray(env.action_space.high)
    start, steps = time.perf_counter(), 0
    while time.perf_counter() - start < seconds:
        _, _, _, terminated, truncated, _ = env.step(rng.uniform(-1, 1, len(scale)) * scale)
        steps += 1
        if terminated or truncated:
            env.reset()
    return steps / (time.perf_counter() - start)


def of_ours(name, arguments):
    """The same of `bench env`, and the bytes of an environment."""
    options = ["--env", name, "--num-envs", str(arguments.num_envs), "--threads", str(arguments.threads), "--json"]
    done = subprocess.run([arguments.trainer, "bench", "env", *options], check=True, capture_output=True, text=True)
    row = json.loads(done.stdout)
    return row["steps_per_s"], row["bytes_per_env"]


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("env", nargs="+", help="as PointGoal1")
    parser.add_argument("--trainer", required=True, help="the program")
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--num-envs", type=int, default=1024)
    parser.add_argument("--rounds", type=int, default=4)
    parser.add_argument("--seconds", type=float, default=4.0, help="of a round of the original")
    arguments = parser.parse_args()

    for name in arguments.env:
        env = real_env.make_env(f"Safety{name}-v0")
        env.reset(seed=0)
        rng = np.random.default_rng(0)
        original, ours, size = [], [], 0
        for _ in range(arguments.rounds):
            original.append(of_original(env, rng, arguments.seconds))
            steps, size = of_ours(name, arguments)
            ours.append(steps)
        one, other = statistics.median(original), statistics.median(ours)
        ratio = f"{other / one:.0f} times"
        print(f"{name}, {arguments.threads} threads: original {one:.0f}, ours {other:,.0f} steps/s, {ratio}, {size} bytes an environment")


if __name__ == "__main__":
    main()
