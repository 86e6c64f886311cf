"""Stable-Baselines3's vector environment; skipped where it is not installed (`pip install stable-baselines3`)."""

import numpy as np
import pytest

pytest.importorskip("stable_baselines3")

from kfcpo.sb3 import VecEnv  # noqa: E402


def test_episodes_end_as_stable_baselines_expects(short):
    env = VecEnv(short, 3, seed=1)
    first = env.reset()
    for step in range(1, 6):
        obs, reward, done, infos = env.step(np.zeros((3, 2), np.float32))
        assert done.all() == (step == 5) and all("cost" in info for info in infos)
    info = infos[0]
    assert info["TimeLimit.truncated"] and info["terminal_observation"].shape == (60,) and info["episode"]["l"] == 5
    assert not np.array_equal(info["terminal_observation"], obs[0]) and obs.shape == first.shape
    env.seed(7)
    again = env.reset()
    env.seed(7)
    assert np.array_equal(env.reset(), again)
    assert env.get_attr("num_envs") == [3] * 3 and env.env_is_wrapped(object) == [False] * 3
    with pytest.raises(AttributeError):
        env.env_method("jump")


def test_ppo_learns_a_little():
    from stable_baselines3 import PPO

    PPO("MlpPolicy", VecEnv("PointGoal1", 8), n_steps=16, batch_size=64, n_epochs=1, device="cpu").learn(256)
