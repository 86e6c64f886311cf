"""Training and policies: run directories, callbacks, interruption, environments written in Python."""

import os
import signal
import subprocess
import sys
import threading
from pathlib import Path

import numpy as np
import pytest

import kfcpo

# Iterations of 8 x 8 steps in tiny networks.
TINY = {"rollout_steps": 8, "policy.hidden": [8], "critic.hidden": [8]}


def train(out, env="PointGoal1", iterations=6, **arguments):
    arguments.setdefault("settings", TINY)
    return kfcpo.train(env, total_steps=64 * iterations, num_envs=8, out=out, device="cpu", **arguments)


def test_training_calls_back_and_leaves_a_run(tmp_path):
    seen = []
    run = train(tmp_path / "run", callback=seen.append, cost_limit=10, seed=3)
    assert [numbers["iteration"] for numbers in seen] == [1, 2, 3, 4, 5, 6]
    assert seen[-1]["steps"] == 384 and "update_s" in seen[-1]
    assert run.path == tmp_path / "run" and run.summary["steps"] == 384 and run.summary["cost_limit"] == 10
    names = {path.name for path in run.path.iterdir()}
    assert {"config.json", "metrics.csv", "summary.json", "checkpoints"} <= names
    assert run.metrics()["iteration"].tolist() == [1, 2, 3, 4, 5, 6]


def test_a_run_is_a_function_of_its_seed_and_not_of_its_threads(tmp_path):
    obs = np.random.default_rng(0).normal(size=(5, 60))
    runs = [train(tmp_path / str(i), threads=threads, seed=seed) for i, (threads, seed) in enumerate([(1, 1), (2, 1), (2, 2)])]
    one, two, other = (run.policy.act(obs) for run in runs)
    assert np.array_equal(one, two) and not np.array_equal(one, other)


def test_a_policy_acts_as_the_formula_says(tmp_path):
    run = train(tmp_path / "run")
    run.policy.save(tmp_path / "policy.safetensors")
    obs = np.random.default_rng(0).normal(size=(7, 60)).astype(np.float32)
    loaded = [kfcpo.Policy.load(tmp_path / name) for name in ("run", "policy.safetensors")]
    arrays = read_safetensors(tmp_path / "policy.safetensors")
    hidden = (obs - arrays["obs_mean"]) / np.maximum(arrays["obs_std"], float(arrays["std_floor"]))
    hidden = np.clip(hidden, -float(arrays["obs_clip"]), float(arrays["obs_clip"]))
    hidden = np.tanh(hidden @ arrays["layers.0.weight"].T + arrays["layers.0.bias"])
    expected = np.clip(hidden @ arrays["layers.1.weight"].T + arrays["layers.1.bias"], -1, 1)
    for policy in [run.policy, *loaded]:
        assert (policy.env, policy.obs_dim, policy.action_dim) == ("SafetyPointGoal1-v0", 60, 2)
        action = policy.act(obs)
        assert action.dtype == np.float32 and action.shape == (7, 2)
        np.testing.assert_allclose(action, expected, atol=1e-5)
        np.testing.assert_allclose(policy.act(obs[3].astype(np.float64)), action[3], atol=1e-6)


def read_safetensors(path):
    """The arrays and the metadata of a safetensors file."""
    import json

    data = Path(path).read_bytes()
    length = int.from_bytes(data[:8], "little")
    header = json.loads(data[8 : 8 + length])
    arrays = dict(header.pop("__metadata__"))
    for name, entry in header.items():
        first, last = entry["data_offsets"]
        arrays[name] = np.frombuffer(data[8 + length :][first:last], np.float32).reshape(entry["shape"])
    return arrays


def test_samples_follow_from_a_seed(tmp_path):
    policy = train(tmp_path / "run", iterations=2).policy
    obs = np.zeros((1000, 60), np.float32)
    first, second = policy.act(obs, deterministic=False), policy.act(obs, deterministic=False)
    policy.reseed(0)
    assert not np.array_equal(first, second) and np.array_equal(policy.act(obs, deterministic=False), first)
    assert 0.3 < first.std() < 0.7 and np.abs(first).max() <= 1


@pytest.mark.parametrize(
    ("obs", "error"),
    [
        (np.zeros((2, 59), np.float32), ValueError),
        (np.zeros(59), ValueError),
        (np.zeros((2, 60), np.int32), TypeError),
        (np.full((2, 60), np.nan), ValueError),
        (np.zeros((1, 2, 60)), (TypeError, ValueError)),
        ("obs", TypeError),
    ],
)
def test_unfit_observations_are_refused(tmp_path, obs, error):
    with pytest.raises(error, match="obs"):
        train(tmp_path / "run", iterations=1).policy.act(obs)


def test_what_holds_no_policy_is_refused(tmp_path):
    (tmp_path / "policy.safetensors").write_bytes(b"no policy")
    (tmp_path / "empty").mkdir()
    with pytest.raises(FileNotFoundError, match="nowhere"):
        kfcpo.Policy.load(tmp_path / "nowhere.safetensors")
    with pytest.raises(ValueError, match="policy.safetensors"):
        kfcpo.Policy.load(tmp_path / "policy.safetensors")
    with pytest.raises(ValueError, match="empty"):
        kfcpo.Policy.load(tmp_path / "empty")
    with pytest.raises(ValueError, match="checkpoint"):
        kfcpo.Policy.load(tmp_path, "newest")


def test_false_ends_training_with_a_checkpoint(tmp_path):
    run = train(tmp_path / "run", iterations=100, callback=lambda numbers: numbers["iteration"] < 3)
    assert run.summary["steps"] == 3 * 64
    assert kfcpo.Policy.load(run.path).act(np.zeros(60)).tolist() == run.policy.act(np.zeros(60)).tolist()


def test_an_exception_of_the_callback_comes_out_after_a_checkpoint(tmp_path):
    def fail(numbers):
        if numbers["iteration"] == 2:
            raise LookupError("as the callback said")

    with pytest.raises(LookupError, match="as the callback said"):
        train(tmp_path / "run", callback=fail)
    kfcpo.Policy.load(tmp_path / "run")


@pytest.fixture
def heeds_ctrl_c():
    """Ctrl-C interrupts, also where the tests run in the background of a shell, which ignores it there."""
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, before)


@pytest.mark.skipif(os.name == "nt", reason="signals of Unix")
@pytest.mark.usefixtures("heeds_ctrl_c")
def test_ctrl_c_saves_and_the_command_line_goes_on(tmp_path):
    def interrupt(numbers):
        if numbers["iteration"] == 2:
            os.kill(os.getpid(), signal.SIGINT)

    with pytest.raises(KeyboardInterrupt):
        train(tmp_path / "run", iterations=20, callback=interrupt)
    command = [sys.executable, "-m", "kfcpo", "train", "--resume", str(tmp_path / "run"), "--json", "--device", "cpu"]
    done = subprocess.run(command, capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stderr
    assert '"steps":1280' in done.stdout


def test_the_command_line_says_what_is_wrong():
    done = subprocess.run([sys.executable, "-m", "kfcpo", "tarin"], capture_output=True, text=True, timeout=120)
    assert done.returncode == 2 and "tarin" in done.stderr


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"env": "PointGoal9"}, "PointGoal9"),
        ({"algo": "kfpco"}, "kfcpo"),
        ({"settings": {"kfcpo.dampng": 1}}, "kfcpo.damping"),
        ({"settings": {"gamma": 2}}, "gamma"),
        ({"settings": {"gamma": float("nan")}}, "gamma"),
        ({"total_steps": 1.5}, "total_steps"),
        ({"num_envs": 0}, "num_envs"),
        ({"cost_limit": -1}, "cost_limit"),
        ({"threads": 0}, "threads"),
        ({"preset": "slow"}, "slow"),
        ({"device": "tpu"}, "tpu"),
    ],
)
def test_unsuitable_settings_are_refused_and_leave_nothing(tmp_path, arguments, message):
    with pytest.raises(ValueError, match=message):
        kfcpo.train(**{"out": tmp_path / "run", "total_steps": 64, "device": "cpu", **arguments})
    assert not (tmp_path / "run").exists()


def test_a_run_is_never_overwritten(tmp_path):
    train(tmp_path / "run", iterations=1)
    with pytest.raises(Exception, match="run"):
        train(tmp_path / "run", iterations=1)


def test_other_threads_run_while_it_trains(tmp_path):
    counted, done = [0], threading.Event()

    def count():
        while not done.is_set():
            counted[0] += 1

    thread = threading.Thread(target=count)
    thread.start()
    train(tmp_path / "run", iterations=20)
    done.set()
    thread.join()
    assert counted[0] > 100


def test_a_level_of_ones_own_is_trained_in(tmp_path, short):
    assert train(tmp_path / "run", env=short).summary["episodes"] > 0


class Line:
    """A point on a line, in NumPy without Gymnasium; it costs to be right of the middle."""

    num_envs, max_episode_steps = 8, 5

    class Box:
        def __init__(self, bound):
            self.low, self.high, self.shape = np.array([-bound]), np.array([bound]), (1,)

    single_observation_space, single_action_space = Box(np.inf), Box(3.0)

    def __init__(self, mode="SAME_STEP"):
        self.metadata = {"autoreset_mode": mode}
        self.actions = []

    def reset(self, options=None):
        mask = (options or {}).get("reset_mask", np.ones(8, bool))
        if mask.all():
            self.x, self.steps = np.zeros((8, 1)), 0
        return self.x, {}

    def step(self, actions):
        self.actions.append(actions.copy())
        self.x = self.x + actions
        self.steps += 1
        truncated = np.full(8, self.steps == 5)
        info = {"cost": (self.x[:, 0] > 0).astype(float)}
        reward = self.x[:, 0]
        if truncated.all() and self.metadata["autoreset_mode"] == "SAME_STEP":
            info["final_obs"] = self.x
            self.reset()
        return self.x, reward, np.zeros(8, bool), truncated, info


@pytest.mark.parametrize("mode", ["SAME_STEP", "DISABLED"])
def test_an_environment_of_python_is_trained_in(tmp_path, mode):
    env = Line(mode)
    run = train(tmp_path / mode, env=env, iterations=8)
    assert run.summary["env"] == "Line" and run.summary["episodes"] > 0 and len(env.actions) == 64
    assert 1 < np.abs(env.actions).max() <= 3, "actions are scaled to the bounds of their space"
    assert kfcpo.Policy.load(run.path).act(np.zeros(1)).tolist() == run.policy.act(np.zeros(1)).tolist()


def test_what_an_environment_of_python_does_wrong_comes_out(tmp_path):
    def broken(step):
        class Broken(Line):
            pass

        Broken.step = step
        return Broken()

    def raising(self, actions):
        raise LookupError("as the environment said")

    def without_cost(self, actions):
        return (*Line.step(self, actions)[:4], {})

    def not_finite(self, actions):
        obs, *others = Line.step(self, actions)
        return (obs * np.nan, *others)

    for i, (step, error, message) in enumerate(
        [(raising, LookupError, "said"), (without_cost, ValueError, "`cost`"), (not_finite, ValueError, "observations")]
    ):
        with pytest.raises(error, match=message):
            train(tmp_path / str(i), env=broken(step))
    with pytest.raises(ValueError, match="SAME_STEP"):
        train(tmp_path / "mode", env=Line("NEXT_STEP"))
    with pytest.raises(ValueError, match="num_envs"):
        kfcpo.train(Line(), num_envs=3, out=tmp_path / "count")
    assert not (tmp_path / "mode").exists() and not (tmp_path / "count").exists()


def test_gymnasiums_vectors_are_trained_in(tmp_path):
    pytest.importorskip("gymnasium", minversion="1.1")
    sys.path.insert(0, str(Path(__file__).parents[1] / "examples"))
    from constrained_pendulum import ConstrainedPendulum

    run = train(tmp_path / "run", env=ConstrainedPendulum(8), iterations=4)
    assert run.summary["env"] == "ConstrainedPendulum" and run.policy.action_dim == 1
