"""OmniSafe's PPOLag on the original simulator and on this one: environment steps per second of its rollout.

    python crates/python/benches/omnisafe_speed.py

OmniSafe is unchanged: its rollout is timed from outside. Every environment plays one whole episode, since OmniSafe needs one to
learn from; the update, which is not measured, is a single pass in large batches. Every round runs all rows in turn; medians are
printed.
"""

import argparse
import contextlib
import io
import statistics
import tempfile
import time

import omnisafe

import kfcpo.omnisafe  # noqa: F401  registers the environments


EPISODE = 1000


def rollout_rate(env_id, num_envs, directory):
    """Steps per second of the rollout of one epoch of PPOLag."""
    steps = num_envs * EPISODE
    agent = omnisafe.Agent(
        "PPOLag",
        env_id,
        custom_cfgs={
            "train_cfgs": {"vector_env_nums": num_envs, "total_steps": steps, "torch_threads": 2},
            "algo_cfgs": {"steps_per_epoch": steps, "update_iters": 1, "batch_size": 4096},
            "logger_cfgs": {"use_wandb": False, "use_tensorboard": False, "log_dir": directory},
        },
    )
    adapter, rollout, spent = agent.agent._env, agent.agent._env.rollout, []

    def timed(*arguments, **named):
        start = time.perf_counter()
        rollout(*arguments, **named)
        spent.append(time.perf_counter() - start)

    adapter.rollout = timed
    agent.learn()
    return steps / sum(spent)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=3)
    arguments = parser.parse_args()
    kinds = [("Safety", 1), ("Safety", 2), ("Safety", 4), ("Fast", 1), ("Fast", 20), ("Fast", 512)]
    rows = [(f"{prefix}PointGoal1-v0", num_envs) for prefix, num_envs in kinds]
    rates = {}
    for _ in range(arguments.rounds):
        for row in rows:
            with tempfile.TemporaryDirectory() as directory, contextlib.redirect_stdout(io.StringIO()):
                rates.setdefault(row, []).append(rollout_rate(*row, directory))
    best = max(statistics.median(rates[row]) for row in rows if row[0].startswith("Safety"))
    for (env_id, num_envs), values in rates.items():
        rate = statistics.median(values)
        print(f"{env_id:20} x {num_envs:3}: {rate:9,.0f} steps/s, {rate / best:6.2f} x the best of the original")


if __name__ == "__main__":
    main()
