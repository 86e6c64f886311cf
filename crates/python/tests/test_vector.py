"""The six-tuple, and what all faces share: buffers, states, errors, threads."""

import gc
import multiprocessing
import pickle
import sys
import threading

import numpy as np
import pytest

import kfcpo


def test_a_step_returns_the_six_tuple_with_its_shapes_and_types(actions):
    env = kfcpo.make_vec("PointGoal1", 3, seed=1)
    obs, info = env.reset()
    assert (obs.shape, obs.dtype, info) == ((3, 60), np.float32, {})
    obs, reward, cost, terminated, truncated, info = env.step(actions(3))
    assert obs.shape == (3, 60) and reward.shape == cost.shape == (3,)
    assert reward.dtype == cost.dtype == np.float32 and terminated.dtype == truncated.dtype == bool
    assert info == {} and env.single_action_space.shape == (2,) and env.observation_space.shape == (3, 60)
    assert env.observation_space.contains(obs)


def test_both_spellings_of_an_id_and_the_level_itself_are_the_same_environment(actions):
    rows = []
    for env in ["SafetyPointGoal1-v0", "PointGoal1", kfcpo.level("PointGoal1")]:
        env = kfcpo.make_vec(env, 4, seed=5)
        env.reset()
        rows.append(env.step(np.full((4, 2), 0.5, np.float32))[0].copy())
    assert np.array_equal(rows[0], rows[1]) and np.array_equal(rows[0], rows[2])


def test_arrays_are_views_that_the_next_step_overwrites_and_copies_on_request(actions):
    views, copies = (kfcpo.make_vec("PointGoal1", 2, copy=copy) for copy in (False, True))
    views.reset(), copies.reset()
    first = [env.step(np.ones((2, 2), np.float32)) for env in (views, copies)]
    kept = first[1][0].copy()
    second = [env.step(np.ones((2, 2), np.float32)) for env in (views, copies)]
    assert first[0][0] is second[0][0] and not np.array_equal(first[0][0], kept)
    assert first[1][0] is not second[1][0] and np.array_equal(first[1][0], kept)


@pytest.mark.parametrize("hold", ["array", "row", "list", "dlpack"])
def test_a_copy_is_taken_again_only_when_nothing_refers_to_it(hold):
    env = kfcpo.make_vec("PointGoal1", 3, seed=2, copy=True)
    held = {"array": lambda a: a, "row": lambda a: a[1:], "list": lambda a: [a], "dlpack": np.from_dlpack}[hold]
    kept, wanted = [], []
    env.reset()
    for k in range(10):
        obs = env.step(np.full((3, 2), 0.1 * k, np.float32))[0]
        kept.append(held(obs))
        wanted.append(obs.copy())
    for one, other in zip(kept, wanted):
        one = one[0] if hold == "list" else one
        assert np.array_equal(one, other[1:] if hold == "row" else other)
    del obs, kept, one
    places = {env.step(np.zeros((3, 2), np.float32))[0].ctypes.data for _ in range(20)}
    assert len(places) <= 2, "memory that nobody holds is used again"


def test_dlpack_shares_the_memory():
    env = kfcpo.make_vec("PointGoal1", 2)
    obs, _ = env.reset()
    assert np.shares_memory(np.from_dlpack(obs), obs)


def test_a_step_allocates_no_memory(actions):
    env = kfcpo.make_vec("PointGoal1", 256)
    env.reset()
    action = actions(256)
    for _ in range(50):
        env.step(action)
    gc.collect()
    before = sys.getallocatedblocks()
    for _ in range(200):
        env.step(action)
    gc.collect()
    assert sys.getallocatedblocks() - before < 20


def test_the_episode_that_ends_shows_its_last_observation_and_the_next_begins(short, actions):
    env = kfcpo.make_vec(short, 3, seed=2)
    env.reset()
    returns = np.zeros(3)
    for step in range(1, 6):
        obs, reward, cost, terminated, truncated, info = env.step(actions(3))
        returns += reward
        assert truncated.all() == (step == 5) and not terminated.any()
    assert info["_final_observation"].all() and not np.array_equal(info["final_observation"], obs)
    np.testing.assert_allclose(env.simulator.episode_return, returns, rtol=1e-5)
    assert (env.simulator.episode_length == 5).all()
    assert "final_observation" not in env.step(actions(3))[-1]


def test_a_seed_repeats_and_another_does_not(actions):
    def play(env, seed):
        env.reset(seed=seed)
        return np.stack([env.step(np.full((4, 2), 0.3, np.float32))[0].copy() for _ in range(20)])

    env = kfcpo.make_vec("CarButton1", 4)
    first, other, again = play(env, 7), play(env, 8), play(env, 7)
    assert np.array_equal(first, again) and not np.array_equal(first, other)
    assert np.array_equal(play(kfcpo.make_vec("CarButton1", 4, threads=1), 7), first)


@pytest.mark.parametrize("mode", ["same_step", "next_step", "disabled"])
def test_a_state_continues_bit_for_bit(mode, short, actions):
    simulator = kfcpo.Simulator(kfcpo.vector.level_text(short), 40, 3, None, "cpu", mode)
    simulator.reset()
    for _ in range(5):
        simulator.step(actions(40))
    saved = simulator.state()
    assert (saved["ended"].all()) == (mode != "same_step")
    following = []
    other = kfcpo.Simulator(kfcpo.vector.level_text(short), 40, 99, None, "cpu", mode)
    for continued in (simulator, other):
        continued.set_state(saved)
        if mode == "disabled":
            continued.reset(mask=np.ones(40, bool))
        rng = np.random.default_rng(1)
        rows = [continued.obs.copy()]
        for _ in range(4):
            continued.step(rng.uniform(-1, 1, (40, 2)))
            rows += [continued.obs.copy(), continued.reward[:, None].copy()]
        following.append(rows)
    assert all(np.array_equal(a, b) for a, b in zip(*following))


def test_environments_are_pickled(actions):
    env = kfcpo.make_vec("PointPush1", 5, seed=4, copy=True)
    env.reset()
    env.step(actions(5))
    other = pickle.loads(pickle.dumps(env))
    action = actions(5)
    for one, two in zip(env.step(action)[:5], other.step(action)[:5]):
        assert np.array_equal(one, two)


@pytest.mark.parametrize(
    ("make", "error", "message"),
    [
        (lambda: kfcpo.make_vec("PointGoal9"), ValueError, "SafetyPointGoal1-v0"),
        (lambda: kfcpo.make_vec("nowhere.json"), ValueError, "nowhere.json"),
        (lambda: kfcpo.make_vec({"agent": "Point"}), ValueError, "level"),
        (lambda: kfcpo.make_vec(3), TypeError, "int"),
        (lambda: kfcpo.make_vec("PointGoal1", 0), ValueError, "num_envs"),
        (lambda: kfcpo.make_vec("PointGoal1", -1), ValueError, "num_envs"),
        (lambda: kfcpo.make_vec("PointGoal1", 10**8), ValueError, "PointGoal1"),
        (lambda: kfcpo.make_vec("PointGoal1", threads=0), ValueError, "threads must be 1"),
        (lambda: kfcpo.make_vec("PointGoal1", device="tpu"), ValueError, "tpu"),
        (lambda: kfcpo.make_vec("PointGoal1", device="cuda:99"), RuntimeError, "cuda"),
        (lambda: kfcpo.Simulator("PointGoal1", 1, autoreset="never"), ValueError, "same_step, next_step, disabled"),
    ],
)
def test_what_cannot_be_made_says_why(make, error, message):
    with pytest.raises(error, match=message):
        make()


def test_a_level_that_cannot_be_simulated_is_refused_by_name():
    level = kfcpo.level("PointGoal1")
    level["level"]["groups"][1]["count"] = 1000
    with pytest.raises(ValueError, match="Goal1"):
        kfcpo.make_vec(level)


@pytest.mark.parametrize(
    ("action", "error", "message"),
    [
        (np.zeros((3, 2), np.float32), ValueError, r"\[3, 2\], expected \[2, 2\]"),
        (np.zeros(4, np.float32), ValueError, r"\[4\], expected \[2, 2\]"),
        (np.zeros((2, 2), np.int64), TypeError, "int64"),
        (np.zeros((2, 2), complex), TypeError, "complex"),
        (np.array([["a", "b"]] * 2), TypeError, "float32 or float64"),
        ([[0.0, 0.0]] * 2, TypeError, "list"),
        (None, TypeError, "NoneType"),
        (np.array([[0, 0], [0, np.nan]], np.float32), ValueError, r"action\[1, 1\] is NaN"),
    ],
)
def test_an_unfit_action_is_refused_and_the_environments_go_on(action, error, message):
    env = kfcpo.make_vec("PointGoal1", 2)
    env.reset()
    with pytest.raises(error, match=message):
        env.step(action)
    assert np.isfinite(env.step(np.zeros((2, 2), np.float32))[0]).all()


def test_actions_may_be_float64_transposed_and_out_of_bounds(actions):
    one, two = (kfcpo.make_vec("PointGoal1", 4, seed=1) for _ in range(2))
    action = actions(4)
    one.step(np.clip(3 * action, -1, 1))
    two.step(np.asfortranarray(3 * action.astype(np.float64)))
    assert np.array_equal(one.simulator.obs, two.simulator.obs)
    two.step(np.full((4, 2), np.inf))
    assert np.isfinite(two.simulator.obs).all()


def test_closed_environments_say_so():
    env = kfcpo.make_vec("PointGoal1", 2)
    env.close()
    env.close()
    for use in (env.reset, env.state, lambda: env.step(np.zeros((2, 2), np.float32)), lambda: env.simulator.render()):
        with pytest.raises(RuntimeError, match="closed"):
            use()


def test_a_state_of_other_environments_is_refused_and_changes_nothing(actions):
    env, larger, other = (kfcpo.make_vec(id, n, seed=1) for id, n in [("PointGoal1", 2), ("PointGoal1", 40), ("CarGoal1", 2)])
    before = env.state()
    for state, error in [(larger.state(), ValueError), (other.state(), ValueError), ({}, KeyError)]:
        with pytest.raises(error):
            env.set_state(state)
    state = {**before, "env.fields": before["env.fields"][:, :3].copy()}
    with pytest.raises(ValueError, match="fields"):
        env.set_state(state)
    with pytest.raises(TypeError, match="float32"):
        env.set_state({**before, "env.fields": [1.0]})
    after = env.state()
    assert all(np.array_equal(before[name], after[name]) for name in before)


def test_read_only_buffers_are_an_error_and_no_crash():
    env = kfcpo.make_vec("PointGoal1", 2)
    obs, _ = env.reset()
    obs.flags.writeable = False
    with pytest.raises(Exception, match="writ"):
        env.step(np.zeros((2, 2), np.float32))
    obs.flags.writeable = True
    env.step(np.zeros((2, 2), np.float32))


def test_two_environments_in_two_threads_are_independent():
    def play(out, seed):
        env = kfcpo.make_vec("PointGoal2", 64, seed=seed)
        env.reset()
        for _ in range(50):
            env.step(np.full((64, 2), 0.4, np.float32))
        out[seed] = env.simulator.obs.copy()

    alone, together = {}, {}
    for seed in (1, 2):
        play(alone, seed)
    threads = [threading.Thread(target=play, args=(together, seed)) for seed in (1, 2)]
    [thread.start() for thread in threads]
    [thread.join() for thread in threads]
    assert all(np.array_equal(alone[seed], together[seed]) for seed in (1, 2))


def in_child(env, queue):
    try:
        env.step(np.zeros((2, 2), np.float32))
        queue.put("stepped")
    except RuntimeError as error:
        own = kfcpo.make_vec("PointGoal1", 2)
        own.step(np.zeros((2, 2), np.float32))
        queue.put(str(error))


@pytest.mark.skipif(sys.platform != "linux", reason="forks")
def test_a_forked_process_is_told_instead_of_hanging():
    env = kfcpo.make_vec("PointGoal1", 2)
    env.step(np.zeros((2, 2), np.float32))
    context = multiprocessing.get_context("fork")
    queue = context.Queue()
    child = context.Process(target=in_child, args=(env, queue))
    child.start()
    assert "another process" in queue.get(timeout=60)
    child.join()


def test_costs_are_told_apart_by_kind():
    env = kfcpo.make_vec("PointGoal2", 256, seed=1, kinds=True)
    env.reset()
    seen = {"cost_hazards": 0.0, "cost_vases_contact": 0.0, "cost_vases_velocity": 0.0}
    for _ in range(60):
        *_, cost, _, _, info = env.step(np.full((256, 2), [1.0, 0.1], np.float32))
        assert set(seen) <= set(info)
        assert np.array_equal(np.max([info[name] for name in seen], axis=0) > 0, cost > 0)
        seen = {name: total + info[name].sum() for name, total in seen.items()}
    assert min(seen.values()) > 0
    alone = kfcpo.make_vec("PointGoal1", 64, seed=1, kinds=True)
    alone.reset()
    for _ in range(60):
        *_, cost, _, _, info = alone.step(np.full((64, 2), [1.0, 0.1], np.float32))
        assert np.array_equal(info["cost_hazards"], cost)


def test_several_constraints_have_a_row_each():
    level = kfcpo.level("PointGoal2")
    level["level"]["name"] = "Apart"
    level["level"]["constraints"] = [
        {"name": "ground", "kinds": ["hazards"]},
        {"name": "things", "kinds": ["vases_contact", "vases_velocity"]},
    ]
    env = kfcpo.make_vec(level, 64, seed=1)
    env.reset()
    assert env.simulator.constraints == ["ground", "things"] and env.simulator.costs.shape == (2, 64)
    totals = np.zeros(64)
    for _ in range(60):
        *_, cost, _, _, info = env.step(np.full((64, 2), [1.0, 0.1], np.float32))
        assert np.array_equal(info["cost_ground"] + info["cost_things"], cost)
        totals += cost
    np.testing.assert_allclose(env.simulator.episode_costs.sum(axis=0), totals)
    assert totals.any()


def test_a_picture_is_drawn():
    simulator = kfcpo.Simulator("PointGoal1", 2)
    picture = simulator.render(1, 200)
    assert picture.shape == (234, 200, 3) and picture.dtype == np.uint8 and picture.std() > 5
    with pytest.raises(IndexError):
        simulator.render(2)
    with pytest.raises(ValueError, match="width"):
        simulator.render(0, 10**6)
