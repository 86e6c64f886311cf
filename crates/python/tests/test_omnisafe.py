"""OmniSafe 0.5 on this simulator; skipped where it is not installed. How to install it stands in tests/omnisafe.txt."""

import pytest

omnisafe = pytest.importorskip("omnisafe")
torch = pytest.importorskip("torch")

import kfcpo  # noqa: E402
import kfcpo.omnisafe  # noqa: E402
from omnisafe.envs.core import make, support_envs  # noqa: E402

LEVEL = "FastShort-v0"


@pytest.fixture(scope="module", autouse=True)
def short_episodes():
    level = kfcpo.level("PointGoal1")
    level["level"].update(name="Short", max_episode_steps=10)
    kfcpo.omnisafe.register(LEVEL, level)


def settings(tmp_path, num_envs, **algo):
    return {
        "train_cfgs": {"vector_env_nums": num_envs, "total_steps": 400, "torch_threads": 1},
        "algo_cfgs": {"steps_per_epoch": 200, **algo},
        "logger_cfgs": {"use_wandb": False, "use_tensorboard": False, "log_dir": str(tmp_path), "save_model_freq": 10},
    }


def test_every_environment_is_registered_beside_the_original():
    ids = support_envs()
    assert {"FastPointGoal1-v0", "FastCarCircle2-v0", "SafetyPointGoal1-v0"} <= set(ids)
    assert len([env_id for env_id in kfcpo.omnisafe.LEVELS if env_id != LEVEL]) == 39
    with pytest.raises(ValueError, match="registered"):
        kfcpo.omnisafe.register(LEVEL, "PointGoal1")


@pytest.mark.parametrize("num_envs", [1, 3])
def test_steps_are_float32_tensors_that_outlive_the_next(num_envs):
    env = make(LEVEL, num_envs=num_envs, device=torch.device("cpu"))
    env.set_seed(3)
    batch = () if num_envs == 1 else (num_envs,)
    obs, _ = env.reset()
    kept = obs.clone()
    for step in range(1, 11):
        obs_now, reward, cost, terminated, truncated, info = env.step(torch.zeros(*batch, 2))
        assert obs_now.shape == (*batch, 60) and reward.shape == cost.shape == truncated.shape == batch
        assert {tensor.dtype for tensor in (obs_now, reward, cost, terminated, truncated)} == {torch.float32}
        assert bool(truncated.all()) == (step == 10)
    assert torch.equal(obs, kept) and info["final_observation"].shape == (*batch, 60)
    assert env.max_episode_steps == 10 and env.render().shape[2] == 3
    env.close()


@pytest.mark.parametrize("algo", ["PPOLag", "CPO", "TRPOLag", "FOCOPS"])
@pytest.mark.parametrize("num_envs", [1, 10])
def test_on_policy_algorithms_train(tmp_path, algo, num_envs):
    omnisafe.Agent(algo, LEVEL, custom_cfgs=settings(tmp_path, num_envs, update_iters=2)).learn()


@pytest.mark.parametrize("algo", ["SACLag", "TD3Lag"])
@pytest.mark.parametrize("num_envs", [1, 5])
def test_off_policy_algorithms_train(tmp_path, algo, num_envs):
    custom = settings(tmp_path, num_envs, start_learning_steps=100, update_cycle=20, update_iters=1)
    omnisafe.Agent(algo, LEVEL, custom_cfgs=custom).learn()
