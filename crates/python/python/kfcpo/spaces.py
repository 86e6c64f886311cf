"""Gymnasium's spaces of an environment."""

import numpy as np
from gymnasium import spaces


def observation(simulator):
    """One observation ``[D]``: lidars in [0, 1], other sensors unbounded."""
    low = np.full(simulator.obs_dim, -np.inf, np.float32)
    high = np.full(simulator.obs_dim, np.inf, np.float32)
    first = 0
    for name, length in simulator.obs_parts:
        if name.endswith("_lidar"):
            low[first : first + length], high[first : first + length] = 0.0, 1.0
        first += length
    return spaces.Box(low, high, dtype=np.float32)


def action(simulator):
    """One action ``[A]`` in [-1, 1]."""
    return spaces.Box(-1.0, 1.0, (simulator.action_dim,), np.float32)


def batch(space, num_envs):
    """``num_envs`` rows of a box."""
    low, high = (np.repeat(bound[None], num_envs, axis=0) for bound in (space.low, space.high))
    return spaces.Box(low, high, dtype=space.dtype)
