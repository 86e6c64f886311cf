"""Stable-Baselines3: :class:`VecEnv` is one of its vector environments.

The cost stands in every info as ``cost``; Stable-Baselines3's algorithms maximise the reward alone.
"""

from __future__ import annotations

import numpy as np
from stable_baselines3.common.vec_env import VecEnv as BaseVecEnv

from . import spaces
from ._kfcpo import Simulator
from .vector import level_text


class VecEnv(BaseVecEnv):
    """B environments: ``PPO("MlpPolicy", kfcpo.sb3.VecEnv("PointGoal1", 64)).learn(1_000_000)``.

    :param env: an id, the path of a level's file, or a level as a dict.
    """

    def __init__(self, env, num_envs=1, *, seed=0, threads=None, device="cpu"):
        self._simulator = Simulator(level_text(env), num_envs, seed, threads, device, fresh=True)
        self._actions = None
        self.render_mode = "rgb_array"
        super().__init__(num_envs, spaces.observation(self._simulator), spaces.action(self._simulator))

    def reset(self):
        """Begins an episode in every environment; returns observations ``[B, D]``."""
        seed = self._seeds[0]
        self._simulator.reset(None if seed is None else int(seed))
        self._reset_seeds()
        if hasattr(self, "_reset_options"):  # from 2.2 on
            self._reset_options()
        self.reset_infos = [{} for _ in range(self.num_envs)]
        return self._simulator.obs

    def step_async(self, actions):
        """Takes the actions ``[B, A]`` of the next step."""
        self._actions = actions

    def step_wait(self):
        """Steps; returns observations ``[B, D]``, rewards and dones ``[B]`` and an info per environment."""
        simulator = self._simulator
        simulator.step(self._actions)
        done = simulator.terminated | simulator.truncated
        infos = [{"cost": float(cost)} for cost in simulator.costs.sum(axis=0)]
        for i in np.flatnonzero(done):
            infos[i]["terminal_observation"] = simulator.final_obs[i].copy()
            infos[i]["TimeLimit.truncated"] = bool(simulator.truncated[i] and not simulator.terminated[i])
            infos[i]["episode"] = {
                "r": float(simulator.episode_return[i]),
                "l": int(simulator.episode_length[i]),
                "c": float(simulator.episode_costs[:, i].sum()),
            }
        return simulator.obs, simulator.reward, done, infos

    def close(self):
        """Frees the environments."""
        self._simulator.close()

    def get_images(self):
        """A picture ``[height, width, 3]`` of uint8 of every environment."""
        return [self._simulator.render(i) for i in range(self.num_envs)]

    def get_attr(self, attr_name, indices=None):
        """The attribute of these environments, once for each of ``indices``."""
        return [getattr(self, attr_name) for _ in self._get_indices(indices)]

    def set_attr(self, attr_name, value, indices=None):
        """Refused: the environments share their attributes."""
        raise AttributeError(f"{attr_name} is shared by all environments and cannot be set for some")

    def env_method(self, method_name, *method_args, indices=None, **method_kwargs):
        """Refused: the environments are no objects of their own."""
        raise AttributeError(f"the environments have no method {method_name}: they are stepped as one")

    def env_is_wrapped(self, wrapper_class, indices=None):
        """False for each of ``indices``."""
        return [False for _ in self._get_indices(indices)]
