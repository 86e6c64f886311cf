"""Learning curves of OmniSafe and of this trainer on the same simulator, with the same settings.

    python crates/python/benches/omnisafe_curves.py train --side omnisafe --algo CPO --seed 0 --out curves
    python crates/python/benches/omnisafe_curves.py train --side kfcpo --algo CPO --seed 0 --out curves
    python crates/python/benches/omnisafe_curves.py collect curves > curves.json
    python crates/python/benches/omnisafe_curves.py draw curves.json curves.svg

20 environments of PointGoal1, epochs of 20,000 steps, OmniSafe's defaults for everything else on both sides (PPOLag: 10 passes in
minibatches of 256): rates, sizes of the networks, how their weights are drawn, exploration at the start, the cost of finished
episodes as what steers. Both report sampled actions, the mean over the last 100 episodes. A finished run is not repeated.
"""

import argparse
import csv
import json
import statistics
import sys
from pathlib import Path

ENVS, EPOCH = 20, 20_000
# What this trainer calls OmniSafe's defaults.
COMMON = {
    "num_envs": ENVS,
    "rollout_steps": EPOCH // ENVS,
    "policy.initial_log_std": 0.0,
    "policy.weights": "uniform",
    "critic.weights": "uniform",
    "deployed.steer": False,
    "deployed.cost_signal": "episodes",
    "deployed.final_episodes": 0,
}
OURS = {
    "CPO": ("cpo", {"trpo.fisher_stride": 1, "critic.epochs": 10, "critic.minibatch_size": 128, "critic.learning_rate": 1e-3}),
    "PPOLag": (
        "ppo-lag",
        {
            "ppo.epochs": 10,
            "ppo.minibatch_size": 256,
            "critic.epochs": 10,
            "critic.minibatch_size": 256,
            "critic.learning_rate": 3e-4,
        },
    ),
}
# What differs from OmniSafe's defaults on its side, and so on both: 40 passes in minibatches of 64 take it four minutes an epoch.
THEIRS = {"PPOLag": {"update_iters": 10, "batch_size": 256}}


def train(side, algo, seed, steps, directory):
    if side == "kfcpo":
        import kfcpo

        name, settings = OURS[algo]
        kfcpo.train(
            "PointGoal1", algo=name, seed=seed, total_steps=steps, threads=1, settings={**COMMON, **settings}, out=str(directory)
        )
        return
    import omnisafe

    import kfcpo.omnisafe  # noqa: F401  registers the environments

    settings = {
        "seed": seed,
        "train_cfgs": {"vector_env_nums": ENVS, "total_steps": steps, "torch_threads": 1},
        "algo_cfgs": {"steps_per_epoch": EPOCH, **THEIRS.get(algo, {})},
        "logger_cfgs": {"use_wandb": False, "use_tensorboard": False, "log_dir": str(directory)},
    }
    omnisafe.Agent(algo, "FastPointGoal1-v0", custom_cfgs=settings).learn()


def curve(side, directory):
    """Steps, return and cost after every epoch of a run."""
    if side == "kfcpo":
        file, columns = directory / "metrics.csv", ("steps", "return_mean", "cost_mean")
    else:
        file = max(directory.glob("**/progress.csv"), key=lambda file: file.stat().st_mtime)
        columns = ("TotalEnvSteps", "Metrics/EpRet", "Metrics/EpCost")
    with file.open() as text:
        rows = [row for row in csv.DictReader(text) if all(row[name] for name in columns)]  # none before the first episode ends
    steps, returns, costs = ([float(row[name]) for row in rows] for name in columns)
    return {"steps": [int(n) for n in steps], "return": [round(x, 2) for x in returns], "cost": [round(x, 2) for x in costs]}


def collect(parent):
    runs = {}
    for directory in sorted(Path(parent).glob("*/*-*")):
        algo, seed = directory.name.rsplit("-", 1)
        runs.setdefault(algo, {}).setdefault(directory.parent.name, {})[seed] = curve(directory.parent.name, directory)
    return runs


def at_the_end(curves, key):
    """The mean of each seed over the last fifth of its run."""
    return [statistics.fmean(c[key][-max(1, len(c[key]) // 5) :]) for c in curves.values()]


def draw(runs, file):
    import matplotlib

    matplotlib.use("svg")
    matplotlib.rcParams["svg.hashsalt"] = "kfcpo"
    from matplotlib import pyplot

    figure, axes = pyplot.subplots(2, len(runs), figsize=(4.5 * len(runs), 5), sharex=True, squeeze=False)
    colours, names = {"omnisafe": "tab:orange", "kfcpo": "tab:blue"}, {"omnisafe": "OmniSafe 0.5.0", "kfcpo": "this trainer"}
    for column, (algo, sides) in enumerate(runs.items()):
        for row, key in enumerate(("return", "cost")):
            plot = axes[row][column]
            for side, curves in sides.items():
                for number, one in enumerate(curves.values()):
                    label = names[side] if number == 0 else None
                    plot.plot([n / 1e6 for n in one["steps"]], one[key], color=colours[side], linewidth=1, label=label)
            plot.set_ylabel(f"{key} of an episode")
            plot.spines[["top", "right"]].set_visible(False)
        axes[0][column].set_title(f"{algo}, PointGoal1")
        axes[1][column].axhline(25, color="black", linewidth=0.8, linestyle="--")
        axes[1][column].set_xlabel("million environment steps")
    axes[0][0].legend(frameon=False)
    figure.tight_layout()
    figure.savefig(file, metadata={"Date": None})


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    commands = parser.add_subparsers(dest="command", required=True)
    one = commands.add_parser("train")
    one.add_argument("--side", choices=["omnisafe", "kfcpo"], required=True)
    one.add_argument("--algo", choices=list(OURS), required=True)
    one.add_argument("--seed", type=int, required=True)
    one.add_argument("--steps", type=int, default=1_000_000)
    one.add_argument("--out", type=Path, required=True)
    commands.add_parser("collect").add_argument("directory", type=Path)
    drawing = commands.add_parser("draw")
    drawing.add_argument("runs", type=Path)
    drawing.add_argument("figure", type=Path)
    arguments = parser.parse_args()
    if arguments.command == "train":
        directory = arguments.out / arguments.side / f"{arguments.algo}-{arguments.seed}"
        done = directory / "done"
        if not done.exists():
            train(arguments.side, arguments.algo, arguments.seed, arguments.steps, directory)
            done.touch()
    elif arguments.command == "collect":
        json.dump(collect(arguments.directory), sys.stdout, indent=None, separators=(",", ":"))
    else:
        runs = json.loads(arguments.runs.read_text())
        draw(runs, arguments.figure)
        for algo, sides in runs.items():
            for side, curves in sides.items():
                ends = (" ".join(f"{x:.1f}" for x in at_the_end(curves, key)) for key in ("return", "cost"))
                print(algo, side, "last fifth, seed by seed: return %s, cost %s" % tuple(ends))


if __name__ == "__main__":
    main()
