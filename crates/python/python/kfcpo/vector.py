"""Many environments with Safety-Gymnasium's six-tuple: observation, reward, cost, terminated, truncated, info."""

from __future__ import annotations

import json
import os
from typing import Any, Optional, Union

import numpy as np
from numpy.typing import NDArray

from ._kfcpo import Simulator, level_json

# An id, the path of a level's file, or a level as a dict.
Env = Union[str, "os.PathLike[str]", dict[str, Any]]
# Observation, reward, cost, terminated, truncated, info.
Step = tuple[
    NDArray[np.float32], NDArray[np.float32], NDArray[np.float32], NDArray[np.bool_], NDArray[np.bool_], dict[str, Any]
]


def level_text(env):
    """What ``Simulator`` takes for an id, the path of a level's file or a level as a dict."""
    if isinstance(env, dict):
        return json.dumps(env)
    if isinstance(env, (str, os.PathLike)):
        return os.fspath(env)
    raise TypeError(f"env must be an id, a path or a dict, not {type(env).__name__}")


def level(env: Env) -> dict[str, Any]:
    """An agent and its level as a dict: change it, and hand it back as ``env``.

    ::

        sparse = kfcpo.level("PointGoal1")
        sparse["level"].update(name="Short", max_episode_steps=200)
        env = kfcpo.make_vec(sparse, 64)

    Raises ``ValueError`` for an unknown id and a level that cannot be simulated.
    """
    return json.loads(level_json(level_text(env)))


def costs_by_kind(simulator):
    """Which kinds of cost the last step brought: ``cost_hazards``, ``cost_vases_contact``, ... ``[B]``, 0 or 1, of every kind
    that can occur."""
    bits = simulator.cost_kinds
    return {f"cost_{name}": ((bits & bit) != 0).astype(np.float32) for name, bit in simulator.cost_kind_bits}


def pickled(simulator):
    """Everything a simulator is, as plain data."""
    settings = {
        "env": simulator.level,
        "num_envs": simulator.num_envs,
        "seed": simulator.seed,
        "threads": simulator.threads,
        "device": simulator.device,
        "autoreset": simulator.autoreset,
        "fresh": simulator.fresh,
    }
    return {"settings": settings, "state": simulator.state()}


def unpickled(saved):
    """The simulator that :func:`pickled` described, in this process."""
    simulator = Simulator(**saved["settings"])
    simulator.set_state(saved["state"])
    return simulator


class VectorEnv:
    """B environments of one kind that begin the next episode within the step that ends one.

    What is returned are arrays that are made once: the next step overwrites them. With ``copy=True`` it leaves those alone that
    anything still refers to, and writes into others. They export ``__dlpack__``: ``torch.from_dlpack(obs)`` and
    ``jax.dlpack.from_dlpack(obs)`` share their memory.
    """

    def __init__(
        self,
        env: Env,
        num_envs: int = 1,
        *,
        seed: int = 0,
        threads: Optional[int] = None,
        device: str = "cpu",
        copy: bool = False,
        kinds: bool = False,
    ) -> None:
        self._kinds = bool(kinds)
        self._simulator = Simulator(level_text(env), num_envs, seed, threads, device, fresh=bool(copy))
        self._constraints = self._simulator.constraints

    @property
    def simulator(self) -> Simulator:
        """The environments below: their arrays, names and sizes."""
        return self._simulator

    @property
    def id(self) -> str:
        """Safety-Gymnasium's id."""
        return self._simulator.id

    @property
    def num_envs(self) -> int:
        """B, the number of environments."""
        return self._simulator.num_envs

    @property
    def single_observation_space(self):
        """A ``gymnasium.spaces.Box`` of one observation ``[D]``."""
        from . import spaces

        return spaces.observation(self._simulator)

    @property
    def single_action_space(self):
        """A ``gymnasium.spaces.Box`` of one action ``[A]``."""
        from . import spaces

        return spaces.action(self._simulator)

    @property
    def observation_space(self):
        """A ``gymnasium.spaces.Box`` of observations ``[B, D]``."""
        from . import spaces

        return spaces.batch(self.single_observation_space, self.num_envs)

    @property
    def action_space(self):
        """A ``gymnasium.spaces.Box`` of actions ``[B, A]``."""
        from . import spaces

        return spaces.batch(self.single_action_space, self.num_envs)

    def reset(self, *, seed: Optional[int] = None, options: Any = None) -> tuple[NDArray[np.float32], dict[str, Any]]:
        """Begins an episode in every environment; returns observations ``[B, D]`` and an empty dict.

        With a ``seed`` the environments become those that were made with it.
        """
        self._simulator.reset(seed)
        return self._simulator.obs, {}

    def step(self, action: NDArray[np.floating[Any]]) -> Step:
        """Steps every environment under ``action`` ``[B, A]``, clipped to [-1, 1].

        Returns observations ``[B, D]`` to act on next, rewards, costs, terminated and truncated ``[B]`` and a dict: where
        there are several constraints ``cost_NAME`` ``[B]`` of each; in a step that ended an episode ``final_observation``
        ``[B, D]``, what it ended with (elsewhere the observation itself), and the mask ``_final_observation`` ``[B]``.

        Raises ``TypeError`` or ``ValueError`` for an unfit action, NaN included, and ``RuntimeError`` after ``close``.
        """
        simulator = self._simulator
        ended = simulator.step(action)
        costs, terminated, truncated = simulator.costs, simulator.terminated, simulator.truncated
        info = costs_by_kind(simulator) if self._kinds else {}
        if len(self._constraints) == 1:
            cost = costs[0]
        else:
            cost = costs.sum(axis=0)
            info.update({f"cost_{name}": row for name, row in zip(self._constraints, costs)})
        if ended:
            info["final_observation"] = simulator.final_obs
            info["_final_observation"] = terminated | truncated
        return simulator.obs, simulator.reward, cost, terminated, truncated, info

    def state(self) -> dict[str, Any]:
        """Everything the environments are, as arrays by name."""
        return self._simulator.state()

    def set_state(self, state: dict[str, Any]) -> NDArray[np.float32]:
        """Continues from :meth:`state` bit for bit, in environments made in the same way; returns observations ``[B, D]``."""
        self._simulator.set_state(state)
        return self._simulator.obs

    def close(self) -> None:
        """Frees the environments."""
        self._simulator.close()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()

    def __getstate__(self):
        return {"simulator": pickled(self._simulator), "kinds": self._kinds}

    def __setstate__(self, state):
        self._simulator, self._kinds = unpickled(state["simulator"]), state["kinds"]
        self._constraints = self._simulator.constraints

    def __repr__(self):
        return f"kfcpo.VectorEnv({self.id!r}, num_envs={self.num_envs})"


def make_vec(
    env: Env,
    num_envs: int = 1,
    *,
    seed: int = 0,
    threads: Optional[int] = None,
    device: str = "cpu",
    copy: bool = False,
    kinds: bool = False,
) -> VectorEnv:
    """B environments of one kind with Safety-Gymnasium's six-tuple.

    :param env: an id (``SafetyPointGoal1-v0`` or ``PointGoal1``), the path of a level's file, or a level as a dict.
    :param num_envs: B.
    :param seed: layouts follow from it and an environment's index alone.
    :param threads: CPU threads that step, all cores by default; results do not depend on it.
    :param device: ``cpu``; ``cuda``, ``vulkan``, ``wgpu`` where they are compiled in.
    :param copy: whether returned arrays stay as they are while anything refers to them; otherwise the next step overwrites them.
    :param kinds: whether info tells costs apart by their kind: ``cost_hazards``, ``cost_vases_contact``, ... ``[B]``, 0 or 1.

    Raises ``ValueError`` for an unknown id, a level that cannot be simulated or a number out of range.
    """
    return VectorEnv(env, num_envs, seed=seed, threads=threads, device=device, copy=copy, kinds=kinds)
