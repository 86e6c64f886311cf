"""OmniSafe's algorithms on this simulator: ``import kfcpo.omnisafe`` registers ``FastPointGoal1-v0`` and the others.

::

    import omnisafe
    import kfcpo.omnisafe

    cfgs = {"train_cfgs": {"vector_env_nums": 20, "total_steps": 1_000_000}, "algo_cfgs": {"steps_per_epoch": 20_000}}
    omnisafe.Agent("CPO", "FastPointGoal1-v0", custom_cfgs=cfgs).learn()

OmniSafe begins every epoch with fresh episodes: ``steps_per_epoch`` must be at least ``vector_env_nums`` times the length of an
episode (1000), or no episode is ever seen to its end. ``env_cfgs`` takes ``threads``, and ``seed`` of the first episodes.
"""

from __future__ import annotations

from typing import Any, ClassVar

import torch
from omnisafe.envs.core import CMDP, env_register

from . import spaces
from ._kfcpo import Simulator, env_ids
from .vector import level_text

PREFIX = "Fast"
# Ten simulator steps of 2 ms per environment step.
RENDER_FPS = 50

# What is simulated, by the id that OmniSafe knows: its own ids are those of the original, and stay that.
LEVELS = {env_id.replace("Safety", PREFIX, 1): env_id for env_id in env_ids()}


@env_register
class FastSafetyEnv(CMDP):
    """B environments, or one: OmniSafe's five float32 tensors and an info, episodes beginning within the step that ends one.

    In a step that ends episodes ``info["final_observation"]`` ``[B, D]`` holds what they ended with, and the mask
    ``info["_final_observation"]`` ``[B]`` says which.
    """

    need_time_limit_wrapper: bool = False
    need_auto_reset_wrapper: bool = False
    need_evaluation: bool = False

    _support_envs: ClassVar[list[str]] = list(LEVELS)

    def __init__(self, env_id: str, num_envs: int = 1, device: Any = "cpu", *, seed: int = 0, threads: int | None = None):
        super().__init__(env_id)
        self._num_envs = num_envs
        self._device = torch.device(device)
        self._simulator = Simulator(level_text(LEVELS[env_id]), num_envs, seed, 1 if num_envs == 1 else threads)
        self._observation_space = spaces.observation(self._simulator)
        self._action_space = spaces.action(self._simulator)
        self._metadata = {"render_modes": ["rgb_array"], "render_fps": RENDER_FPS}

    def _out(self, array):
        """A float32 tensor of its own on the device: OmniSafe keeps observations beyond the next step."""
        tensor = torch.tensor(array, dtype=torch.float32, device=self._device)
        return tensor if self._num_envs > 1 else tensor[0]

    def reset(self, seed: int | None = None, options: dict[str, Any] | None = None):
        """Observations of new episodes and an empty dict."""
        self._simulator.reset(seed)
        return self._out(self._simulator.obs), {}

    def step(self, action: torch.Tensor):
        """Observation, reward, cost, terminated, truncated and info."""
        simulator = self._simulator
        # OmniSafe's random warm-up draws one action for all environments.
        action = action.detach().to("cpu", torch.float32).expand(self._num_envs, simulator.action_dim)
        ended = simulator.step(action.numpy())
        info = {}
        if ended:
            done = simulator.terminated | simulator.truncated
            info["final_observation"] = self._out(simulator.final_obs)
            info["_final_observation"] = torch.tensor(done, device=self._device) if self._num_envs > 1 else True
        arrays = (simulator.obs, simulator.reward, simulator.costs.sum(axis=0), simulator.terminated, simulator.truncated)
        return (*map(self._out, arrays), info)

    @property
    def max_episode_steps(self) -> int:
        """Steps after which an episode is truncated."""
        return self._simulator.max_episode_steps

    def set_seed(self, seed: int) -> None:
        """Makes the environments those of ``seed``."""
        self._simulator.reset(seed)

    def render(self):
        """The first environment from above, ``[height, width, 3]`` uint8."""
        return self._simulator.render(0)

    def close(self) -> None:
        """Frees the environments."""
        self._simulator.close()


def register(env_id: str, env) -> None:
    """Lets OmniSafe know a level of one's own: an id, a level's file or a dict, under a new name.

    Raises ``ValueError`` where the name is taken or the level cannot be simulated.
    """
    if env_id in LEVELS:
        raise ValueError(f"{env_id} is registered already")
    Simulator(level_text(env), 1, 0, 1).close()
    LEVELS[env_id] = env
    FastSafetyEnv._support_envs.append(env_id)
