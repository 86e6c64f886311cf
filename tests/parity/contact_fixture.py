"""Single MuJoCo substeps of the Point against vases and pillars, and slides of kicked vases, for `envs`' contact tests.

The Point chases one vase after the other in the original; substeps in contact are sampled so that every kind of
contact occurs. Numbers are in SI units and world axes.

Example: `python tests/parity/contact_fixture.py --out tests/fixtures/contact/vases.json`
"""

from __future__ import annotations

import argparse
import json
import sys
from pathlib import Path
from typing import Any

import mujoco
import numpy as np

sys.path.insert(0, str(Path(__file__).resolve().parent.parent / "transfer"))
from real_env import make_env  # noqa: E402 (the path above must come first)

ENV_ID = "SafetyPointGoal2-v0"
PILLAR_ENV_ID = "SafetyPointPush1-v0"
PILLAR_RADIUS = 0.2
PILLAR_SUBSTEPS = 6000
SUBSTEPS = 10
VASES = 10
CHASE_STEPS = 60  # env steps spent on one vase
ROWS_PER_KIND = 8
KICKS = 12
KICK_STEPS = 40  # env steps


class World:
    """The original's world with its Point and vases, one MuJoCo step at a time."""

    def __init__(self, seed: int, env_id: str = ENV_ID) -> None:
        self.env = make_env(env_id)
        self.env.reset(seed=seed)
        self.task = self.env.unwrapped.task
        self.model, self.data = self.task.model, self.task.data
        self.vases = [self.model.joint(f"vase{i}") for i in range(VASES if env_id == ENV_ID else 0)]

    def frame(self) -> np.ndarray:
        """Rotation [2, 2] from the slide joints' axes (the initial yaw) to world axes."""
        yaw = self.yaw() - self.data.qpos[2]
        return np.array([[np.cos(yaw), -np.sin(yaw)], [np.sin(yaw), np.cos(yaw)]])

    def yaw(self) -> float:
        rotation = self.data.body("agent").xmat
        return float(np.arctan2(rotation[3], rotation[0]))

    def planar(self, vector: np.ndarray) -> np.ndarray:
        """A joint vector of the agent (x, y, yaw) in world axes."""
        return np.r_[self.frame() @ vector[:2], vector[2]]

    def vase(self, index: int) -> np.ndarray:
        """State [13] of a vase: position, quaternion w x y z, velocity, angular velocity."""
        q, v = int(self.vases[index].qposadr[0]), int(self.vases[index].dofadr[0])
        rotation = np.zeros(9)
        mujoco.mju_quat2Mat(rotation, self.data.qpos[q + 3 : q + 7])
        turn = rotation.reshape(3, 3) @ self.data.qvel[v + 3 : v + 6]
        return np.r_[self.data.qpos[q : q + 7], self.data.qvel[v : v + 3], turn]

    def set_vase(self, index: int, position: np.ndarray, yaw: float, velocity: np.ndarray) -> None:
        q, v = int(self.vases[index].qposadr[0]), int(self.vases[index].dofadr[0])
        self.data.qpos[q : q + 7] = np.r_[position, np.cos(yaw / 2), 0, 0, np.sin(yaw / 2)]
        self.data.qvel[v : v + 6] = velocity

    def contacts(self) -> list[tuple[str, str, float]]:
        """Contacts other than with the floor: the two geoms' names and the gap."""
        named = [(self.model.geom(c.geom1).name, self.model.geom(c.geom2).name, float(c.dist)) for c in self.data.contact]
        return [c for c in named[: self.data.ncon] if "floor" not in c[:2]]

    def firm(self, rng: np.random.Generator) -> bool:
        """Whether the contacts outlast rounding of the state to float32 (ties between two faces do not)."""
        position, contacts = self.data.qpos.copy(), [c[:2] for c in self.contacts()]
        firm = True
        for _ in range(8):
            self.data.qpos[:] = position + rng.uniform(-3e-7, 3e-7, position.shape)
            mujoco.mj_forward(self.model, self.data)
            firm = firm and contacts == [c[:2] for c in self.contacts()]
        self.data.qpos[:] = position
        mujoco.mj_forward(self.model, self.data)
        return firm

    def chase(self, index: int, rng: np.random.Generator) -> np.ndarray:
        """Action towards a vase: arrow first to even ones, tail (the sphere) first to odd ones."""
        return self.drive(self.vase(index)[:2], index % 2, rng)

    def drive(self, target: np.ndarray, backwards: int, rng: np.random.Generator) -> np.ndarray:
        to = target - self.task.agent.pos[:2]
        heading = self.yaw() + np.pi * backwards
        bearing = (np.arctan2(to[1], to[0]) - heading + np.pi) % (2 * np.pi) - np.pi
        thrust = rng.choice([1.0, 0.03]) if abs(bearing) < 0.7 else -0.02
        thrust *= 1 - 2 * backwards
        return np.array([thrust, np.clip(1.2 * bearing + rng.normal(0, 0.3), -1, 1)])

    def agent(self) -> dict[str, Any]:
        """What the contact solver is told of the agent; call after `mj_forward`."""
        yaw = self.yaw()
        pose = np.r_[self.data.body("agent").xpos[:2], np.cos(yaw), np.sin(yaw)]
        return {
            "pose": numbers(pose),
            "velocity": numbers(self.planar(self.data.qvel[:3])),
            "force": numbers(self.planar(self.data.qfrc_smooth[:3])),
        }


def numbers(values: np.ndarray) -> list[float]:
    """Nine significant digits, finer than float32."""
    return [float(f"{x:.9g}") for x in np.asarray(values, dtype=float).ravel()]


def kind_of(contacts: list[tuple[str, str, float]], leans: np.ndarray) -> str:
    geoms = {name.rstrip("0123456789") for contact in contacts for name in contact[:2]}
    struck = "+".join(sorted(geoms - {"vase"})) or "vases only"
    together = any(a.startswith("vase") and b.startswith("vase") for a, b, _ in contacts)
    return struck + (", vases together" if together else "") + (", leaning" if leans.max() > 0.01 else "")


def substep_rows(seed: int) -> list[dict[str, Any]]:
    """Substeps in contact, up to `ROWS_PER_KIND` of each kind."""
    world, rng = World(seed), np.random.default_rng(seed)
    # A loose cluster, so that vases also push each other.
    for i in range(4):
        start = world.task.agent.pos + np.array([0.5 + 0.25 * (i % 2), 0.25 * (i // 2) - 0.1, 0.0])
        world.set_vase(i, np.r_[start[:2], 0.09996], rng.uniform(0, 6.28), np.zeros(6))
    rows: dict[str, list[dict[str, Any]]] = {}
    for step in range(10 * CHASE_STEPS):
        world.task.agent.apply_action(world.chase(step // CHASE_STEPS, rng))
        for _ in range(SUBSTEPS):
            mujoco.mj_forward(world.model, world.data)
            contacts, agent = world.contacts(), world.agent()
            before = np.array([world.vase(i) for i in range(VASES)])
            push = numbers(world.planar(world.data.qfrc_constraint[:3]))
            firm = bool(contacts) and world.firm(rng)
            mujoco.mj_step(world.model, world.data)
            kind = kind_of(contacts, np.abs(before[:, 4:6])) if contacts else ""
            if firm and rng.random() < 0.1 and len(rows.setdefault(kind, [])) < ROWS_PER_KIND:
                touched = sorted({int(n[4:]) for c in contacts for n in c[:2] if n.startswith("vase")})
                row = {"kind": kind, **agent, "push": push, "contacts": len(contacts)}
                row["vases"] = [numbers(before[i]) for i in touched]
                row["after"] = [numbers(world.vase(i)[7:]) for i in touched]
                rows[kind].append(row)
    return [row for kind in sorted(rows) for row in rows[kind]]


def pillar_rows(seed: int) -> list[dict[str, Any]]:
    """Substeps in contact with the pillar, with the sphere, the arrow or both."""
    world, rng = World(seed, PILLAR_ENV_ID), np.random.default_rng(seed)
    pillar = np.asarray(world.task.pillars.pos[0])[:2]
    rows: dict[str, list[dict[str, Any]]] = {}
    for substep in range(PILLAR_SUBSTEPS):
        if substep % SUBSTEPS == 0:
            world.task.agent.apply_action(world.drive(pillar, substep // 1000 % 2, rng))
        mujoco.mj_forward(world.model, world.data)
        contacts = world.contacts()
        if contacts and all(b.startswith("pillar") or a.startswith("pillar") for a, b, _ in contacts):
            kind = kind_of(contacts, np.zeros(1))
            if rng.random() < 0.1 and len(rows.setdefault(kind, [])) < ROWS_PER_KIND:
                row = {"kind": kind, **world.agent(), "push": numbers(world.planar(world.data.qfrc_constraint[:3]))}
                rows[kind].append(row | {"pillar": [*numbers(pillar), PILLAR_RADIUS], "contacts": len(contacts)})
        mujoco.mj_step(world.model, world.data)
    return [row for kind in sorted(rows) for row in rows[kind]]


def kick_rows(seed: int) -> list[dict[str, Any]]:
    """Vases set in motion on the floor: start, end, and how many env steps ended at 1e-4 m/s or faster."""
    world, rng = World(seed), np.random.default_rng(seed)
    rows = []
    for _ in range(KICKS):
        speed = rng.choice([0.05, 0.3, 1.0, 1.5])
        velocity = speed * np.r_[rng.uniform(-1, 1, 2), 0.05, rng.uniform(-1, 1, 2), rng.uniform(-3, 3)]
        world.set_vase(0, np.array([3.0, 3.0, 0.09996]), rng.uniform(0, 6.28), velocity)
        start, moving = world.vase(0), 0
        for _ in range(KICK_STEPS):
            for _ in range(SUBSTEPS):
                mujoco.mj_step(world.model, world.data)
            moving += int(np.linalg.norm(world.vase(0)[7:10]) >= 1e-4)
        rows.append({"start": numbers(start), "end": numbers(world.vase(0)), "moving": moving})
    return rows


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--seed", type=int, default=5)
    arguments = parser.parse_args()
    fixture = {"substeps": substep_rows(arguments.seed), "kicks": kick_rows(arguments.seed)}
    fixture["pillars"] = pillar_rows(arguments.seed)
    lines = [f'"{key}": [\n' + ",\n".join(json.dumps(row) for row in rows) + "\n]" for key, rows in fixture.items()]
    arguments.out.write_text("{\n" + ",\n".join(lines) + "\n}\n")


if __name__ == "__main__":
    main()
