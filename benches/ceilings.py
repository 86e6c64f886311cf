"""What the kernels of a KFCPO minibatch could take at least on a GPU, by counting their operations, loads and bytes.

Nothing is measured. Networks up to 128 wide: a unit goes through one sample, then a cube sums a tile of parameters' gradients over
the samples (`kfac/src/mlp/forward_pass/gpu.rs`, `kfac/src/mlp/gpu/tile.rs`). Each kernel's time is the longest of four: its arithmetic, its load instructions (a
multiprocessor issues one of a warp per clock), the bytes those move through the second-level cache, and the bytes it cannot find
there. A fifth column says how many of the threads that the card holds at once the launch fills: below one in two, waiting for
loads is not hidden and the time is a multiple.

Example: `python benches/ceilings.py`; `--samples 65536 --hidden 64 64 --card h200`.
"""

from __future__ import annotations

import argparse
import dataclasses

BLOCK = 8  # outputs that a unit sums at once
TILE = 8  # rows and columns that a cube sums over samples
SUM_UNITS = 128  # units of such a cube
INPUTS, ACTIONS, LOSSES = 60, 2, 2
LAUNCH_US = 2.5  # from one launch to the next on a stream, where the host keeps up


@dataclasses.dataclass(frozen=True)
class Card:
    """Data sheets of the SXM cards; the cache's rate is what microbenchmarks of others found."""

    multiprocessors: int
    clock: float  # Hz under load
    memory: float  # bytes/s
    cache: float  # bytes/s of the second-level cache
    cache_bytes: float

    def flops(self) -> float:
        """Fused multiply-adds of 128 lanes count two each."""
        return self.multiprocessors * 128 * 2 * self.clock


CARDS = {"h100": Card(132, 1.755e9, 3.35e12, 5.5e12, 50e6), "h200": Card(132, 1.755e9, 4.8e12, 5.5e12, 50e6)}


@dataclasses.dataclass(frozen=True)
class Kernel:
    """A launch: floating-point operations, load instructions of warps, their bytes, distinct bytes, threads."""

    name: str
    operations: float
    loads: float
    moved: float
    distinct: float
    threads: float

    def row(self, card: Card) -> str:
        """A line of the table."""
        misses = self.distinct if self.distinct <= card.cache_bytes else self.moved
        times = {
            "arithmetic": self.operations / card.flops(),
            "load issue": self.loads / (card.multiprocessors * card.clock),
            "cache": self.moved / card.cache,
            "memory": misses / card.memory,
        }
        bound = max(times, key=times.__getitem__)
        filled = min(1.0, self.threads / (card.multiprocessors * 2048))
        cells = " | ".join(f"{1e6 * time:.1f}" for time in times.values())
        return f"| {self.name} | {self.operations / 1e6:.0f} | {self.distinct / 1e6:.1f} | {cells} | {bound} | {100 * filled:.0f} % |"


def minibatch(samples: int, hidden: list[int], columns: int) -> list[Kernel]:
    """The kernels of one minibatch whose time grows with the samples."""
    sizes = [INPUTS, *hidden, ACTIONS]
    layers = list(zip(sizes, sizes[1:]))
    nodes, weights = sum(sizes), sum((i + 1) * o for i, o in layers)
    upper = sum(i * o for i, o in layers[1:])
    warps = samples / 32
    sample = INPUTS + 2 * ACTIONS + 1 + 2 * LOSSES
    # Per weight of a warp one load of the weight; per block of eight one of the activation, which is 128 bytes of the memory.
    passes = lambda products: (warps * products * (1 + 1 / BLOCK), warps * products / BLOCK * 128)
    forward_loads, forward_moved = passes(weights)
    chains = LOSSES + columns
    back_loads, back_moved = passes(chains * upper)
    tiles = lambda size: -(-size // TILE)
    passes_of = [(LOSSES * tiles(i + 1) * tiles(o), tiles(i + 1) ** 2, tiles(o) ** 2) for i, o in layers]
    cubes = sum(sum(parts) for parts in passes_of)
    # Scores' second moments are summed over their seeds, too.
    through = sum(gradients + inputs + columns * scores for gradients, inputs, scores in passes_of)
    sum_loads = through * samples / 32 * 2 * TILE
    memory = 4.0 * samples * nodes
    forward = Kernel("forward (twice)", 2.0 * samples * weights, forward_loads, forward_moved, memory, samples)
    return [
        Kernel("gather", 0, 2 * warps * sample, 8.0 * samples * sample, 8.0 * samples * sample, samples),
        forward,
        Kernel(
            "passes",
            2.0 * samples * (weights + chains * upper),
            forward_loads + back_loads,
            forward_moved + back_moved,
            (1 + chains) * memory,
            samples,
        ),
        Kernel("sums", 2.0 * samples * through * TILE * TILE, sum_loads, 128 * sum_loads, (1 + chains) * memory, SUM_UNITS * cubes),
        Kernel("tangents", 6.0 * samples * weights, 3 * forward_loads, 3 * forward_moved, 2 * memory, samples),
    ]


def main() -> None:
    """Prints the table in Markdown."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--samples", type=int, nargs="+", default=[10_240, 65_536])
    parser.add_argument("--hidden", type=int, nargs="+", default=[64, 64])
    parser.add_argument("--fisher", choices=("exact", "sampled"), default="exact")
    parser.add_argument("--card", choices=tuple(CARDS), default="h100")
    arguments = parser.parse_args()
    card, columns = CARDS[arguments.card], ACTIONS if arguments.fisher == "exact" else 1
    for samples in arguments.samples:
        kernels = minibatch(samples, arguments.hidden, columns)
        print(f"\n{samples} samples, networks {arguments.hidden}, {arguments.fisher} Fisher matrix, {arguments.card.upper()}:\n")
        print("| kernel | MFLOP | MB | arithmetic, us | load issue, us | cache, us | memory, us | bound | threads |")
        print("|---|---|---|---|---|---|---|---|---|")
        for kernel in kernels:
            print(kernel.row(card))
    print(f"\nThe other 18 of 24 launches touch a few numbers a sample or a parameter: {18 * LAUNCH_US:.0f} us at {LAUNCH_US} us each.")


if __name__ == "__main__":
    main()
