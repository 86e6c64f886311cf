"""OmniSafe's PPOLag on the original simulator and on this one: environment steps per second of its rollout and of all it does.

    python crates/python/benches/omnisafe_speed.py

OmniSafe is unchanged: its rollout is timed from outside. Every round runs all rows in turn; medians are printed.
"""

import argparse
import contextlib
import io
import statistics
import tempfile
import time

import omnisafe

import kfcpo.omnisafe  # noqa: F401  registers the environments


def train(env_id, num_envs, steps, directory):
    """Steps per second of the rollout, and of rollout and update, over one epoch of PPOLag in its own settings."""
    agent = omnisafe.Agent(
        "PPOLag",
        env_id,
        custom_cfgs={
            "train_cfgs": {"vector_env_nums": num_envs, "total_steps": steps, "torch_threads": 2},
            "algo_cfgs": {"steps_per_epoch": steps},
            "logger_cfgs": {"use_wandb": False, "use_tensorboard": False, "log_dir": directory},
        },
    )
    adapter, rollout, spent = agent.agent._env, agent.agent._env.rollout, []

    def timed(*arguments, **named):
        start = time.perf_counter()
        rollout(*arguments, **named)
        spent.append(time.perf_counter() - start)

    adapter.rollout = timed
    start = time.perf_counter()
    agent.learn()
    return steps / sum(spent), steps / (time.perf_counter() - start)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=3)
    arguments = parser.parse_args()
    rows = [
        ("SafetyPointGoal1-v0", 1, 2_000),
        ("SafetyPointGoal1-v0", 2, 2_000),
        ("FastPointGoal1-v0", 1, 2_000),
        ("FastPointGoal1-v0", 20, 20_000),
        ("FastPointGoal1-v0", 512, 51_200),
    ]
    rates = {}
    for _ in range(arguments.rounds):
        for row in rows:
            with tempfile.TemporaryDirectory() as directory, contextlib.redirect_stdout(io.StringIO()):
                rates.setdefault(row, []).append(train(*row, directory))
    base = max(statistics.median(rollout for rollout, _ in rates[row]) for row in rows if row[0].startswith("Safety"))
    for (env_id, num_envs, _), values in rates.items():
        rollout, all_of_it = (statistics.median(column) for column in zip(*values))
        print(
            f"{env_id:20} x {num_envs:4}: rollout {rollout:9,.0f} steps/s ({rollout / base:6.1f} x the original), "
            f"with the update {all_of_it:8,.0f}"
        )


if __name__ == "__main__":
    main()
