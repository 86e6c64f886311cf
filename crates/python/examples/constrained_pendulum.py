"""An environment written in Python, trained in by KFCPO: ``python crates/python/examples/constrained_pendulum.py``.

A pendulum that hangs is to be swung up, as in Gymnasium's ``Pendulum-v1``; it costs 1 to be faster than 5 rad/s, and an episode of
200 steps may cost 10. The vector environment is NumPy: a few ten thousand steps per second. What any other needs to be trained in
stands in ``kfcpo.python_env``.
"""

import argparse

import gymnasium
import numpy as np
from gymnasium.vector import AutoresetMode

import kfcpo

STEPS = 200
STEP_SECONDS = 0.05
SPEED_LIMIT = 5.0
MAX_SPEED = 8.0
MAX_TORQUE = 2.0


class ConstrainedPendulum(gymnasium.vector.VectorEnv):
    """``num_envs`` pendulums of 1 m and 1 kg. Angle 0 is upright."""

    metadata = {"autoreset_mode": AutoresetMode.SAME_STEP}
    max_episode_steps = STEPS

    def __init__(self, num_envs, seed=0):
        self.num_envs = num_envs
        high = np.array([1, 1, MAX_SPEED], np.float32)
        self.single_observation_space = gymnasium.spaces.Box(-high, high)
        self.single_action_space = gymnasium.spaces.Box(-MAX_TORQUE, MAX_TORQUE, (1,))
        self._rng = np.random.default_rng(seed)
        self._angle, self._speed, self._steps = (np.zeros(num_envs) for _ in range(3))

    def _begin(self, which):
        self._angle[which] = self._rng.uniform(-np.pi, np.pi, which.sum())
        self._speed[which] = self._rng.uniform(-1, 1, which.sum())
        self._steps[which] = 0

    def _observe(self):
        return np.stack([np.cos(self._angle), np.sin(self._angle), self._speed], axis=1).astype(np.float32)

    def reset(self, *, seed=None, options=None):
        self._begin(np.ones(self.num_envs, bool))
        return self._observe(), {}

    def step(self, actions):
        torque = np.clip(actions[:, 0], -MAX_TORQUE, MAX_TORQUE)
        angle = (self._angle + np.pi) % (2 * np.pi) - np.pi
        reward = -(angle**2 + 0.1 * self._speed**2 + 0.001 * torque**2)
        self._speed += (15 * np.sin(self._angle) + 3 * torque) * STEP_SECONDS
        self._speed = np.clip(self._speed, -MAX_SPEED, MAX_SPEED)
        self._angle += self._speed * STEP_SECONDS
        self._steps += 1
        truncated = self._steps >= STEPS
        info = {"cost": (np.abs(self._speed) > SPEED_LIMIT).astype(np.float32)}
        if truncated.any():
            info["final_obs"] = self._observe()
            self._begin(truncated)
        return self._observe(), reward, np.zeros(self.num_envs, bool), truncated, info


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--total-steps", type=int, default=1_000_000)
    parser.add_argument("--out", help="run directory to create")
    arguments = parser.parse_args()

    def show(numbers):
        if numbers["iteration"] % 10 == 0:
            print(f"{numbers['steps']:9.0f} steps: return {numbers['return_mean']:8.1f}, cost {numbers['cost_mean']:5.1f}")

    run = kfcpo.train(
        ConstrainedPendulum(64),
        total_steps=arguments.total_steps,
        cost_limit=10,
        settings={"rollout_steps": 200},
        out=arguments.out,
        callback=show,
    )
    print(run)


if __name__ == "__main__":
    main()
