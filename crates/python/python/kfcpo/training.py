"""Training from Python: :func:`train` and what it returns."""

from __future__ import annotations

import csv
import json
import numbers
import os
import tempfile
from pathlib import Path
from typing import Any, Callable, Mapping, Optional, Sequence, Union

import numpy as np

from ._kfcpo import Policy, train_run
from .python_env import adapter_of
from .vector import level_text


class Run:
    """A training run: its directory ``path``, its ``summary`` as a dict, its ``policy``."""

    def __init__(self, path: Union[str, "os.PathLike[str]"], summary: dict[str, Any], policy: Policy) -> None:
        self.path, self.summary, self.policy = Path(path), summary, policy

    def metrics(self) -> dict[str, np.ndarray]:
        """Every iteration's numbers: a float64 array per column of ``metrics.csv``, NaN where a field is empty."""
        with open(self.path / "metrics.csv", newline="") as file:
            header, *rows = csv.reader(file)
        number = lambda field: float(field) if field else np.nan  # noqa: E731
        columns = zip(*rows) if rows else ([] for _ in header)
        return {name: np.array([number(field) for field in column]) for name, column in zip(header, columns)}

    def __repr__(self):
        return f"kfcpo.Run({str(self.path)!r})"


def train(
    env: Any = "PointGoal1",
    algo: Optional[str] = None,
    total_steps: Optional[float] = None,
    *,
    callback: Optional[Callable[[dict[str, float]], Any]] = None,
    seed: Optional[int] = None,
    num_envs: Optional[int] = None,
    cost_limit: Union[float, Sequence[float], None] = None,
    preset: Optional[str] = None,
    config: Union[str, "os.PathLike[str]", dict[str, Any], None] = None,
    settings: Optional[Mapping[str, Any]] = None,
    out: Union[str, "os.PathLike[str]", None] = None,
    threads: Optional[int] = None,
    device: str = "auto",
    max_episode_steps: Optional[int] = None,
) -> Run:
    """Trains a policy and returns the :class:`Run`; its directory is what ``python -m kfcpo train`` writes.

    :param env: an id, the path of a level's file, a level as a dict, or a vector environment written in Python (see
        :mod:`kfcpo.python_env`).
    :param algo: an algorithm's name, see :func:`algorithm_names`; ``kfcpo`` by default.
    :param total_steps: environment steps after which training ends.
    :param callback: called after every iteration with a dict of numbers: ``iteration``, ``steps``, ``return_mean``,
        ``cost_mean`` (NaN before the first finished episode) and the algorithm's own; where it returns False, training ends.
    :param cost_limit: limit on the cost of an episode, or a list of one per constraint.
    :param preset: the name of a built-in configuration.
    :param config: a JSON file or a dict of settings.
    :param settings: any further settings by their path, such as ``{"kfcpo.target_kl": 0.01, "policy.hidden": [128, 128]}``.
    :param out: the directory to create, ``runs/ENV-ALGO-seedN-TIME`` by default.
    :param threads: CPU threads, all cores by default; results do not depend on it.
    :param device: ``auto``, ``cpu``, ``cuda``, ``vulkan`` or ``wgpu``.
    :param max_episode_steps: length of an episode of an environment written in Python that does not say it.

    Other Python threads run meanwhile. Ctrl-C ends the iteration, saves and raises ``KeyboardInterrupt``. An exception of
    ``callback`` comes out after a checkpoint was written.

    Raises ``ValueError`` for a setting that is unknown or unsuitable, ``OSError`` where the directory cannot be written.
    """
    adapter, given = None, {}
    if hasattr(env, "step") and hasattr(env, "reset"):
        adapter = adapter_of(env, max_episode_steps)
        if num_envs not in (None, adapter.num_envs):
            raise ValueError(f"num_envs is {num_envs}, but the environment has {adapter.num_envs}")
    else:
        text = level_text(env)
        given["env"] = json.loads(text) if text.lstrip().startswith("{") else text
    whole = lambda name, value: None if value is None else _whole(name, value)  # noqa: E731
    given.update(
        algo=algo,
        seed=whole("seed", seed),
        total_steps=whole("total_steps", total_steps),
        num_envs=whole("num_envs", num_envs),
        cost_limit=_plain(cost_limit),
    )
    flags = {name: _json(name, value) for name, value in given.items() if value is not None}
    sets = [f"{key}={_json(key, _plain(value))}" for key, value in (settings or {}).items()]
    with _as_file(config) as file:
        path, summary, policy = train_run(
            flags, sets, preset, file, None if out is None else os.fspath(out), callback, threads, device, adapter
        )
    return Run(path, json.loads(summary), policy)


def _whole(name, value):
    """A whole number, also where it is given as 1e6."""
    if isinstance(value, numbers.Real) and value == int(value):
        return int(value)
    raise ValueError(f"{name} must be a whole number, not {value!r}")


def _plain(value):
    """NumPy's numbers and arrays as Python's."""
    return value.tolist() if isinstance(value, (np.ndarray, np.generic)) else value


def _json(name, value):
    try:
        return json.dumps(value, allow_nan=False)
    except (TypeError, ValueError) as error:
        raise ValueError(f"{name}: {error}") from None


class _as_file:
    """A configuration as a file: the one that is named, or one that holds the dict."""

    def __init__(self, config):
        self._config, self._written = config, None

    def __enter__(self):
        if not isinstance(self._config, dict):
            return None if self._config is None else os.fspath(self._config)
        self._written = tempfile.NamedTemporaryFile("w", suffix=".json", delete=False)
        with self._written as file:
            file.write(_json("config", self._config))
        return self._written.name

    def __exit__(self, *_):
        if self._written is not None:
            os.unlink(self._written.name)
