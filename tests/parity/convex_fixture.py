"""Contacts of MuJoCo's general convex collider, for `envs`' collider of boxes, cylinders and spheres.

For each pair of shapes that the tasks bring together with a cylinder in it, two bodies are placed at the heights and
tilts that occur, and moved together until they overlap by 1e-6 to 2e-3 m (or miss by as much). Positions and rotations
are rounded to float32 before MuJoCo sees them, so both colliders get the same numbers.

Where a line or a face touches, MuJoCo's own point jumps along it under changes of the pose that float32 cannot even
represent. So each contact also carries its spread: the largest change of normal, gap and point when the pose is shaken
by up to 1e-7 (an upright body stays exactly upright).

Numbers are in SI units and world axes; a pose is the centre, then the rotation row by row.

Example: `python tests/parity/convex_fixture.py --out tests/fixtures/contact/convex.json`
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import mujoco
import numpy as np

CASES_PER_PAIR = 20
SHAKES = 16
PILLAR = ("cylinder", (0.2, 0.5))
WHEEL = ("cylinder", (0.05, 0.025))
# A geom along body x, as the Car's wheels are: its z axis is the body's x axis.
SIDEWAYS = np.array([[0.0, 0.0, 1.0], [0.0, 1.0, 0.0], [-1.0, 0.0, 0.0]])

Pose = tuple[float, np.ndarray]  # height, rotation


def turn(axis: np.ndarray, angle: float) -> np.ndarray:
    quaternion, matrix = np.zeros(4), np.zeros(9)
    mujoco.mju_axisAngle2Quat(quaternion, np.asarray(axis, dtype=float), angle)
    mujoco.mju_quat2Mat(matrix, quaternion)
    return matrix.reshape(3, 3)


def upright(rng: np.random.Generator) -> np.ndarray:
    return turn([0, 0, 1], rng.uniform(0, 2 * np.pi))


def leaning(rng: np.random.Generator, *angles: float) -> np.ndarray:
    """Any yaw, leaning any way by 0.3 to 1 times one of the angles."""
    bearing, angle = rng.uniform(0, 2 * np.pi), rng.choice(angles) * rng.uniform(0.3, 1)
    lean = turn([np.cos(bearing), np.sin(bearing), 0], angle) if angle > 0 else np.eye(3)
    return lean @ upright(rng)


def wheel(rng: np.random.Generator) -> Pose:
    rolled = turn([1, 0, 0], rng.uniform(-3, 3)) @ SIDEWAYS
    return 0.05 - rng.choice([0, 4e-5, 1e-4]), leaning(rng, 0, 1e-5, 1e-4, 1e-3, 1e-2) @ rolled


def standing(height: float) -> Callable[[np.random.Generator], Pose]:
    return lambda rng: (height, upright(rng))


def tilted(height: float, *angles: float) -> Callable[[np.random.Generator], Pose]:
    return lambda rng: (height - rng.choice([0, 4e-5]), leaning(rng, *angles))


SMALL = (0, 1e-5, 1e-4, 1e-3, 1e-2)
# name, first shape, its pose, second shape, its pose; first the shape of MuJoCo's lower type, then of the lower id.
PAIRS = [
    ("pillar, Point's arrow", PILLAR, standing(0.5), ("box", (0.05, 0.05, 0.05)), standing(0.1)),
    ("Point, pillar", ("sphere", (0.1,)), standing(0.1), PILLAR, standing(0.5)),
    ("wheel, pillar", WHEEL, wheel, PILLAR, standing(0.5)),
    ("wheel, vase", WHEEL, wheel, ("box", (0.1, 0.1, 0.1)), tilted(0.1, 0, 1e-5, 1e-4)),
    ("wheel, leaning vase", WHEEL, wheel, ("box", (0.1, 0.1, 0.1)), tilted(0.1, 1e-3, 1e-2, 0.1, 0.3)),
    ("wheel, push box", WHEEL, wheel, ("box", (0.125, 0.125, 0.125)), tilted(0.125, *SMALL)),
    ("wheel, push box's column", WHEEL, wheel, ("box", (0.0625, 0.0625, 0.125)), tilted(0.125, *SMALL)),
    ("button, wheel", ("sphere", (0.1,)), standing(0.1), WHEEL, wheel),
    ("pillar, chassis", PILLAR, standing(0.5), ("box", (0.1, 0.1, 0.05)), tilted(0.1, *SMALL)),
    ("pillar, back bumper", PILLAR, standing(0.5), ("box", (0.1, 0.01, 0.05)), tilted(0.1, *SMALL)),
    ("pillar, front bumper", PILLAR, standing(0.5), ("box", (0.05, 0.01, 0.05)), tilted(0.1, *SMALL)),
    ("pillar, front connector", PILLAR, standing(0.5), ("box", (0.05, 0.03, 0.01)), tilted(0.14, *SMALL)),
    ("rear ball, pillar", ("sphere", (0.05,)), tilted(0.05, *SMALL, 0.3), PILLAR, standing(0.5)),
    ("wheel, gremlin", WHEEL, wheel, ("box", (0.1, 0.1, 0.1)), tilted(0.1996, 0, 1e-4, 1e-3, 1e-2, 0.1)),
]


class Pair:
    """Two free bodies of one geom each, placed at will."""

    def __init__(self, first: tuple[str, tuple[float, ...]], second: tuple[str, tuple[float, ...]]) -> None:
        bodies = "".join(
            f'<body><freejoint/><geom type="{kind}" size="{" ".join(map(str, size))}" mass="1"/></body>'
            for kind, size in (first, second)
        )
        self.model = mujoco.MjModel.from_xml_string(f"<mujoco><worldbody>{bodies}</worldbody></mujoco>")
        self.data = mujoco.MjData(self.model)
        mujoco.mj_forward(self.model, self.data)
        self.reach = float(self.model.geom_rbound.sum())

    def contact(self, centres: np.ndarray, rotations: np.ndarray) -> np.ndarray | None:
        """Normal 3, gap, point 3 of the contact; `centres` [2, 3], `rotations` [2, 3, 3]."""
        self.data.geom_xpos[:2] = centres
        self.data.geom_xmat[:2] = rotations.reshape(2, 9)
        mujoco.mj_collision(self.model, self.data)
        if self.data.ncon == 0:
            return None
        contact = self.data.contact[0]
        return np.r_[contact.frame[:3], contact.dist, contact.pos]

    def shaken(self, centres: np.ndarray, rotations: np.ndarray, rng: np.random.Generator) -> np.ndarray | None:
        scale = 10 ** rng.uniform(-9, -7)
        turned = []
        for rotation in rotations:
            axis = rng.uniform(-1, 1, 3) * scale
            if (rotation[2, :2] == 0).all():
                axis[:2] = 0
            turned.append(rotation + np.cross(axis, rotation, axisb=0, axisc=0))
        return self.contact(centres + rng.uniform(-0.5, 0.5, (2, 3)) * scale, np.array(turned))


def single(values: np.ndarray) -> np.ndarray:
    """Rounded to float32."""
    return np.asarray(values, dtype=np.float32).astype(float)


def case(pair: Pair, poses: tuple[Pose, Pose], rng: np.random.Generator) -> dict[str, Any]:
    rotations = single([rotation for _, rotation in poses])
    corner, bearing = rng.uniform(-1.5, 1.5, 2), rng.uniform(0, 2 * np.pi)

    def centres(distance: float) -> np.ndarray:
        away = distance * np.array([np.cos(bearing), np.sin(bearing)])
        return np.array([[*corner, poses[0][0]], [*(corner + away), poses[1][0]]])

    near, far = 0.01, pair.reach + 0.01
    for _ in range(40):
        middle = 0.5 * (near + far)
        if pair.contact(centres(middle), rotations) is None:
            far = middle
        else:
            near = middle
    depth = 10 ** rng.uniform(-6, -2.7) if rng.random() < 0.85 else -(10 ** rng.uniform(-5.5, -3))
    placed = single(centres(near - depth))
    contact = pair.contact(placed, rotations)
    shaken = [pair.shaken(placed, rotations, rng) for _ in range(SHAKES)]
    row: dict[str, Any] = {"a": pose_numbers(placed[0], rotations[0]), "b": pose_numbers(placed[1], rotations[1])}
    row["contact"] = [] if contact is None else [float(f"{x:.8g}") for x in contact]
    row["sure"] = all((other is None) == (contact is None) for other in shaken)
    if contact is not None:
        moved = np.array([other - contact for other in shaken if other is not None]).reshape(-1, 7)
        parts = [moved[:, :3], moved[:, 3:4], moved[:, 4:]]
        row["spread"] = [float(f"{np.linalg.norm(part, axis=1).max(initial=0):.1e}") for part in parts]
    return row


def pose_numbers(centre: np.ndarray, rotation: np.ndarray) -> list[float]:
    """Nine significant digits: exact for float32."""
    return [float(f"{x:.9g}") + 0.0 for x in np.r_[centre, rotation.ravel()]]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--seed", type=int, default=7)
    parser.add_argument("--cases", type=int, default=CASES_PER_PAIR)
    arguments = parser.parse_args()
    rng = np.random.default_rng(arguments.seed)
    blocks = []
    for name, first, pose_first, second, pose_second in PAIRS:
        pair = Pair(first, second)
        head = {"name": name, "kinds": [first[0], second[0]], "sizes": [first[1], second[1]]}
        cases = [case(pair, (pose_first(rng), pose_second(rng)), rng) for _ in range(arguments.cases)]
        rows = ",\n".join(json.dumps(row, separators=(",", ":")) for row in cases)
        blocks.append(json.dumps(head)[:-1] + ', "cases": [\n' + rows + "\n]}")
    arguments.out.write_text('{"pairs": [\n' + ",\n".join(blocks) + "\n]}\n")


if __name__ == "__main__":
    main()
