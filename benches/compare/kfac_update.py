"""A K-FAC policy update hand-written in PyTorch, as fast as we could make it: the figure our `bench kfac` has to beat.

One update of a Gaussian policy with a tanh network: forward, Fisher scores, reward and cost gradients, Kronecker factors,
their damped inverses, two natural gradients, a step of given size, and the KL divergence after it. No autograd.

What makes it fast: the batch passes in chunks that stay in cache, buffers are allocated once and padded to the vector
width, biases are rows of the weights, and the backward passes (reward, cost, Fisher) are stacked into one product.

Example: `python kfac_update.py --threads 1 2`; `--check` compares every part with autograd and dense algebra.
"""

from __future__ import annotations

import argparse
import dataclasses
import json
import math
import statistics
import sys
import time

import torch
from torch import Tensor

VECTOR_WIDTH = 16  # floats in a 512-bit register
DAMPING = 0.1
KL_LIMIT = 0.01
COST_WEIGHT = 0.3  # fixed blend of the two natural gradients; the rule that picks it costs nothing
NETWORKS = ((60, 64, 64, 2), (60, 256, 256, 2))
BATCHES = (4096, 32768)
CHUNKS = (512, 1024, 2048, 4096, 8192)


def padded(size: int) -> int:
    """The next multiple of the vector width."""
    return -(-size // VECTOR_WIDTH) * VECTOR_WIDTH


@dataclasses.dataclass(frozen=True)
class Batch:
    """Samples of the behaviour policy.

    Shapes: `obs` [N, padded(D + 1)] with ones in column D and zeros beyond; `action`, `old_mean` [N, A]; `old_log_std` [A];
    `reward_advantage`, `cost_advantage` [N].
    """

    obs: Tensor
    action: Tensor
    old_mean: Tensor
    old_log_std: Tensor
    reward_advantage: Tensor
    cost_advantage: Tensor

    def __len__(self) -> int:
        return self.obs.shape[0]


@dataclasses.dataclass
class Policy:
    """Weights [padded(in + 1), out], row `in` the bias and rows beyond zero, and `log_std` [A]."""

    weights: list[Tensor]
    log_std: Tensor

    def clone(self) -> Policy:
        """A copy that shares nothing."""
        return Policy([w.clone() for w in self.weights], self.log_std.clone())


@dataclasses.dataclass
class Gradient:
    """A direction in parameter space: the weights' blocks without padding [in + 1, out], and log_std [A]."""

    weights: list[Tensor]
    log_std: Tensor

    def dot(self, other: Gradient) -> float:
        """Inner product."""
        blocks = sum(torch.dot(a.reshape(-1), b.reshape(-1)) for a, b in zip(self.weights, other.weights, strict=True))
        return float(blocks + torch.dot(self.log_std, other.log_std))


class KfacUpdate:
    """The update for one network, chunk size and kind of Fisher matrix, with all its buffers."""

    def __init__(self, sizes: tuple[int, ...], chunk: int, fisher: str) -> None:
        self.sizes = sizes
        self.chunk = chunk
        self.exact = fisher == "exact"
        self.depth = len(sizes) - 1
        # Backward passes: reward, cost, then one Fisher column per action (exact) or one sampled score.
        self.passes = 2 + (sizes[-1] if self.exact else 1)
        self.hidden = [self.activation_buffer(size) for size in sizes[1:-1]]
        self.slope = [torch.empty(chunk, size) for size in sizes[1:-1]]
        self.back = [torch.empty(self.passes, chunk, size) for size in sizes[1:]]
        self.head = torch.empty(chunk, sizes[-1])
        self.a = [torch.empty(padded(size + 1), padded(size + 1)) for size in sizes[:-1]]
        self.g = [torch.empty(size, size) for size in sizes[1:]]
        self.sums = [[torch.empty(padded(i + 1), o) for i, o in zip(sizes, sizes[1:])] for _ in range(2)]

    def activation_buffer(self, size: int) -> Tensor:
        """[chunk, padded(size + 1)] whose column `size` is the constant one that multiplies the bias."""
        buffer = torch.zeros(self.chunk, padded(size + 1))
        buffer[:, size] = 1.0
        return buffer

    def forward(self, policy: Policy, obs: Tensor) -> Tensor:
        """Mean action [n, A] of a chunk [n, padded(D + 1)]; leaves the activations in `hidden`."""
        rows = obs.shape[0]
        inputs = obs
        for layer, buffer in enumerate(self.hidden):
            width = self.sizes[layer + 1]
            torch.mm(inputs, policy.weights[layer], out=buffer[:rows, :width])
            # One contiguous tanh over the padding too is faster than a strided one; it spares the zeros but not the one.
            inputs = buffer[:rows].tanh_()
            inputs[:, width] = 1.0
        return torch.mm(inputs, policy.weights[-1], out=self.head[:rows])

    def seed_backward(self, policy: Policy, batch: Batch, rows: slice, mean: Tensor) -> Tensor:
        """Writes the derivatives of L_r, L_c and the log-likelihood with respect to the mean; returns those of log_std [2, A]."""
        seeds = self.back[-1][:, : mean.shape[0]]
        inverse_std = torch.exp(-policy.log_std)
        scaled = (batch.action[rows] - mean) * inverse_std
        old_scaled = (batch.action[rows] - batch.old_mean[rows]) * torch.exp(-batch.old_log_std)
        log_ratio = 0.5 * (old_scaled.square() - scaled.square()).sum(1) + (batch.old_log_std - policy.log_std).sum()
        advantages = torch.stack((batch.reward_advantage[rows], batch.cost_advantage[rows]))
        weighted = advantages * (torch.exp(log_ratio) / len(batch))
        torch.mul(weighted[:, :, None], scaled * inverse_std, out=seeds[:2])
        if self.exact:
            seeds[2:] = torch.diag(inverse_std)[:, None, :]
        else:
            torch.mul(torch.randn_like(mean), inverse_std, out=seeds[2])
        return weighted @ (scaled.square() - 1.0)

    def accumulate_chunk(self, policy: Policy, batch: Batch, rows: slice) -> Tensor:
        """Adds a chunk to the factors and gradient sums; returns the derivatives of log_std [2, A]."""
        obs = batch.obs[rows]
        count = obs.shape[0]
        mean = self.forward(policy, obs)
        log_std_gradient = self.seed_backward(policy, batch, rows, mean)
        inputs = [obs, *(buffer[:count] for buffer in self.hidden)]
        for layer in reversed(range(self.depth)):
            signal = self.back[layer][:, :count]
            self.a[layer].addmm_(inputs[layer].T, inputs[layer])
            scores = signal[2:].reshape(-1, self.sizes[layer + 1])
            self.g[layer].addmm_(scores.T, scores)
            for which in range(2):
                self.sums[which][layer].addmm_(inputs[layer].T, signal[which])
            if layer > 0:
                self.propagate(policy, layer, count)
        return log_std_gradient

    def propagate(self, policy: Policy, layer: int, count: int) -> None:
        """Backward through a layer and the tanh below it, all passes in one product."""
        width = self.sizes[layer]
        weight = policy.weights[layer][:width]
        above, below = self.back[layer][:, :count], self.back[layer - 1][:, :count]
        if count == self.chunk:
            torch.mm(above.view(-1, above.shape[2]), weight.T, out=below.view(-1, width))
        else:
            torch.matmul(above, weight.T, out=below)
        active = self.hidden[layer - 1][:count, :width]
        slope = self.slope[layer - 1][:count]
        torch.mul(active, active, out=slope)
        below.mul_(slope.neg_().add_(1.0))

    def statistics(self, policy: Policy, batch: Batch) -> tuple[Gradient, Gradient]:
        """Fills `a` and `g` with batch means; returns the gradients of L_r and L_c."""
        for buffer in (*self.a, *self.g, *self.sums[0], *self.sums[1]):
            buffer.zero_()
        log_std = torch.zeros(2, self.sizes[-1])
        for start in range(0, len(batch), self.chunk):
            log_std += self.accumulate_chunk(policy, batch, slice(start, min(start + self.chunk, len(batch))))
        for factor in (*self.a, *self.g):
            factor /= len(batch)
        blocks = [[block[: size + 1] for block, size in zip(sums, self.sizes)] for sums in self.sums]
        return Gradient(blocks[0], log_std[0]), Gradient(blocks[1], log_std[1])

    def inverses(self) -> list[tuple[Tensor, Tensor]]:
        """Damped inverses of every layer's two factors, by Cholesky, without the padding."""
        result = []
        for layer in range(self.depth):
            size = self.sizes[layer] + 1
            a, g = self.a[layer][:size, :size].clone(), self.g[layer].clone()
            balance = float(torch.sqrt((a.trace() / a.shape[0]) / (g.trace() / g.shape[0])))
            a.diagonal().add_(balance * math.sqrt(DAMPING))
            g.diagonal().add_(math.sqrt(DAMPING) / balance)
            result.append(tuple(torch.cholesky_inverse(torch.linalg.cholesky(factor)) for factor in (a, g)))
        return result

    def natural(self, gradient: Gradient, inverses: list[tuple[Tensor, Tensor]]) -> Gradient:
        """Preconditions a gradient; the Fisher matrix of log_std is twice the identity."""
        blocks = [a @ block @ g for block, (a, g) in zip(gradient.weights, inverses, strict=True)]
        return Gradient(blocks, gradient.log_std / (2.0 + DAMPING))

    def step(self, policy: Policy, reward: Gradient, cost: Gradient, inverses: list[tuple[Tensor, Tensor]]) -> Policy:
        """The policy moved along the blend of the natural gradients to the trust region's edge."""
        natural_reward, natural_cost = self.natural(reward, inverses), self.natural(cost, inverses)
        own, other = 1.0 - COST_WEIGHT, -COST_WEIGHT
        quadratic = (
            own * own * reward.dot(natural_reward)
            + 2.0 * own * other * reward.dot(natural_cost)
            + other * other * cost.dot(natural_cost)
        )
        length = math.sqrt(2.0 * KL_LIMIT / max(quadratic, 1e-12))
        moved = policy.clone()
        for weight, toward, away in zip(moved.weights, natural_reward.weights, natural_cost.weights, strict=True):
            weight[: toward.shape[0]].add_(toward, alpha=length * own).add_(away, alpha=length * other)
        moved.log_std.add_(natural_reward.log_std, alpha=length * own).add_(natural_cost.log_std, alpha=length * other)
        return moved

    def kl(self, policy: Policy, batch: Batch) -> float:
        """Mean KL divergence from the behaviour policy to `policy` over the batch."""
        inverse_variance = torch.exp(-2.0 * policy.log_std)
        total = 0.0
        for start in range(0, len(batch), self.chunk):
            rows = slice(start, start + self.chunk)
            shift = batch.old_mean[rows] - self.forward(policy, batch.obs[rows])
            total += float(torch.sum(shift.square() * inverse_variance))
        spread = torch.exp(2.0 * batch.old_log_std) * inverse_variance
        constant = policy.log_std - batch.old_log_std + 0.5 * (spread - 1.0)
        return 0.5 * total / len(batch) + float(constant.sum())

    def update(self, policy: Policy, batch: Batch) -> tuple[Policy, float]:
        """One whole update; returns the new policy, or the old one when the KL divergence rose above the limit, and that KL."""
        reward, cost = self.statistics(policy, batch)
        candidate = self.step(policy, reward, cost, self.inverses())
        kl = self.kl(candidate, batch)
        return (candidate if kl <= KL_LIMIT else policy), kl


def random_policy(sizes: tuple[int, ...]) -> Policy:
    """Weights of variance 1 / in, zero biases, standard deviation 0.6."""
    weights = []
    for inputs, outputs in zip(sizes, sizes[1:]):
        weight = torch.zeros(padded(inputs + 1), outputs)
        weight[:inputs] = torch.randn(inputs, outputs) / math.sqrt(inputs)
        weights.append(weight)
    return Policy(weights, torch.full((sizes[-1],), -0.5))


def random_batch(policy: Policy, sizes: tuple[int, ...], samples: int) -> Batch:
    """Standard normal observations and advantages, actions drawn from the policy."""
    obs = torch.zeros(samples, padded(sizes[0] + 1))
    obs[:, : sizes[0]] = torch.randn(samples, sizes[0])
    obs[:, sizes[0]] = 1.0
    mean = KfacUpdate(sizes, samples, "exact").forward(policy, obs).clone()
    action = mean + torch.exp(policy.log_std) * torch.randn_like(mean)
    return Batch(obs, action, mean, policy.log_std.clone(), torch.randn(samples), torch.randn(samples))


def measure(update: KfacUpdate, policy: Policy, batch: Batch, seconds: float) -> tuple[float, float, float]:
    """Median wall time, median processor time and least wall time of an update in milliseconds, after a warm-up."""
    for _ in range(2):
        update.update(policy, batch)
    wall: list[float] = []
    processor: list[float] = []
    end = time.perf_counter() + seconds
    while time.perf_counter() < end or len(wall) < 5:
        start, start_processor = time.perf_counter(), time.process_time()
        update.update(policy, batch)
        wall.append(1e3 * (time.perf_counter() - start))
        processor.append(1e3 * (time.process_time() - start_processor))
    return statistics.median(wall), statistics.median(processor), min(wall)


def bench(sizes: tuple[int, ...], samples: int, threads: int, fisher: str, seconds: float) -> dict[str, object]:
    """The fastest chunk size's median for one configuration."""
    torch.set_num_threads(threads)
    torch.manual_seed(0)
    policy = random_policy(sizes)
    batch = random_batch(policy, sizes, samples)
    # A cache holds a chunk, a GPU the whole batch.
    chunks = [chunk for chunk in CHUNKS if chunk <= samples]
    if batch.obs.is_cuda and samples not in chunks:
        chunks.append(samples)
    trials = {chunk: measure(KfacUpdate(sizes, chunk, fisher), policy, batch, seconds / 10) for chunk in chunks}
    chunk = min(trials, key=trials.__getitem__)
    wall, processor, least = measure(KfacUpdate(sizes, chunk, fisher), policy, batch, seconds)
    return {
        "what": "kfac",
        "implementation": f"hand-written PyTorch {torch.__version__}",
        "hidden": sizes[1:-1],
        "batch": samples,
        "device": str(batch.obs.device),
        "threads": threads,
        "fisher": fisher,
        "chunk": chunk,
        "ms_per_update": round(wall, 3),
        "processor_ms_per_update": round(processor, 3),
        "least_ms_per_update": round(least, 3),
    }


def relative_error(value: Tensor, truth: Tensor) -> float:
    """Largest difference over the largest true value."""
    return float((value - truth).abs().max() / truth.abs().max())


def autograd_gradient(policy: Policy, batch: Batch, sizes: tuple[int, ...], advantage: Tensor) -> list[Tensor]:
    """Gradient of the mean of ratio times advantage, blocks as in `Gradient`, log_std last."""
    leaves = [w[: size + 1].clone().requires_grad_() for w, size in zip(policy.weights, sizes)]
    log_std = policy.log_std.clone().requires_grad_()
    x = batch.obs[:, : sizes[0] + 1]
    for leaf in leaves[:-1]:
        x = torch.cat((torch.tanh(x @ leaf), torch.ones(len(batch), 1)), dim=1)
    new = torch.distributions.Normal(x @ leaves[-1], torch.exp(log_std)).log_prob(batch.action).sum(1)
    old = torch.distributions.Normal(batch.old_mean, torch.exp(batch.old_log_std)).log_prob(batch.action).sum(1)
    return list(torch.autograd.grad((torch.exp(new - old) * advantage).mean(), [*leaves, log_std]))


def check() -> list[tuple[str, float]]:
    """Relative errors of gradients, factors, and natural gradients against autograd and dense Kronecker algebra."""
    torch.manual_seed(1)
    sizes, samples = (5, 7, 6, 2), 300
    policy = random_policy(sizes)
    batch = random_batch(policy, sizes, samples)
    update = KfacUpdate(sizes, chunk=128, fisher="exact")  # 300 = 2 chunks and a remainder
    reward, cost = update.statistics(policy, batch)
    errors = []
    for name, gradient, advantage in (("reward", reward, batch.reward_advantage), ("cost", cost, batch.cost_advantage)):
        truth = autograd_gradient(policy, batch, sizes, advantage)
        worst = max(relative_error(a, b) for a, b in zip([*gradient.weights, gradient.log_std], truth, strict=True))
        errors.append((f"{name} gradient", worst))
    natural = update.natural(reward, update.inverses())
    for layer, (block, found) in enumerate(zip(reward.weights, natural.weights, strict=True)):
        a = update.a[layer][: sizes[layer] + 1, : sizes[layer] + 1]
        g = update.g[layer]
        balance = torch.sqrt((a.trace() / len(a)) / (g.trace() / len(g)))
        root = math.sqrt(DAMPING)
        dense = torch.kron(a + balance * root * torch.eye(len(a)), g + root / balance * torch.eye(len(g)))
        errors.append((f"natural gradient {layer}", relative_error(found.reshape(-1), torch.linalg.solve(dense, block.reshape(-1)))))
    errors.append(("head factor", relative_error(update.g[-1], torch.diag(torch.exp(-2.0 * policy.log_std)))))
    return errors


def parse_arguments() -> argparse.Namespace:
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--threads", type=int, nargs="+", default=[1], help="thread counts to measure (default 1)")
    parser.add_argument("--batch", type=int, nargs="+", default=list(BATCHES))
    parser.add_argument("--fisher", nargs="+", choices=("exact", "sampled"), default=["exact", "sampled"])
    parser.add_argument("--device", default="cpu", help="where it computes: cpu, cuda, cuda:N (default cpu)")
    parser.add_argument("--seconds", type=float, default=3.0, help="time spent on each configuration (default 3)")
    parser.add_argument("--check", action="store_true", help="compare with autograd and dense algebra instead of measuring")
    arguments = parser.parse_args()
    if min(arguments.threads) < 1 or min(arguments.batch) < 1 or arguments.seconds <= 0.0:
        parser.error("--threads, --batch and --seconds must be positive")
    return arguments


def main() -> int:
    """Prints one JSON object a configuration, or the errors of `--check`."""
    arguments = parse_arguments()
    torch.set_default_device(arguments.device)  # every update ends by reading its divergence: the clock waits for the device
    if arguments.check:
        errors = check()
        for name, error in errors:
            print(f"{name:20} {error:.1e}")
        return 1 if max(error for _, error in errors) > 1e-4 else 0
    for sizes in NETWORKS:
        for samples in arguments.batch:
            for threads in arguments.threads:
                for fisher in arguments.fisher:
                    print(json.dumps(bench(sizes, samples, threads, fisher, arguments.seconds)), flush=True)
    return 0


if __name__ == "__main__":
    sys.exit(main())
