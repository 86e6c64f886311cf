"""This project's K-FAC update beside the hand-written PyTorch one and curvlinops', round by round, on the same cores.

Each round runs the three one after another, so that whatever else the machine does meets all of them. Three figures of one
update: the median wall time, the processor time of all threads, and the least wall time of any single update, which is the one to
trust on a busy machine. Ratios of the first two are medians over the rounds of each round's own ratio.

Example: `python compare.py`; `python compare.py --threads 1 --rounds 9 --json`.
"""

from __future__ import annotations

import argparse
import json
import os
import pathlib
import statistics
import subprocess
import sys
from collections.abc import Callable

import torch

from curvlinops_update import CurvlinopsUpdate
from kfac_update import BATCHES, CHUNKS, NETWORKS, Batch, KfacUpdate, Policy, measure, random_batch, random_policy

ROOT = pathlib.Path(__file__).resolve().parents[2]
BENCH = ["cargo", "bench", "--locked", "-p", "trainer", "--bench", "kfac_update", "--no-run", "--message-format=json"]
OURS, PYTORCH, CURVLINOPS = "ours", "pytorch", "curvlinops"

Figures = tuple[float, float, float]  # milliseconds of one update: median wall, processor, least wall


def build() -> str:
    """Builds our side and returns its path."""
    done = subprocess.run(BENCH, cwd=ROOT, stdout=subprocess.PIPE, text=True, check=True)
    messages = [json.loads(line) for line in done.stdout.splitlines() if line.startswith("{")]
    paths = [m["executable"] for m in messages if m.get("executable") and m["target"]["name"] == "kfac_update"]
    if not paths:
        raise SystemExit("cargo built no kfac_update")
    return paths[-1]


def ours(binary: str, sizes: tuple[int, ...], samples: int, threads: int, fisher: str, seconds: float, length: str) -> Figures:
    """One measurement of our side, in a process of its own."""
    hidden = ",".join(map(str, sizes[1:-1]))
    command = [binary, "--threads", str(threads), "--batch", str(samples), "--hidden", hidden, "--fisher", fisher]
    command += ["--seconds", str(seconds), "--length", length, "--json"]
    # What makes PyTorch fast must not be forced upon us.
    environment = {key: value for key, value in os.environ.items() if key not in ("LD_PRELOAD", "LD_LIBRARY_PATH")}
    done = subprocess.run(command, stdout=subprocess.PIPE, text=True, check=True, env=environment)
    row = json.loads(done.stdout)
    return row["ms_per_update"], row["processor_ms_per_update"], row["least_ms_per_update"]


def best_chunk(sizes: tuple[int, ...], fisher: str, policy: Policy, batch: Batch, seconds: float) -> int:
    """The chunk size with the least time: the best of two trials of each, so that one disturbance does not decide."""
    chunks = [chunk for chunk in CHUNKS if chunk <= len(batch)]
    times = {chunk: float("inf") for chunk in chunks}
    for _ in range(2):
        for chunk in chunks:
            update = KfacUpdate(sizes, chunk, fisher)
            times[chunk] = min(times[chunk], measure(update, policy, batch, seconds / 5)[2])
    return min(times, key=times.__getitem__)


def compare(binary: str, sizes: tuple[int, ...], samples: int, threads: int, fisher: str, rounds: int, seconds: float) -> dict[str, object]:
    """Every contender in every round, for one configuration."""
    torch.set_num_threads(threads)
    torch.manual_seed(0)
    policy = random_policy(sizes)
    batch = random_batch(policy, sizes, samples)
    chunk = best_chunk(sizes, fisher, policy, batch, seconds)
    hand_written = KfacUpdate(sizes, chunk, fisher)
    contenders: dict[str, Callable[[], Figures]] = {
        OURS: lambda: ours(binary, sizes, samples, threads, fisher, seconds, "kronecker"),
        PYTORCH: lambda: measure(hand_written, policy, batch, seconds),
    }
    if fisher == "sampled":
        library = CurvlinopsUpdate(policy, sizes)
        contenders[CURVLINOPS] = lambda: measure(library, policy, batch, seconds)
    figures: dict[str, list[Figures]] = {name: [] for name in contenders}
    for turn in range(rounds):
        # Every other round backwards: nobody always follows the same neighbour.
        order = list(contenders) if turn % 2 == 0 else list(contenders)[::-1]
        for name in order:
            figures[name].append(contenders[name]())
    row: dict[str, object] = {"hidden": list(sizes[1:-1]), "batch": samples, "threads": threads, "fisher": fisher, "chunk": chunk}
    for name, values in figures.items():
        row[f"{name}_ms"] = round(statistics.median(value[0] for value in values), 3)
        row[f"{name}_processor_ms"] = round(statistics.median(value[1] for value in values), 3)
        row[f"{name}_least_ms"] = round(min(value[2] for value in values), 3)
    for name in contenders:
        if name != OURS:
            pairs = list(zip(figures[name], figures[OURS], strict=True))
            row[f"ratio_{name}"] = round(statistics.median(peer[0] / own[0] for peer, own in pairs), 2)
            row[f"ratio_{name}_processor"] = round(statistics.median(peer[1] / own[1] for peer, own in pairs), 2)
            row[f"ratio_{name}_least"] = round(row[f"{name}_least_ms"] / row[f"{OURS}_least_ms"], 2)
    row["rounds"] = rounds
    return row


HEADER = (
    "Milliseconds of an update: least / median / processor time; ratios of these to ours, above one where ours is faster.\n\n"
    "| network | batch | threads | Fisher | ours | PyTorch | ratios | curvlinops | ratios |\n" + "|---" * 9 + "|"
)


def table_row(row: dict[str, object]) -> str:
    """One line of the Markdown table."""

    def times(name: str) -> str:
        return " / ".join(f"{row[f'{name}_{kind}']:.2f}" for kind in ("least_ms", "ms", "processor_ms")) if f"{name}_ms" in row else "-"

    def ratios(name: str) -> str:
        kinds = ("_least", "", "_processor")
        return " / ".join(f"{row[f'ratio_{name}{kind}']:.2f}" for kind in kinds) if f"{name}_ms" in row else "-"

    network = "-".join(map(str, [60, *row["hidden"], 2]))
    cells = [network, f"{row['batch']:,}", row["threads"], row["fisher"], times(OURS)]
    cells += [times(PYTORCH), ratios(PYTORCH), times(CURVLINOPS), ratios(CURVLINOPS)]
    return "| " + " | ".join(map(str, cells)) + " |"


def parse_arguments() -> argparse.Namespace:
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--threads", type=int, nargs="+", default=[1, 2], help="thread counts to measure (default 1 2)")
    parser.add_argument("--batch", type=int, nargs="+", default=list(BATCHES))
    parser.add_argument("--hidden", type=int, nargs="+", default=[sizes[1] for sizes in NETWORKS], help="widths of two equal hidden layers")
    parser.add_argument("--fisher", nargs="+", choices=("exact", "sampled"), default=["exact", "sampled"])
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--seconds", type=float, default=1.0, help="time of each contender in each round (default 1)")
    parser.add_argument("--binary", help="our side already built, instead of building it with cargo")
    parser.add_argument("--json", action="store_true", help="one JSON object a configuration instead of a table")
    arguments = parser.parse_args()
    if min(arguments.threads + arguments.batch + [arguments.rounds]) < 1 or arguments.seconds <= 0.0:
        parser.error("--threads, --batch, --rounds and --seconds must be positive")
    return arguments


def main() -> int:
    """Prints a Markdown table, or JSON lines."""
    arguments = parse_arguments()
    binary = arguments.binary or build()
    if not arguments.json:
        print(HEADER, flush=True)
    for width in arguments.hidden:
        for samples in arguments.batch:
            for threads in arguments.threads:
                for fisher in arguments.fisher:
                    sizes = (60, width, width, 2)
                    row = compare(binary, sizes, samples, threads, fisher, arguments.rounds, arguments.seconds)
                    print(json.dumps(row) if arguments.json else table_row(row), flush=True)
    return 0


if __name__ == "__main__":
    sys.exit(main())
