"""Environment steps per second from Python, beside the same in Rust and beside the original Safety-Gymnasium.

    python crates/python/benches/speed.py --num-envs 1024 --threads 2

Every round measures each in turn, so that all see the same machine; medians are printed. The original is measured where it is
installed (tests/transfer/README.md says how), in its vector environment of a process per environment.
"""

import argparse
import json
import statistics
import subprocess
import sys
import time

import numpy as np

import kfcpo

# Different actions, made before the clock starts.
ACTIONS = 16


def rate(step, num_envs, action_dim, seconds):
    """Environment steps per second of ``step(actions)``."""
    rng = np.random.default_rng(0)
    actions = [rng.uniform(-1, 1, (num_envs, action_dim)).astype(np.float32) for _ in range(ACTIONS)]
    for action in actions:
        step(action)
    start, steps = time.perf_counter(), 0
    while time.perf_counter() - start < seconds:
        step(actions[steps % ACTIONS])
        steps += 1
    return steps * num_envs / (time.perf_counter() - start)


def in_rust(arguments):
    """What ``bench env`` of the same build reaches."""
    options = ["--env", arguments.env, "--num-envs", arguments.num_envs, "--threads", arguments.threads, "--device", "cpu"]
    command = [sys.executable, "-m", "kfcpo", "bench", "env", "--json", *map(str, options)]
    return json.loads(subprocess.run(command, check=True, capture_output=True, text=True).stdout)["steps_per_s"]


def six_tuple(arguments):
    env = kfcpo.make_vec(arguments.env, arguments.num_envs, threads=arguments.threads)
    env.reset()
    return rate(env.step, env.num_envs, env.simulator.action_dim, arguments.seconds)


def gymnasiums(arguments):
    from gymnasium.vector import AutoresetMode

    from kfcpo.gymnasium import VectorEnv

    mode = AutoresetMode.SAME_STEP
    env = VectorEnv(arguments.env, arguments.num_envs, threads=arguments.threads, autoreset_mode=mode)
    env.reset()
    return rate(env.step, env.num_envs, env.single_action_space.shape[0], arguments.seconds)


def original(arguments):
    import safety_gymnasium

    name = kfcpo.Simulator(arguments.env, 1).id
    env = safety_gymnasium.vector.make(name, num_envs=arguments.original_envs)
    env.reset(seed=0)
    try:
        return rate(env.step, arguments.original_envs, env.single_action_space.shape[0], arguments.seconds)
    finally:
        env.close()


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--env", default="PointGoal1")
    parser.add_argument("--num-envs", type=int, default=1024)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--original-envs", type=int, default=4, help="environments, and processes, of the original")
    parser.add_argument("--seconds", type=float, default=3.0, help="of each measurement")
    parser.add_argument("--rounds", type=int, default=5)
    arguments = parser.parse_args()
    rates = {}
    for _ in range(arguments.rounds):
        for measure in (in_rust, six_tuple, gymnasiums, original):
            try:
                value = measure(arguments)
            except ImportError:
                continue  # not installed here
            rates.setdefault(measure.__name__, []).append(value)
    base = statistics.median(rates["in_rust"])
    for name, values in rates.items():
        median = statistics.median(values)
        print(f"{name:12} {median:12,.0f} steps/s   {median / base:8.4f} of in_rust   {sorted(map(round, values))}")


if __name__ == "__main__":
    main()
