"""Gymnasium's environments: its own checks, its registry and the three autoreset modes."""

import pickle

import numpy as np
import pytest

gymnasium = pytest.importorskip("gymnasium", minversion="1.1")

from gymnasium.utils.env_checker import check_env  # noqa: E402
from gymnasium.vector import AutoresetMode  # noqa: E402

import kfcpo  # noqa: E402
import kfcpo.gymnasium  # noqa: E402


@pytest.mark.filterwarnings("ignore:.*observation space m.*")
@pytest.mark.parametrize("name", ["PointGoal1", "CarButton2", "PointCircle2"])
def test_gymnasiums_own_check_passes(name):
    env = gymnasium.make(f"kfcpo/{name}-v0", render_mode="rgb_array")
    check_env(env.unwrapped)


def test_every_environment_is_registered_alone_and_as_a_vector():
    names = [name for name in gymnasium.registry if name.startswith("kfcpo/")]
    assert len(names) == len(kfcpo.env_ids()) == 39
    envs = gymnasium.make_vec("kfcpo/PointGoal1-v0", num_envs=3)
    assert envs.num_envs == 3 and envs.spec.id == "kfcpo/PointGoal1-v0"
    assert envs.observation_space.contains(envs.reset(seed=1)[0])


def test_an_environment_alone_is_the_first_of_a_vector():
    alone, vector = kfcpo.gymnasium.Env("PointGoal1"), kfcpo.gymnasium.VectorEnv("PointGoal1", 2)
    (one, _), (many, _) = alone.reset(seed=3), vector.reset(seed=3)
    assert np.array_equal(one, many[0])
    action = np.array([0.5, -0.5], np.float32)
    one, reward, *_, info = alone.step(action)
    many, rewards, *_, infos = vector.step(np.stack([action] * 2))
    assert np.array_equal(one, many[0]) and (reward, info["cost"]) == (rewards[0], infos["cost"][0])


def test_an_ended_episode_must_be_reset(short):
    env = kfcpo.gymnasium.Env(short)
    env.reset(seed=1)
    for step in range(5):
        *_, truncated, _ = env.step(env.action_space.sample())
    assert truncated
    with pytest.raises(RuntimeError, match="ended"):
        env.step(env.action_space.sample())
    env.reset()
    env.step(env.action_space.sample())


def play(env, steps):
    """Observations, rewards and ends of ``steps`` steps under fixed actions."""
    rng = np.random.default_rng(0)
    obs, _ = env.reset(seed=5)
    rows = [(obs, None, None, {})]
    for _ in range(steps):
        action = rng.uniform(-1, 1, (env.num_envs, 2)).astype(np.float32)
        obs, reward, terminated, truncated, infos = env.step(action)
        rows.append((obs, reward, terminated | truncated, infos))
    return rows


def test_the_modes_are_those_of_gymnasium(short):
    def vector(mode):
        return kfcpo.gymnasium.VectorEnv(short, 40, autoreset_mode=mode)

    same = play(vector(AutoresetMode.SAME_STEP), 7)
    later = play(vector(AutoresetMode.NEXT_STEP), 7)
    for step in range(1, 5):
        assert np.array_equal(same[step][0], later[step][0]) and np.array_equal(same[step][1], later[step][1])
    # The last step: the same reward, and the next episode's beginning against the last observation.
    assert same[5][2].all() and later[5][2].all() and np.array_equal(same[5][1], later[5][1])
    assert same[5][3]["_final_obs"].all() and np.array_equal(np.stack(same[5][3]["final_obs"]), later[5][0])
    assert np.array_equal(same[5][3]["final_info"]["cost"], later[5][3]["cost"])
    # The step after begins the episode and ignores its action.
    assert np.array_equal(later[6][0], same[5][0]) and not later[6][1].any() and not later[6][2].any()

    env = vector(AutoresetMode.DISABLED)
    disabled = play(env, 5)
    assert np.array_equal(disabled[5][0], later[5][0])
    with pytest.raises(RuntimeError, match="reset"):
        env.step(np.zeros((40, 2), np.float32))
    mask = np.arange(40) % 2 == 0
    obs, _ = env.reset(options={"reset_mask": mask})
    assert np.array_equal(obs[mask], same[5][0][mask]) and np.array_equal(obs[~mask], later[5][0][~mask])
    with pytest.raises(RuntimeError, match="1, 3"):
        env.step(np.zeros((40, 2), np.float32))
    obs, _ = env.reset(options={"reset_mask": ~mask})
    assert np.array_equal(obs, np.where(mask[:, None], same[5][0], same[5][0]))


def test_some_environments_are_reset_in_the_middle_of_their_episodes():
    envs, others = (kfcpo.gymnasium.VectorEnv("PointGoal1", 40, autoreset_mode=AutoresetMode.DISABLED) for _ in range(2))
    rng = np.random.default_rng(0)
    for env in (envs, others):
        env.reset(seed=1)
    action = rng.uniform(-1, 1, (40, 2)).astype(np.float32)
    before = envs.step(action)[0]
    others.step(action)
    mask = np.arange(40) >= 33
    obs, _ = envs.reset(options={"reset_mask": mask})
    assert np.array_equal(obs[~mask], before[~mask]) and not (obs[mask] == before[mask]).all(axis=1).any()
    after, other = envs.step(action)[0], others.step(action)[0]
    assert np.array_equal(after[~mask], other[~mask]) and not np.array_equal(after[mask], other[mask])
    for wrong, error in [(mask[:3], ValueError), (mask.astype(int), TypeError), ([True] * 40, TypeError)]:
        with pytest.raises(error, match="reset_mask"):
            envs.reset(options={"reset_mask": wrong})


def test_what_was_returned_stays_as_it_was(short):
    env = kfcpo.gymnasium.VectorEnv(short, 8, autoreset_mode=AutoresetMode.DISABLED)
    state, handed, wanted = env.state(), [env.reset(seed=3)[0]], []
    wanted.append(handed[0].copy())
    for _ in range(5):
        *arrays, infos = env.step(np.full((8, 2), 0.7, np.float32))
        arrays.append(infos["cost"])
        handed.extend(arrays)
        wanted.extend(array.copy() for array in arrays)
    assert arrays[3].all(), "the episodes have ended, and what follows begins others"
    some = {"reset_mask": np.arange(8) < 3}
    for again in (lambda: env.reset(options=some)[0], lambda: env.set_state(state), lambda: env.reset()[0]):
        obs = again()
        handed.append(obs)
        wanted.append(obs.copy())
    assert all(np.array_equal(one, other) for one, other in zip(handed, wanted))

    env = kfcpo.gymnasium.VectorEnv(short, 8, copy=False)
    obs = env.reset(seed=3)[0]
    assert env.step(np.full((8, 2), 0.7, np.float32))[0] is obs


def test_vector_wrappers_of_gymnasium_work(short):
    env = gymnasium.wrappers.vector.RecordEpisodeStatistics(kfcpo.gymnasium.VectorEnv(short, 3))
    env.reset(seed=1)
    for _ in range(5):
        *_, infos = env.step(env.action_space.sample())
    assert (infos["episode"]["l"] == 5).all()


def test_pictures_and_pickles():
    env = kfcpo.gymnasium.VectorEnv("PointGoal1", 2, render_mode="rgb_array")
    env.reset(seed=2)
    assert len(env.render()) == 2 and env.render()[0].dtype == np.uint8
    assert kfcpo.gymnasium.VectorEnv("PointGoal1").render() is None
    with pytest.raises(ValueError, match="rgb_array"):
        kfcpo.gymnasium.Env("PointGoal1", render_mode="human")
    other, action = pickle.loads(pickle.dumps(env)), np.full((2, 2), 0.5, np.float32)
    assert np.array_equal(env.step(action)[0], other.step(action)[0])
    env.close()
    with pytest.raises(RuntimeError, match="closed"):
        env.reset()
