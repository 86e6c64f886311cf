"""Vector environments written in Python, as :func:`kfcpo.train` steps them.

Accepted is whatever looks like a Gymnasium ``VectorEnv`` with

- ``num_envs`` and one-dimensional boxes ``single_observation_space`` and ``single_action_space`` (actions are scaled to its
  bounds);
- ``reset()`` returning observations ``[B, D]`` and a dict, ``step(actions)`` returning the five-tuple with the cost ``[B]`` in
  ``info["cost"]``, or Safety-Gymnasium's six-tuple; with an attribute ``constraints``, a list of names, the cost of each
  stands in ``info["cost_NAME"]``;
- autoreset mode SAME_STEP (``info["final_obs"]``, or Safety-Gymnasium's ``final_observation``) or DISABLED
  (``reset(options={"reset_mask": mask})``). NEXT_STEP is refused: its resets would be learned from as steps.

It is slow, as Python is, and such a run cannot be continued from a checkpoint: what is in Python's objects is in no file.
"""

from __future__ import annotations

import numpy as np


def adapter_of(env, max_episode_steps=None):
    """``env`` with float32 arrays of fixed shapes and names for its sizes.

    Raises ``ValueError`` or ``TypeError`` for an environment that cannot be trained in.
    """
    return Adapter(env, max_episode_steps)


class Adapter:
    """What Rust calls: ``reset()`` and ``step(action)``, everything a contiguous float32 array."""

    def __init__(self, env, max_episode_steps):
        self._env = env
        observation, action = self._box("single_observation_space"), self._box("single_action_space")
        self.num_envs = int(env.num_envs)
        self.obs_dim, self.action_dim = observation.shape[0], action.shape[0]
        if not (np.isfinite(action.low).all() and np.isfinite(action.high).all()):
            raise ValueError("the action space must be bounded: actions are scaled to its bounds")
        self._low = np.asarray(action.low, np.float32)
        self._half = (np.asarray(action.high, np.float32) - self._low) / 2
        spec = getattr(env, "spec", None)
        self.id = str(getattr(spec, "id", None) or type(env).__name__)
        self.max_episode_steps = self._horizon(spec, max_episode_steps)
        self.constraints = [str(name) for name in getattr(env, "constraints", None) or ["cost"]]
        self._mode = self._autoreset()

    def _box(self, name):
        space = getattr(self._env, name, None)
        if getattr(space, "low", None) is None or len(getattr(space, "shape", ())) != 1:
            raise TypeError(f"{name} must be a one-dimensional Box, not {space}")
        return space

    def _horizon(self, spec, given):
        steps = given or getattr(spec, "max_episode_steps", None) or getattr(self._env, "max_episode_steps", None)
        if not steps:
            raise ValueError("the environment does not say how long its episodes are: pass max_episode_steps")
        return int(steps)

    def _autoreset(self):
        mode = (getattr(self._env, "metadata", None) or {}).get("autoreset_mode")
        name = getattr(mode, "name", str(mode)).upper()
        if name in ("SAME_STEP", "DISABLED"):
            return name
        raise ValueError(
            f"autoreset mode {name}: make the environments with AutoresetMode.SAME_STEP or DISABLED, and say so in "
            "metadata['autoreset_mode']"
        )

    def reset(self):
        """Observations ``[B, D]`` of new episodes."""
        return self._observations(self._env.reset()[0])

    def step(self, action):
        """Observations to act on next and those the step led to ``[B, D]``, reward ``[B]``, costs ``[C, B]``, terminated and
        truncated ``[B]``."""
        action = self._low + (np.clip(action, -1, 1) + 1) * self._half
        obs, reward, *cost, terminated, truncated, info = self._env.step(action)
        costs = [self._row("the cost", cost[0])] if cost else [self._cost(name, info) for name in self.constraints]
        terminated, truncated = self._row("terminated", terminated), self._row("truncated", truncated)
        done = (terminated + truncated) > 0
        obs = self._observations(obs)
        final_obs = obs
        if done.any():
            final_obs = obs.copy()
            if self._mode == "DISABLED":
                obs = self._observations(self._env.reset(options={"reset_mask": done})[0])
            else:
                last = info["final_obs"] if "final_obs" in info else info["final_observation"]
                for i in np.flatnonzero(done):
                    final_obs[i] = last[i]
        return obs, final_obs, self._row("the reward", reward), np.stack(costs), terminated, truncated

    def _cost(self, name, info):
        key = "cost" if self.constraints == ["cost"] else f"cost_{name}"
        if key not in info:
            raise ValueError(f"{self.id}: step's info has no `{key}`")
        return self._row(f"info['{key}']", info[key])

    def _observations(self, values):
        return self._checked("observations", values, (self.num_envs, self.obs_dim))

    def _row(self, name, values):
        return self._checked(name, values, (self.num_envs,))

    def _checked(self, name, values, shape):
        values = np.ascontiguousarray(values, np.float32)
        if values.shape != shape:
            raise ValueError(f"{self.id}: {name} has shape {values.shape}, expected {shape}")
        if not np.isfinite(values).all():
            raise ValueError(f"{self.id}: {name} is not finite")
        return values
