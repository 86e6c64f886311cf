"""The K-FAC update of `kfac_update.py` with curvlinops, as its documentation would have one write it.

PyTorch's autograd gives the gradients of reward and cost, `KFACLinearOperator` the factors (one sampled score a sample, weight
and bias joint, Linear layers only), `KFACInverseLinearOperator` the damped inverses (Martens and Grosse's split, Cholesky) and
both natural gradients in one call; then come the step and the KL divergence. Only the sampled Fisher matrix is
compared: curvlinops' exact one (`type-2`) loops over the samples in Python.

The library knows the Gaussian likelihood as `MSELoss`, whose variance is one half, so the outputs' scale is left to the
reader: it changes numbers, not work.
"""

from __future__ import annotations

import math

import torch
from curvlinops import KFACInverseLinearOperator, KFACLinearOperator
from torch import Tensor, nn

from kfac_update import COST_WEIGHT, DAMPING, KL_LIMIT, Batch, Policy


class CurvlinopsUpdate:
    """The update for one network; its parameters are those of `policy`."""

    def __init__(self, policy: Policy, sizes: tuple[int, ...]) -> None:
        modules: list[nn.Module] = []
        for weight, inputs, outputs in zip(policy.weights, sizes, sizes[1:], strict=False):
            linear = nn.Linear(inputs, outputs)
            with torch.no_grad():
                linear.weight.copy_(weight[:inputs].T)
                linear.bias.copy_(weight[inputs])
            modules += [linear, nn.Tanh()]
        self.net = nn.Sequential(*modules[:-1])
        self.params = list(self.net.parameters())
        self.sizes = sizes

    def gradients(self, policy: Policy, batch: Batch, obs: Tensor) -> tuple[list[Tensor], list[Tensor]]:
        """Gradients of the reward and the cost surrogate: parameters, then log_std."""
        log_std = policy.log_std.clone().requires_grad_()
        scaled = (batch.action - self.net(obs)) * torch.exp(-log_std)
        old_scaled = (batch.action - batch.old_mean) * torch.exp(-batch.old_log_std)
        log_ratio = 0.5 * (old_scaled.square() - scaled.square()).sum(1) + (batch.old_log_std - log_std).sum()
        ratio = torch.exp(log_ratio)
        leaves = [*self.params, log_std]
        reward = torch.autograd.grad((ratio * batch.reward_advantage).mean(), leaves, retain_graph=True)
        cost = torch.autograd.grad((ratio * batch.cost_advantage).mean(), leaves)
        return list(reward), list(cost)

    def update(self, policy: Policy, batch: Batch) -> tuple[list[Tensor], float]:
        """One whole update; returns the new parameters, or the old ones when the KL divergence rose above the limit, and that KL."""
        obs = batch.obs[:, : self.sizes[0]]
        reward, cost = self.gradients(policy, batch, obs)
        factors = KFACLinearOperator(
            self.net,
            nn.MSELoss(reduction="mean"),
            self.params,
            [(obs, batch.old_mean)],
            check_deterministic=False,
            fisher_type="mc",
            mc_samples=1,
            separate_weight_and_bias=False,
            num_data=len(batch),
            num_per_example_loss_terms=1,
        )
        factors.compute_kronecker_factors()  # here, as it needs autograd
        inverse = KFACInverseLinearOperator(factors, damping=DAMPING, use_heuristic_damping=True)
        with torch.no_grad():
            both = [torch.stack(pair, dim=-1) for pair in zip(reward[:-1], cost[:-1], strict=True)]
            natural = inverse @ both
            own = torch.tensor([1.0 - COST_WEIGHT, -COST_WEIGHT])
            direction = [block @ own for block in natural]
            gradient = [block @ own for block in both]
            log_std = (own[0] * reward[-1] + own[1] * cost[-1]) / (2.0 + DAMPING)
            quadratic = float(sum(torch.sum(d * g) for d, g in zip(direction, gradient, strict=True)))
            quadratic += float(torch.dot(log_std, log_std)) * (2.0 + DAMPING)
            length = math.sqrt(2.0 * KL_LIMIT / max(quadratic, 1e-12))
            old = [parameter.clone() for parameter in self.params]
            for parameter, toward in zip(self.params, direction, strict=True):
                parameter.add_(toward, alpha=length)
            new_log_std = policy.log_std + length * log_std
            inverse_variance = torch.exp(-2.0 * new_log_std)
            shift = ((batch.old_mean - self.net(obs)).square() * inverse_variance).sum(1).mean()
            spread = torch.exp(2.0 * batch.old_log_std) * inverse_variance
            kl = float(0.5 * shift + (new_log_std - batch.old_log_std + 0.5 * (spread - 1.0)).sum())
            new = [parameter.clone() for parameter in self.params] if kl <= KL_LIMIT else old
            # Back to the start, so that every call does the same work.
            for parameter, before in zip(self.params, old, strict=True):
                parameter.copy_(before)
        return new, kl
