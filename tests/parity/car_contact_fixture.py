"""Single MuJoCo substeps of the Car against boxes, pillars and buttons, and of the Point against the push box, for `envs`'
tests of the contact solver.

The car is put down beside an object again and again and driven into it, past it and away from it. Substeps in contact are
sampled so that every part of the car meets every kind of object. A row holds the car's state and motor torques, the
objects it moves, the contacts MuJoCo found (other than the car's with the floor) and the velocities after the substep.
The Point's rows hold its planar state, force and acceleration as in `contact_fixture.py`.
SI units; world axes where nothing else is said.

Example: `python tests/parity/car_contact_fixture.py --out tests/fixtures/contact/car.json`
"""

from __future__ import annotations

import argparse
import json
import sys
from pathlib import Path
from typing import Any

import mujoco
import numpy as np

sys.path[:0] = [str(Path(__file__).resolve().parent), str(Path(__file__).resolve().parent.parent / "transfer")]
import contact_fixture as point  # noqa: E402 (the paths above must come first)
from real_env import make_env  # noqa: E402

ENV_IDS = ["SafetyCarGoal2-v0", "SafetyCarPush1-v0", "SafetyCarButton1-v0"]
SUBSTEPS = 10
TRIALS = 300  # per environment
TRIAL_STEPS = 25  # env steps
ROWS_PER_KIND = 12
POINT_ROWS = 24
POINT_SUBSTEPS = 20000
POINT_GEOMS = ["agent", "pointarrow"]
DEEPEST = 0.02  # metres; deeper contacts come of putting the car down inside an object
CAR_GEOMS = ["agent", "back_bumper", "back_connector", "front_bumper", "front_connector", "left", "right", "rear"]
CAR_BODIES = ["agent", "left", "right", "rear"]
PARTS = {"agent": "chassis", "left": "wheel", "right": "wheel", "rear": "ball"}
CAR_SPEEDS = 11  # degrees of freedom


class World:
    """The original's world with its Car, one MuJoCo step at a time."""

    def __init__(self, env_id: str, seed: int) -> None:
        self.env = make_env(env_id)
        self.env.reset(seed=seed)
        self.task = self.env.unwrapped.task
        self.model, self.data = self.task.model, self.task.data
        names = [self.model.body(i).name for i in range(self.model.nbody)]
        self.free = [name for name in names if name.startswith(("vase", "push_box"))]
        self.targets = self.free + [name for name in names if name.startswith(("pillar", "button"))]

    def state(self, name: str) -> np.ndarray:
        """State [13] of a free body: position, quaternion w x y z, velocity, angular velocity."""
        joint = self.model.joint(name)
        q, v = int(joint.qposadr[0]), int(joint.dofadr[0])
        return np.r_[self.data.qpos[q : q + 7], self.world_six(name, self.data.qvel)]

    def world_six(self, name: str, vector: np.ndarray) -> np.ndarray:
        """The six numbers of a free body in a vector over all degrees of freedom, angular ones turned to world axes."""
        joint = self.model.joint(name)
        q, v = int(joint.qposadr[0]), int(joint.dofadr[0])
        rotation = np.zeros(9)
        mujoco.mju_quat2Mat(rotation, self.data.qpos[q + 3 : q + 7])
        return np.r_[vector[v : v + 3], rotation.reshape(3, 3) @ vector[v + 3 : v + 6]]

    def put_down(self, target: str, overturn: bool, rng: np.random.Generator) -> None:
        """Puts the car at rest within reach of `target`, the free bodies back on their feet; or drops it in any attitude."""
        for name in self.free:
            joint = self.model.joint(name)
            q, v = int(joint.qposadr[0]), int(joint.dofadr[0])
            yaw = rng.uniform(0, np.pi)
            self.data.qpos[q + 2] = self.model.geom(name).size[2]
            self.data.qpos[q + 3 : q + 7] = [np.cos(yaw), 0, 0, np.sin(yaw)]
            self.data.qvel[v : v + 6] = 0
        centre = self.data.body(target).xpos[:2]
        distance = rng.uniform(0.25, 0.36) + float(self.model.geom(target).size[0])
        yaw, bearing = rng.uniform(0, 2 * np.pi, 2)
        self.data.qpos[:13] = 0
        self.data.qpos[:2] = centre + distance * np.array([np.cos(bearing), np.sin(bearing)])
        self.data.qpos[2] = 0.1
        self.data.qpos[[3, 9]] = np.cos(yaw / 2), 1
        self.data.qpos[6] = np.sin(yaw / 2)
        self.data.qvel[:CAR_SPEEDS] = 0
        if overturn:
            # Dropped in any attitude.
            self.data.qpos[2] = 0.3
            self.data.qpos[3:7] = rng.normal(size=4)
        mujoco.mj_forward(self.model, self.data)

    def chase(self, target: str, backwards: int, aside: float, rng: np.random.Generator) -> np.ndarray:
        """Motor commands that bring the car's front (or back) to `target`, `aside` metres off its centre."""
        rotation = self.data.body("agent").xmat.reshape(3, 3)
        to = rotation.T @ (self.data.body(target).xpos - self.data.body("agent").xpos)
        to[0] += aside
        sign = 1 - 2 * backwards
        bearing = np.arctan2(sign * to[0], -sign * to[1])
        turn = 0.02 * bearing + rng.normal(0, 0.004)
        return np.clip(sign * rng.choice([0.02, 0.008]) * np.ones(2) + turn * np.array([1, -1]), -0.02, 0.02)

    def contacts(self) -> list[Any]:
        return [self.data.contact[i] for i in range(self.data.ncon)]

    def names(self, contact: Any) -> tuple[str, str]:
        return self.model.geom(contact.geom1).name, self.model.geom(contact.geom2).name

    def firm(self, rng: np.random.Generator) -> bool:
        """Whether the contacts outlast rounding of the state to float32 (ties between two faces do not)."""
        position, contacts = self.data.qpos.copy(), [self.names(c) for c in self.contacts()]
        firm = True
        for _ in range(4):
            self.data.qpos[:] = position + rng.uniform(-2e-7, 2e-7, position.shape)
            self.data.qpos[2] = position[2]
            mujoco.mj_forward(self.model, self.data)
            firm = firm and contacts == [self.names(c) for c in self.contacts()]
        self.data.qpos[:] = position
        mujoco.mj_forward(self.model, self.data)
        return firm


def numbers(values: Any) -> list[float]:
    """Nine significant digits, finer than float32."""
    return [float(f"{x:.9g}") for x in np.asarray(values, dtype=float).ravel()]


def part(name: str) -> str:
    return PARTS.get(name, "chassis") if name in CAR_GEOMS else ""


def kind_of(world: World, pairs: list[tuple[str, str]]) -> str:
    """What meets what, e.g. `chassis-vase+wheel-vase`."""
    kinds = set()
    for first, second in pairs:
        car, other = (first, second) if first in CAR_GEOMS else (second, first)
        if part(car) == "chassis" or (part(car) and other != "floor"):
            body = "floor" if other == "floor" else world.model.body(int(world.model.geom(other).bodyid[0])).name
            kinds.add(f"{part(car)}-{body.rstrip('0123456789')}")
    return "+".join(sorted(kinds))


def scene(model: Any, data: Any, geoms: list[str], free: list[str], six: Any) -> dict[str, Any]:
    """Contacts and free bodies of the substep that is about to be taken, after `mj_forward`.

    Only the free bodies that the agent touches, and those that touch them in turn. A contact is its two sides, normal,
    point, distance and the sum of the bodies' weights. Sides: an agent geom's number plus 100, a body's slot from 1, or
    0 for what never moves; contacts of the agent with the floor are only counted.
    """
    contacts = [data.contact[i] for i in range(data.ncon)]
    owners = [model.body(int(b)).name for b in model.geom_bodyid]
    own = {owners[model.geom(name).id] for name in geoms}
    touched = set(own)
    for _ in free:
        for c in contacts:
            pair = {owners[c.geom1], owners[c.geom2]}
            touched |= (pair & set(free)) if pair & touched else set()
    slot = {name: 1 + i for i, name in enumerate(sorted(touched - own))}
    bodies = []
    for name in slot:
        body, turn = model.body(name), np.zeros(9)
        mujoco.mju_quat2Mat(turn, body.iquat)
        moments = (turn.reshape(3, 3) @ np.diag(body.inertia) @ turn.reshape(3, 3).T).diagonal()
        q = int(model.joint(name).qposadr[0])
        bodies.append(
            {
                "name": name,
                "state": numbers([*data.qpos[q : q + 7], *six(name, data.qvel)]),
                "mass": float(body.mass[0]),
                "moments": numbers(moments),
                "free": numbers(six(name, data.qacc_smooth)),
                "acc": numbers(six(name, data.qacc)),
            }
        )
    rows, floor = [], 0
    for c in contacts:
        names = [model.geom(g).name for g in (c.geom1, c.geom2)]
        sides = [100 + geoms.index(n) if n in geoms else slot.get(owners[model.geom(n).id], 0) for n in names]
        if names[0] == "floor" and sides[1] >= 100:
            floor += 1
        elif any(sides):
            weight = sum(model.body_invweight0[model.geom_bodyid[g]][0] for g in (c.geom1, c.geom2))
            rows.append([*sides, *numbers([*c.frame[:3], *c.pos, c.dist, weight])])
    return {"floor": floor, "contacts": rows, "bodies": bodies}


def row_of(world: World, with_geoms: bool) -> dict[str, Any]:
    """The Car's substep that is about to be taken, after `mj_forward`."""
    data = world.data
    row = {
        "qpos": numbers(data.qpos[:13]),
        "lift": float(f"{data.qpos[2] - 0.1:.9g}"),
        "qvel": numbers(data.qvel[:CAR_SPEEDS]),
        "torque": numbers(data.qfrc_actuator[6:8]),
    }
    if with_geoms:
        row["geoms"] = [numbers([*data.geom(n).xpos, *data.geom(n).xmat]) for n in CAR_GEOMS]
    return row | scene(world.model, data, CAR_GEOMS, world.free, world.world_six)


def rows_of(env_id: str, seed: int, limit: int, rows: dict[str, list[dict[str, Any]]]) -> None:
    """Adds substeps in contact, up to `limit` of each kind."""
    world, rng = World(env_id, seed), np.random.default_rng(seed)
    for trial in range(TRIALS):
        target = str(rng.choice(world.targets))
        world.put_down(target, trial % 10 == 9, rng)
        mode, aside = int(rng.integers(3)), rng.uniform(-0.25, 0.25)
        action = np.zeros(2)
        for step in range(TRIAL_STEPS):
            if mode < 2:
                action = world.chase(target, mode, aside, rng)
            elif step % 6 == 0:
                action = rng.uniform(-0.025, 0.025, 2)
            world.task.agent.apply_action(action)
            for substep in range(SUBSTEPS):
                mujoco.mj_forward(world.model, world.data)
                kind = kind_of(world, [world.names(c) for c in world.contacts()])
                row = None
                shallow = all(c.dist > -DEEPEST for c in world.contacts())
                wanted = kind and "gremlin" not in kind and shallow and len(rows.setdefault(kind, [])) < limit and rng.random() < 0.1
                if wanted and world.firm(rng):
                    row = {"kind": kind} | row_of(world, with_geoms=not rows[kind])
                mujoco.mj_step(world.model, world.data)
                if row:
                    row["after"] = numbers(world.data.qvel[:CAR_SPEEDS])
                    rows[kind].append(row)


def point_rows(seed: int) -> list[dict[str, Any]]:
    """Substeps of the Point against the push box, with the sphere, the arrow or both."""
    world, rng = point.World(seed, point.PILLAR_ENV_ID), np.random.default_rng(seed)
    model, data = world.model, world.data
    box = model.joint("push_box")
    q, v = int(box.qposadr[0]), int(box.dofadr[0])
    limit = POINT_ROWS // 2

    def six(_name: str, vector: np.ndarray) -> np.ndarray:
        rotation = np.zeros(9)
        mujoco.mju_quat2Mat(rotation, data.qpos[q + 3 : q + 7])
        return np.r_[vector[v : v + 3], rotation.reshape(3, 3) @ vector[v + 3 : v + 6]]

    rows: dict[str, list[dict[str, Any]]] = {}
    for substep in range(POINT_SUBSTEPS):
        if substep % 1000 == 0:
            # Back before the Point, wherever it is.
            yaw, bearing = rng.uniform(0, 2 * np.pi, 2)
            centre = data.body("agent").xpos[:2] + 0.6 * np.array([np.cos(bearing), np.sin(bearing)])
            data.qpos[q : q + 7] = [*centre, 0.2, np.cos(yaw / 2), 0, 0, np.sin(yaw / 2)]
            data.qvel[v : v + 6] = 0
        if substep % SUBSTEPS == 0:
            world.task.agent.apply_action(world.drive(data.body("push_box").xpos[:2], substep // 1000 % 2, rng))
        mujoco.mj_forward(model, data)
        names = {n for c in world.contacts() if "push_box" in c[1] or "col" in c[1] for n in c[:1]} & set(POINT_GEOMS)
        kind = "+".join(sorted(names))
        if kind and len(rows.setdefault(kind, [])) < limit and rng.random() < 0.05:
            row = {"kind": kind} | world.agent() | scene(model, data, POINT_GEOMS, ["push_box"], six)
            rows[kind].append(row | {"acc": numbers(world.planar(data.qacc[:3]))})
        mujoco.mj_step(model, data)
    return [row for kind in sorted(rows) for row in rows[kind]]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--seed", type=int, default=5)
    parser.add_argument("--rows", type=int, default=ROWS_PER_KIND, help="rows of each kind of contact")
    arguments = parser.parse_args()
    rows: dict[str, list[dict[str, Any]]] = {}
    for env_id in ENV_IDS:
        rows_of(env_id, arguments.seed, arguments.rows, rows)
    fixture = {"car": [row for kind in sorted(rows) for row in rows[kind]], "point": point_rows(arguments.seed)}
    lines = [f'"{key}": [\n' + ",\n".join(json.dumps(row) for row in rows) + "\n]" for key, rows in fixture.items()]
    arguments.out.write_text("{\n" + ",\n".join(lines) + "\n}\n")


if __name__ == "__main__":
    main()
