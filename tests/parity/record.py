"""Records trajectories of the original Safety-Gymnasium as `.npz` files, for `trainer parity`.

Scripts drive the agent. Unlike the policies of `behaviour_statistics.py` they may look at the simulator's state, since a
recording keeps the actions:

* `hold:N`   a uniform action, drawn anew every N steps;
* `sin`      two slow sines;
* `const:A,B` always the same action;
* `seek`     to the goal, to the far side of the push box and then through it, around the circle, or along the track;
* `chase`    into one obstacle after the other (every kind in turn, the nearest of a kind first), with the front and with
  the back by turns, off again after a while in touch.

Example: `python tests/parity/record.py --out recordings SafetyCarGoal2-v0 0 chase 400`
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import mujoco
import numpy as np

sys.path.insert(0, str(Path(__file__).resolve().parent.parent / "transfer"))
from real_env import make_env  # noqa: E402 (the path above must come first)

STATIC_KINDS = ("hazard", "pillar", "button", "sigwall", "circle", "goal")
OBSTACLE_KINDS = ("vase", "pillar", "gremlin", "button", "push_box")
TOUCH_STEPS = 25  # env steps in touch with one obstacle before the agent backs off
BACK_OFF_STEPS = 12
PATIENCE = 110  # env steps given to one obstacle
CIRCLE_RADIUS = 1.5


def kind_of(name: str) -> str:
    """An object's name without its number and without the suffix of a gremlin's body."""
    return name.removesuffix("obj").rstrip("0123456789")


class World:
    """The original's environment with the names of what stands in it."""

    def __init__(self, env_id: str, seed: int) -> None:
        self.env = make_env(env_id)
        self.is_car, self.is_racecar = "Car" in env_id, "Racecar" in env_id
        self.obs, _ = self.env.reset(seed=seed)
        self.task = self.env.unwrapped.task
        self.model, self.data = self.task.model, self.task.data
        self.most = self.env.action_space.high  # the largest action [2]
        model = self.model
        bodies = [model.body(i) for i in range(1, model.nbody)]
        moving = {int(model.jnt_bodyid[j]) for j in range(model.njnt) if model.jnt_type[j] == mujoco.mjtJoint.mjJNT_FREE}
        self.free = [b.name for b in bodies if b.id in moving and b.name != "agent"]
        self.mocaps = [b.name for b in bodies if model.body_mocapid[b.id] >= 0]
        self.static = [
            b.name
            for b in bodies
            if model.body_dofnum[b.id] == 0 and b.name not in self.mocaps and kind_of(b.name) in STATIC_KINDS
        ]
        self.obstacles = [n for n in self.free + self.static if kind_of(n) in OBSTACLE_KINDS]

    def place(self, name: str) -> np.ndarray:
        """World position [3] of a body."""
        return self.data.body(name).xpos.copy()

    def velocity(self, name: str) -> np.ndarray:
        """Angular [3], then linear velocity [3] of a body's origin in world axes."""
        result = np.zeros(6)
        mujoco.mj_objectVelocity(self.model, self.data, mujoco.mjtObj.mjOBJ_XBODY, self.model.body(name).id, result, 0)
        return result

    def in_agent(self, target: np.ndarray) -> np.ndarray:
        """A place [2] as the agent sees it [2], in metres along its own axes."""
        return ((np.r_[target, 0.0] - np.r_[self.task.agent.pos[:2], 0.0]) @ self.task.agent.mat)[:2]

    def touched(self) -> list[str]:
        """Names of the geoms other than the floor that the agent touches."""
        agent, found = self.task.agent.body_info.geom_names, set()
        for contact in self.data.contact[: self.data.ncon]:
            names = [self.model.geom(contact.geom1).name, self.model.geom(contact.geom2).name]
            for own, other in (names, names[::-1]):
                if own in agent and other not in agent and other != "floor":
                    found.add(other)
        return sorted(found)


def drive(world: World, target: np.ndarray, backwards: bool, rng: np.random.Generator) -> np.ndarray:
    """Action that brings the agent's front (or back) to a place [2]."""
    x, y = world.in_agent(target)
    sign = -1.0 if backwards else 1.0
    # The Point's front is its x axis, the Car's the negative y axis.
    angle = np.arctan2(x, -y) if world.is_car else np.arctan2(y, x)
    angle = (angle + np.pi * backwards + np.pi) % (2 * np.pi) - np.pi
    if world.is_car:
        turn, thrust = 0.02 * np.clip(1.5 * angle, -1, 1), 0.015 if abs(angle) < 1.0 else 0.0
        return np.array([sign * thrust + turn, sign * thrust - turn]) + rng.uniform(-0.001, 0.001, 2)
    if world.is_racecar:
        # It cannot turn on the spot: what is not ahead is brought there by driving the other way.
        ahead = abs(angle) < 1.0
        speed, steer = (rng.choice([10.0, 20.0]), 1.3 * angle) if ahead else (-10.0, -0.6 * np.sign(angle))
        action = np.array([sign * speed, sign * steer]) + rng.uniform(-0.02, 0.02, 2)
        return np.clip(action, -world.most, world.most)
    sideways = world.task.agent.get_sensor("velocimeter")[1]
    # At 0.03 the motor is not saturated; a sideways slide is left to fade first.
    thrust = 0.0 if abs(sideways) > 0.6 else rng.choice([1.0, 0.03]) if abs(angle) < 0.7 else -0.02
    return np.array([sign * thrust, np.clip(1.2 * angle, -1, 1)]) + rng.uniform(-0.02, 0.02, 2)


class Seek:
    """Does the task in a rough way."""

    def __init__(self) -> None:
        self.push_steps = 0

    def __call__(self, world: World, _step: int, rng: np.random.Generator) -> np.ndarray:
        agent = world.task.agent.pos[:2]
        if "push_box" in world.free:
            target = self.push_target(world, agent)
        elif "goal" in world.static:
            target = world.place("goal")[:2]
        elif "circle" not in world.static:
            target = agent - [0.0, 1.0]
        else:
            radius = np.linalg.norm(agent) + 1e-9
            tangent = np.array([-agent[1], agent[0]]) / radius
            target = agent + tangent + 2.0 * (CIRCLE_RADIUS - radius) * agent / radius
        return drive(world, target, False, rng)

    def push_target(self, world: World, agent: np.ndarray) -> np.ndarray:
        """A place behind the box as seen from the goal; once there, the box itself for a while."""
        box, goal = world.place("push_box")[:2], world.place("goal")[:2]
        along = (goal - box) / (np.linalg.norm(goal - box) + 1e-9)
        behind = box - 0.45 * along
        if np.linalg.norm(agent - behind) < 0.15:
            self.push_steps = 60
        self.push_steps = max(0, self.push_steps - 1)
        return box if self.push_steps else behind


class Chase:
    """Runs into the obstacles, kind after kind."""

    def __init__(self) -> None:
        self.target = ""
        self.since = self.touching = self.retreat = self.count = 0
        self.visits: dict[str, int] = {}

    def next_target(self, world: World) -> str:
        """The nearest one among the least visited of the next kind."""
        kinds = [kind for kind in OBSTACLE_KINDS if any(kind_of(n) == kind for n in world.obstacles)]
        if not kinds:
            raise SystemExit("error: nothing to chase in this environment")
        names = [n for n in world.obstacles if kind_of(n) == kinds[self.count % len(kinds)]]
        agent = world.task.agent.pos[:2]
        return min(names, key=lambda n: (self.visits.get(n, 0), np.linalg.norm(world.place(n)[:2] - agent)))

    def __call__(self, world: World, step: int, rng: np.random.Generator) -> np.ndarray:
        if not self.target or step - self.since > PATIENCE or (self.touching > TOUCH_STEPS and not self.retreat):
            if self.touching > TOUCH_STEPS:
                self.retreat = BACK_OFF_STEPS
            self.target = self.next_target(world)
            self.visits[self.target] = self.visits.get(self.target, 0) + 1
            self.count += 1
            self.since, self.touching = step, 0
        backwards = self.count % 3 == 0
        self.touching += self.target in world.touched()
        if self.retreat:
            self.retreat -= 1
            # Away from the obstacle just left, whose side was `count - 1`'s.
            most = 20.0 if world.is_racecar else 0.015 if world.is_car else 1.0
            thrust = most * (1.0 if (self.count - 1) % 3 == 0 else -1.0)
            return np.array([thrust, thrust if world.is_car else rng.uniform(-0.3, 0.3)])
        return drive(world, world.place(self.target)[:2], backwards, rng)


class Hold:
    """A uniform action, drawn anew every `steps` steps."""

    def __init__(self, steps: int) -> None:
        self.steps = steps
        self.action = np.zeros(2)

    def __call__(self, world: World, step: int, rng: np.random.Generator) -> np.ndarray:
        if step % self.steps == 0:
            self.action = rng.uniform(-1, 1, 2) * world.most
        return self.action


Script = Callable[[World, int, np.random.Generator], np.ndarray]


def script(text: str) -> Script:
    """The script of a name; raises SystemExit when there is none."""
    name, _, argument = text.partition(":")
    try:
        if name == "hold":
            return Hold(int(argument))
        if name == "const":
            action = np.array([float(part) for part in argument.split(",")])
            return lambda _world, _step, _rng: action
    except ValueError as error:
        raise SystemExit(f"error: script {text!r}: {error}") from error
    if name == "sin":
        return lambda world, step, _rng: world.most * [np.sin(step / 17.0), np.sin(step / 31.0 + 1.0)]
    if name in ("seek", "chase"):
        return Seek() if name == "seek" else Chase()
    raise SystemExit(f"error: no script {text!r}; there are hold:N, sin, const:A,B, seek, chase")


def state_row(world: World, obs: np.ndarray) -> dict[str, Any]:
    """What is kept of one instant."""
    task, data = world.task, world.data
    matrix = np.asarray(task.agent.mat).ravel()
    velocity = world.velocity("agent")
    buttons = getattr(task, "buttons", None)
    row = {
        "obs": np.asarray(obs, np.float32),
        "agent_pos": np.array(task.agent.pos),
        "agent_yaw": np.arctan2(matrix[3], matrix[0]),
        "agent_linvel": velocity[3:],
        "agent_angvel": velocity[:3],
        "goal_pos": world.place("goal") if "goal" in world.static else np.full(3, np.nan),
        "qpos": data.qpos.copy(),
        "qvel": data.qvel.copy(),
        "time": data.time,
        "button_timer": -1 if buttons is None else buttons.timer,
        "goal_button": -1 if buttons is None else buttons.goal_button,
        "ncon": data.ncon,
        "agent_contact_bodies": ",".join(world.touched()),
    }
    if world.is_car:
        row["agent_mat"] = matrix.astype(np.float32)
    if world.free:
        velocities = np.array([world.velocity(name) for name in world.free])
        row["obj_pos"] = np.array([world.place(name) for name in world.free])
        row["obj_quat"] = np.array([data.body(name).xquat for name in world.free], np.float32)
        row["obj_linvel"] = velocities[:, 3:].astype(np.float32)
        row["obj_angvel"] = velocities[:, :3].astype(np.float32)
    if world.mocaps:
        row["mocap_pos"] = np.array([world.place(name) for name in world.mocaps])
    return row


def strings(values: list[str]) -> np.ndarray:
    """Bytes, which numpy keeps without pickling."""
    return np.array(values, "S")


def constants(world: World) -> dict[str, np.ndarray]:
    """What does not change within an episode."""
    task, model = world.task, world.model
    layout = {name: np.asarray(xy, float) for name, xy in task.world_info.layout.items()}
    spaces = task.obs_info.obs_space_dict.spaces
    return {
        "free_names": strings(world.free),
        "mocap_names": strings(world.mocaps),
        "static_names": strings(world.static),
        "static_pos": np.array([model.body(n).pos for n in world.static]),
        "static_size": np.array([model.geom_size[model.body_geomadr[model.body(n).id]] for n in world.static]),
        "layout_names": strings(list(layout)),
        "layout_xy": np.array(list(layout.values())),
        "agent_rot0": np.float64(task.world_info.world_config_dict["agent_rot"]),
        "obs_keys": strings([f"{name}:{int(np.prod(space.shape))}" for name, space in spaces.items()]),
    }


def record(env_id: str, seed: int, script_name: str, steps: int) -> dict[str, np.ndarray]:
    """Plays `steps` steps, or fewer when the episode ends, and returns the arrays of the file."""
    world, act, rng = World(env_id, seed), script(script_name), np.random.default_rng([seed, 2])
    arrays = constants(world)
    rows, outcomes, infos = [state_row(world, world.obs)], [], []
    for step in range(steps):
        action = np.asarray(act(world, step, rng), float)
        obs, reward, cost, terminated, truncated, info = world.env.step(action)
        met = bool(info.get("goal_met", False))
        outcome = {"action": action, "reward": reward, "cost": cost, "goal_met": met}
        outcomes.append(outcome | {"terminated": terminated, "truncated": truncated})
        infos.append({f"info_{name}": float(value) for name, value in info.items() if name.startswith("cost")})
        rows.append(state_row(world, obs))
        if terminated or truncated:
            break
    for table in (rows, outcomes):
        arrays |= {name: np.array([row[name] for row in table]) for name in table[0]}
    arrays["agent_contact_bodies"] = strings(list(arrays["agent_contact_bodies"]))
    for name in sorted(set().union(*infos)):
        arrays[name] = np.array([info.get(name, np.nan) for info in infos], np.float32)
    arrays["meta"] = strings([env_id, str(seed), script_name])
    return arrays


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("env")
    parser.add_argument("seed", type=int)
    parser.add_argument("script")
    parser.add_argument("steps", type=int)
    parser.add_argument("--out", type=Path, default=Path(), help="folder for the file (default: here)")
    arguments = parser.parse_args()
    arrays = record(arguments.env, arguments.seed, arguments.script, arguments.steps)
    name = arguments.script.replace(":", "").replace(",", "_")
    path = arguments.out / f"{arguments.env}_s{arguments.seed}_{name}.npz"
    arguments.out.mkdir(parents=True, exist_ok=True)
    np.savez_compressed(path, **arrays)
    contacts = [row.decode() for row in arrays["agent_contact_bodies"]]
    touched = sorted({kind_of(name) for row in contacts for name in row.split(",") if name})
    print(
        f"{path.name}: {len(arrays['reward'])} steps, return {arrays['reward'].sum():.2f}, cost {arrays['cost'].sum():.0f}, "
        f"{arrays['goal_met'].sum()} goals, {sum(map(bool, contacts))} steps in touch with {', '.join(touched) or 'nothing'}"
    )


if __name__ == "__main__":
    main()
