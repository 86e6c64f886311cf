"""A policy exported by `trainer export RUN --format safetensors`, read and evaluated with numpy alone."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import numpy as np
from safetensors import SafetensorError, safe_open

FORMAT = "kfcpo-policy-1"
ACTIVATIONS = {"tanh": np.tanh, "relu": lambda x: np.maximum(x, 0.0)}


class PolicyFileError(ValueError):
    """The file is not a policy of format `kfcpo-policy-1`."""


@dataclasses.dataclass(frozen=True)
class Policy:
    """Gaussian policy: an observation normaliser, a multilayer perceptron for the mean, one log standard deviation per action.

    Shapes: `obs_mean`, `obs_std` [D]; `layers` pairs of weight [out, in] and bias [out]; `log_std` [A]; all float32.
    """

    env: str
    activation: str
    obs_clip: float
    std_floor: float
    obs_mean: np.ndarray
    obs_std: np.ndarray
    layers: list[tuple[np.ndarray, np.ndarray]]
    log_std: np.ndarray

    @property
    def obs_dim(self) -> int:
        """Size D of the observation."""
        return int(self.obs_mean.shape[0])

    @property
    def action_dim(self) -> int:
        """Size A of the action."""
        return int(self.log_std.shape[0])

    def mean(self, obs: np.ndarray) -> np.ndarray:
        """Mean action [A] of an observation [D], not clipped."""
        scaled = (obs.astype(np.float32) - self.obs_mean) / np.maximum(self.obs_std, self.std_floor)
        x = np.clip(scaled, -self.obs_clip, self.obs_clip)
        for weight, bias in self.layers[:-1]:
            x = ACTIVATIONS[self.activation](weight @ x + bias)
        weight, bias = self.layers[-1]
        return weight @ x + bias

    def act(self, obs: np.ndarray, noise: np.random.Generator | None = None) -> np.ndarray:
        """Action [A] within [-1, 1]: the mean, or a sample when a generator is given."""
        action = self.mean(obs)
        if noise is not None:
            action = action + np.exp(self.log_std) * noise.standard_normal(self.action_dim)
        return np.clip(action, -1.0, 1.0).astype(np.float64)


def load_policy(path: Path) -> Policy:
    """Reads a policy file.

    Raises PolicyFileError, saying what is wrong, unless the file has the format's metadata and arrays of matching shapes.
    """
    arrays, metadata = read_file(path)
    if metadata.get("format") != FORMAT:
        raise PolicyFileError(f"{path}: metadata `format` is {metadata.get('format')!r}, expected {FORMAT!r}")
    if missing := [key for key in ("env", "activation", "obs_clip", "std_floor") if key not in metadata]:
        raise PolicyFileError(f"{path}: metadata lacks {', '.join(missing)}")
    if missing := [key for key in ("obs_mean", "obs_std", "log_std") if key not in arrays]:
        raise PolicyFileError(f"{path}: arrays lack {', '.join(missing)}")
    policy = Policy(
        env=metadata["env"],
        activation=metadata["activation"].lower(),
        obs_clip=parse_number(path, metadata, "obs_clip"),
        std_floor=parse_number(path, metadata, "std_floor"),
        obs_mean=arrays["obs_mean"],
        obs_std=arrays["obs_std"],
        layers=collect_layers(path, arrays),
        log_std=arrays["log_std"],
    )
    check_shapes(path, policy)
    return policy


def read_file(path: Path) -> tuple[dict[str, np.ndarray], dict[str, str]]:
    """Float32 arrays and metadata of a safetensors file."""
    try:
        with safe_open(path, framework="numpy") as file:
            return {key: file.get_tensor(key).astype(np.float32) for key in file.keys()}, file.metadata() or {}
    except (OSError, SafetensorError) as error:
        raise PolicyFileError(f"{path}: not a readable safetensors file: {error}") from error


def parse_number(path: Path, metadata: dict[str, str], key: str) -> float:
    """The metadata string `key` as a number."""
    try:
        return float(metadata[key])
    except ValueError as error:
        raise PolicyFileError(f"{path}: metadata `{key}` is {metadata[key]!r}, not a number") from error


def collect_layers(path: Path, arrays: dict[str, np.ndarray]) -> list[tuple[np.ndarray, np.ndarray]]:
    """Weight and bias of `layers.0`, `layers.1`, ... up to the first index that is absent."""
    layers: list[tuple[np.ndarray, np.ndarray]] = []
    while f"layers.{len(layers)}.weight" in arrays:
        name = f"layers.{len(layers)}"
        if f"{name}.bias" not in arrays:
            raise PolicyFileError(f"{path}: {name}.weight has no {name}.bias")
        layers.append((arrays[f"{name}.weight"], arrays[f"{name}.bias"]))
    if not layers:
        raise PolicyFileError(f"{path}: arrays lack layers.0.weight")
    return layers


def check_shapes(path: Path, policy: Policy) -> None:
    """Raises PolicyFileError unless the arrays form a chain from the observation to the action and are finite."""
    if policy.activation not in ACTIVATIONS:
        raise PolicyFileError(f"{path}: activation {policy.activation!r}, expected one of {', '.join(ACTIVATIONS)}")
    width = policy.obs_dim
    expected: dict[str, tuple[np.ndarray, tuple[int, ...]]] = {"obs_std": (policy.obs_std, (width,))}
    for index, (weight, bias) in enumerate(policy.layers):
        expected[f"layers.{index}.weight"] = (weight, (bias.shape[0], width))
        width = bias.shape[0]
    expected["log_std"] = (policy.log_std, (width,))
    for name, (array, shape) in expected.items():
        if array.shape != shape:
            raise PolicyFileError(f"{path}: {name} has shape {list(array.shape)}, expected {list(shape)}")
    values = [policy.obs_mean, policy.obs_std, policy.log_std, *(array for layer in policy.layers for array in layer)]
    if not all(np.isfinite(array).all() for array in values):
        raise PolicyFileError(f"{path}: an array holds a value that is not finite")
