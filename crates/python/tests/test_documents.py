"""The Python that the documents show is what it says."""

import re
from pathlib import Path

import numpy as np

import kfcpo

PAGES = Path(__file__).parents[3] / "assets/docs/src"


def test_the_reader_of_exported_policies_acts_as_the_policy_does(tmp_path):
    (reader,) = [
        block
        for block in re.findall(r"```python\n(.*?)```", (PAGES / "files.md").read_text(), re.DOTALL)
        if "def act" in block
    ]
    names = {}
    exec(reader, names)
    policy = kfcpo.train(
        "PointGoal1",
        total_steps=1024,
        num_envs=8,
        settings={"rollout_steps": 32, "kfcpo.minibatch_size": 128},
        out=tmp_path / "run",
    ).policy
    policy.save(tmp_path / "policy.safetensors")
    obs = np.random.default_rng(0).normal(size=(50, policy.obs_dim)).astype(np.float32) * 10
    actions = names["act"](tmp_path / "policy.safetensors", obs)
    assert np.abs(actions - policy.act(obs)).max() < 1e-5
    noise = np.ones((50, policy.action_dim))
    sampled = names["act"](tmp_path / "policy.safetensors", obs, noise)
    inside = np.abs(sampled) < 1
    assert np.allclose((sampled - actions)[inside], np.tile(np.exp(policy.log_std), (50, 1))[inside], atol=1e-5)
