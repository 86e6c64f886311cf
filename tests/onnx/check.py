"""An exported ONNX model in ONNX Runtime against the exported safetensors file of the same policy.

    pip install onnx onnxruntime numpy safetensors
    trainer export RUN --out policy.safetensors
    trainer export RUN --format onnx --actions mean --out policy.onnx
    python tests/onnx/check.py policy.safetensors policy.onnx [SAMPLED.onnx]

The largest difference of the actions must be below 1e-5 for batches of several sizes. A third file, exported with
`--actions sampled`, must have the policy's mean and deviation over many samples.
"""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
import onnx
import onnxruntime as ort

sys.path.insert(0, str(Path(__file__).parents[1] / "transfer"))
import policy as exported  # noqa: E402  (the reader of tests/transfer)

TOLERANCE = 1e-5
BATCHES = (1, 2, 33, 1000)
SAMPLES = 200_000


def session(path: Path) -> ort.InferenceSession:
    """The model, checked by ONNX itself; its input and output must be called as documented."""
    onnx.checker.check_model(onnx.load(path), full_check=True)
    model = ort.InferenceSession(str(path), providers=["CPUExecutionProvider"])
    (given,), (result,) = model.get_inputs(), model.get_outputs()
    assert (given.name, result.name) == ("obs", "actions"), (given.name, result.name)
    assert given.shape[0] == result.shape[0] == "batch", (given.shape, result.shape)
    return model


def main() -> None:
    """Prints what was compared; fails where a difference is too large."""
    reference, model = exported.load_policy(Path(sys.argv[1])), session(Path(sys.argv[2]))
    noise = np.random.default_rng(0)
    largest = 0.0
    for batch in BATCHES:
        # Some far beyond the normaliser's clip, some actions beyond their bounds.
        scale = 3.0 * np.maximum(reference.obs_std, reference.std_floor)
        obs = (reference.obs_mean + scale * noise.standard_normal((batch, reference.obs_dim))).astype(np.float32)
        (actions,) = model.run(["actions"], {"obs": obs})
        expected = np.stack([reference.act(row) for row in obs])
        assert actions.shape == expected.shape, (actions.shape, expected.shape)
        largest = max(largest, float(np.abs(actions - expected).max()))
    print(f"{sys.argv[2]}: largest difference {largest:.1e} over batches of {BATCHES}")
    assert largest < TOLERANCE
    if len(sys.argv) > 3:
        check_samples(reference, session(Path(sys.argv[3])))


def check_samples(reference: exported.Policy, model: ort.InferenceSession) -> None:
    """The share of samples below the mean, and their deviation where the bounds do not cut them."""
    row = reference.obs_mean.astype(np.float32)
    (actions,) = model.run(["actions"], {"obs": np.repeat(row[None], SAMPLES, axis=0)})
    (again,) = model.run(["actions"], {"obs": np.repeat(row[None], SAMPLES, axis=0)})
    assert not np.array_equal(actions, again), "the noise is the same whenever it runs"
    mean, std = reference.mean(row), np.exp(reference.log_std)
    below = (actions < mean).mean(axis=0)
    within = (np.abs(actions - mean) < std).mean(axis=0)
    cut = np.abs(mean) + std > 1.0
    print(f"{sys.argv[3]}: {below} of the samples below the mean, {within} within one deviation of it")
    assert np.all(np.abs(below - 0.5) < 0.01) and np.all((np.abs(within - 0.6827) < 0.01) | cut)


if __name__ == "__main__":
    main()
