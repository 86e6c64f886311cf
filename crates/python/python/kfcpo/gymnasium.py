"""Gymnasium 1.1 and newer: one environment (:class:`Env`) and many (:class:`VectorEnv`) with its five-tuple.

The cost stands in ``info["cost"]``. ``import kfcpo`` registers both: ``gymnasium.make("kfcpo/PointGoal1-v0")`` and
``gymnasium.make_vec("kfcpo/PointGoal1-v0", num_envs=1024)``.
"""

from __future__ import annotations

import gymnasium
import numpy as np
from gymnasium.vector import AutoresetMode

from . import spaces
from ._kfcpo import Simulator
from .vector import costs_by_kind, level_text, pickled, unpickled

MODES = {
    AutoresetMode.SAME_STEP: "same_step",
    AutoresetMode.NEXT_STEP: "next_step",
    AutoresetMode.DISABLED: "disabled",
}
RENDER_MODES = ["rgb_array"]
# Ten simulator steps of 2 ms per environment step.
RENDER_FPS = 50


def one_seed(seed):
    """The seed that stands for ``seed``: itself, or for a list one number that follows from all of it."""
    if seed is None or isinstance(seed, (int, np.integer)):
        return seed
    given = [value for value in seed if value is not None]
    return int(np.random.SeedSequence(given).generate_state(1, np.uint64)[0]) if given else None


def check_render_mode(mode):
    if mode is not None and mode not in RENDER_MODES:
        raise ValueError(f"render_mode must be None or one of {RENDER_MODES}, not {mode!r}")
    return mode


def costs_of(simulator):
    """The costs of a step by name: ``cost`` ``[B]``, ``cost_hazards`` and the like of every kind that can occur, and where there
    are several constraints ``cost_NAME`` of each."""
    costs, names = simulator.costs, simulator.constraints
    if len(names) == 1:
        return {"cost": costs[0], **costs_by_kind(simulator)}
    named = {f"cost_{name}": row for name, row in zip(names, costs)}
    return {"cost": costs.sum(axis=0), **costs_by_kind(simulator), **named}


class Env(gymnasium.Env):
    """One environment. Observations ``[D]`` and actions ``[A]`` are float32 arrays, ``info["cost"]`` is the step's cost."""

    metadata = {"render_modes": RENDER_MODES, "render_fps": RENDER_FPS}

    def __init__(self, env, *, seed=0, device="cpu", render_mode=None):
        self.render_mode = check_render_mode(render_mode)
        self._simulator = Simulator(level_text(env), 1, seed, 1, device, "disabled")
        self.observation_space = spaces.observation(self._simulator)
        self.action_space = spaces.action(self._simulator)
        self._everywhere = np.ones(1, bool)

    def reset(self, *, seed=None, options=None):
        """Begins an episode; returns its first observation and an empty dict."""
        super().reset(seed=seed)
        if seed is None:
            self._simulator.reset(mask=self._everywhere)
        else:
            self._simulator.reset(seed)
        return self._simulator.obs[0].copy(), {}

    def step(self, action):
        """One step under ``action`` ``[A]``, clipped to [-1, 1]; ``info["cost"]`` is its cost.

        Raises ``RuntimeError`` where the episode has ended and was not reset.
        """
        simulator = self._simulator
        simulator.step(np.asarray(action)[None])
        info = {name: float(values[0]) for name, values in costs_of(simulator).items()}
        reward, terminated, truncated = simulator.reward[0], simulator.terminated[0], simulator.truncated[0]
        return simulator.obs[0].copy(), float(reward), bool(terminated), bool(truncated), info

    def render(self):
        """The arena from above as an RGB picture ``[height, width, 3]`` of uint8, or None without a render mode."""
        return None if self.render_mode is None else self._simulator.render(0)

    def close(self):
        """Frees the environment."""
        self._simulator.close()

    def __getstate__(self):
        return {**self.__dict__, "_simulator": pickled(self._simulator)}

    def __setstate__(self, state):
        self.__dict__.update(state)
        self._simulator = unpickled(state["_simulator"])


class VectorEnv(gymnasium.vector.VectorEnv):
    """B environments in one of Gymnasium's three autoreset modes.

    Infos hold ``cost`` ``[B]``; in mode SAME_STEP a step that ends an episode has ``final_obs`` and ``final_info``.

    :param env: an id, the path of a level's file, or a level as a dict.
    :param autoreset_mode: ``NEXT_STEP`` as in Gymnasium, ``SAME_STEP`` (the fastest) or ``DISABLED``: then
        ``reset(options={"reset_mask": mask})`` begins the episodes of those in the mask.
    :param copy: False returns arrays that the next step overwrites. True returns arrays that nothing overwrites while anything refers
        to them; it costs no copy, as the next step writes into others.
    """

    def __init__(
        self,
        env,
        num_envs=1,
        *,
        seed=0,
        threads=None,
        device="cpu",
        autoreset_mode=AutoresetMode.NEXT_STEP,
        copy=True,
        render_mode=None,
    ):
        super().__init__()
        self.render_mode = check_render_mode(render_mode)
        mode = AutoresetMode(autoreset_mode)
        self._simulator = Simulator(level_text(env), num_envs, seed, threads, device, MODES[mode], bool(copy))
        self.num_envs = num_envs
        self.metadata = {"render_modes": RENDER_MODES, "render_fps": RENDER_FPS, "autoreset_mode": mode}
        self.single_observation_space = spaces.observation(self._simulator)
        self.single_action_space = spaces.action(self._simulator)
        self._everywhere = np.ones(num_envs, bool)
        self.observation_space = spaces.batch(self.single_observation_space, num_envs)
        self.action_space = spaces.batch(self.single_action_space, num_envs)

    def reset(self, *, seed=None, options=None):
        """Begins an episode in every environment, or in those of ``options["reset_mask"]`` ``[B]``.

        Layouts follow from one seed and the environment's index: a list of seeds is taken together.
        """
        seed = one_seed(seed)
        super().reset(seed=seed)
        mask = (options or {}).get("reset_mask")
        self._simulator.reset(seed, mask)
        return self._simulator.obs, {}

    def step(self, actions):
        """Steps every environment under ``actions`` ``[B, A]``, clipped to [-1, 1].

        Returns observations ``[B, D]``, rewards, terminated and truncated ``[B]`` and infos.
        """
        simulator = self._simulator
        ended = simulator.step(actions)
        infos = costs_of(simulator)
        infos.update({f"_{name}": self._everywhere for name in list(infos)})
        terminated, truncated = simulator.terminated, simulator.truncated
        if ended and self.metadata["autoreset_mode"] == AutoresetMode.SAME_STEP:
            infos.update(self._finals(infos, terminated | truncated))
        return simulator.obs, simulator.reward, terminated, truncated, infos

    def _finals(self, infos, done):
        """Where episodes ended: their last observations and infos, laid out as Gymnasium's vectors do."""
        final_obs = np.full(self.num_envs, None, dtype=object)
        for i in np.flatnonzero(done):
            final_obs[i] = self._simulator.final_obs[i].copy()
        final_info = {name: np.where(done, values, 0) for name, values in infos.items() if not name.startswith("_")}
        final_info.update({f"_{name}": done.copy() for name in list(final_info)})
        return {"final_obs": final_obs, "_final_obs": done, "final_info": final_info, "_final_info": done.copy()}

    def render(self):
        """A picture ``[height, width, 3]`` of uint8 of every environment, or None without a render mode."""
        if self.render_mode is None:
            return None
        return tuple(self._simulator.render(i) for i in range(self.num_envs))

    def state(self):
        """Everything the environments are, as arrays by name."""
        return self._simulator.state()

    def set_state(self, state):
        """Continues from :meth:`state` bit for bit; returns the observations ``[B, D]``."""
        self._simulator.set_state(state)
        return self._simulator.obs

    def close_extras(self, **kwargs):
        """Frees the environments."""
        self._simulator.close()

    def __getstate__(self):
        return {**self.__dict__, "_simulator": pickled(self._simulator)}

    def __setstate__(self, state):
        self.__dict__.update(state)
        self._simulator = unpickled(state["_simulator"])
