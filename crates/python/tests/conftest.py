"""What the tests share."""

import numpy as np
import pytest

import kfcpo


@pytest.fixture
def actions():
    """Random actions ``[num_envs, 2]``."""
    rng = np.random.default_rng(0)
    return lambda num_envs: rng.uniform(-1, 1, (num_envs, 2)).astype(np.float32)


@pytest.fixture
def short():
    """PointGoal1 with episodes of five steps."""
    level = kfcpo.level("PointGoal1")
    level["level"].update(name="Short", max_episode_steps=5)
    return level
