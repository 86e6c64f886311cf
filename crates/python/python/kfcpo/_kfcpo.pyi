"""The compiled part: B environments, D = observation size, A = action size, C = constraints."""

from os import PathLike
from typing import Any, Callable, Optional, Union

import numpy as np
from numpy.typing import NDArray

__version__: str

class Simulator:
    """B environments of one kind, stepped into arrays that are made once.

    With ``fresh`` those of them that anything still refers to are never written: the next step writes into others.
    """

    def __init__(
        self,
        env: str,
        num_envs: int,
        seed: int = 0,
        threads: Optional[int] = None,
        device: str = "cpu",
        autoreset: str = "same_step",
        fresh: bool = False,
    ) -> None: ...
    def reset(self, seed: Optional[int] = None, mask: Optional[NDArray[np.bool_]] = None) -> None: ...
    def step(self, action: NDArray[np.floating[Any]]) -> bool:
        """Steps and writes all arrays; whether an episode ended."""
    def state(self) -> dict[str, Any]: ...
    def set_state(self, state: dict[str, Any]) -> None: ...
    def render(self, index: int = 0, width: int = 480) -> NDArray[np.uint8]: ...
    def close(self) -> None: ...
    @property
    def closed(self) -> bool: ...
    @property
    def fresh(self) -> bool: ...
    @property
    def obs(self) -> NDArray[np.float32]:
        """``[B, D]``: observations to act on next."""
    @property
    def final_obs(self) -> NDArray[np.float32]:
        """``[B, D]``: what the step led to, written by steps that end an episode."""
    @property
    def reward(self) -> NDArray[np.float32]:
        """``[B]``"""
    @property
    def costs(self) -> NDArray[np.float32]:
        """``[C, B]``"""
    @property
    def terminated(self) -> NDArray[np.bool_]:
        """``[B]``"""
    @property
    def truncated(self) -> NDArray[np.bool_]:
        """``[B]``"""
    @property
    def episode_return(self) -> NDArray[np.float32]:
        """``[B]``"""
    @property
    def episode_costs(self) -> NDArray[np.float32]:
        """``[C, B]``"""
    @property
    def episode_length(self) -> NDArray[np.int32]:
        """``[B]``"""
    @property
    def cost_kinds(self) -> NDArray[np.int32]:
        """``[B]``: the kinds of cost that the step brought, the sum of their bits."""
    @property
    def cost_kind_bits(self) -> list[tuple[str, int]]: ...
    @property
    def id(self) -> str: ...
    @property
    def level(self) -> str:
        """What makes the same environments: an id, or an agent and its level as JSON."""
    @property
    def num_envs(self) -> int: ...
    @property
    def obs_dim(self) -> int: ...
    @property
    def action_dim(self) -> int: ...
    @property
    def max_episode_steps(self) -> int: ...
    @property
    def constraints(self) -> list[str]: ...
    @property
    def obs_parts(self) -> list[tuple[str, int]]: ...
    @property
    def seed(self) -> int: ...
    @property
    def threads(self) -> int: ...
    @property
    def device(self) -> str: ...
    @property
    def autoreset(self) -> str: ...

class Policy:
    """A Gaussian policy with its observation normaliser."""

    @staticmethod
    def load(
        path: Union[str, PathLike[str]],
        checkpoint: str = "latest",
        *,
        threads: Optional[int] = None,
        device: str = "cpu",
    ) -> Policy:
        """The policy in an exported file, or in a run's directory: ``latest``, ``best`` or a number of steps."""
    def act(self, obs: NDArray[np.floating[Any]], deterministic: bool = True) -> NDArray[np.float32]:
        """Actions ``[N, A]`` in [-1, 1] for observations ``[N, D]``, or ``[A]`` for ``[D]``."""
    def reseed(self, seed: int) -> None: ...
    def save(self, path: Union[str, PathLike[str]]) -> None: ...
    @property
    def env(self) -> str: ...
    @property
    def obs_dim(self) -> int: ...
    @property
    def action_dim(self) -> int: ...
    @property
    def sizes(self) -> list[int]: ...
    @property
    def log_std(self) -> NDArray[np.float32]: ...

def env_ids() -> list[str]: ...
def algorithm_names() -> list[str]: ...
def level_json(env: str) -> str: ...
def train_run(
    flags: dict[str, str],
    sets: list[str],
    preset: Optional[str],
    config: Union[str, PathLike[str], None],
    out: Union[str, PathLike[str], None],
    callback: Optional[Callable[[dict[str, float]], Any]],
    threads: Optional[int],
    device: str,
    adapter: Any,
) -> tuple[str, str, Policy]: ...
def run_program(args: list[str]) -> int: ...
