"""Policies that see only the observation, so that the original and our simulator can both run them.

Their formulas stand in words in `tests/fixtures/README.md`; the Rust tests repeat them.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable

import numpy as np

BIN_ANGLE = 2 * np.pi / 16
FORWARD_VELOCITY = 3  # place of the Point's in the observation
POINT_SPEED = 1.0  # m/s
POINT_FACING = 0.6  # rad: the target counts as ahead
CAR_TORQUE = 0.012  # N m a wheel: about 0.45 m/s
CAR_FACING = 1.0  # rad
CAR_TURN_GAIN, CAR_TURN_LIMIT = 0.02, 0.008  # N m / rad, N m
RACECAR_SPEED, RACECAR_FACING = 0.5, 1.0  # share of the largest speed, 20 rad/s; rad
RACECAR_MOST = np.array([20.0, 0.785])  # rad/s, rad
CIRCLE_RANGE = 6.0  # m, of the lidar in the Circle tasks
CIRCLE_RADIUS = 1.5  # m


@dataclasses.dataclass(frozen=True)
class View:
    """How to read and drive in one environment: which agent, and where each part of the observation lies."""

    agent: str
    places: dict[str, slice]

    @classmethod
    def of(cls, env_id: str, sizes: dict[str, int]) -> View:
        """From the sizes of the observation's parts, in order."""
        ends = np.cumsum(list(sizes.values()))
        places = {name: slice(int(end) - size, int(end)) for (name, size), end in zip(sizes.items(), ends)}
        return cls(next(agent for agent in ("Racecar", "Car", "Point") if agent in env_id), places)

    def lidar(self, obs: np.ndarray, kind: str) -> np.ndarray:
        """The 16 bins that see a kind of object."""
        return obs[self.places[f"{kind}_lidar"]]


# A policy maps (observation [D], view, generator) to an action [2].
ScriptedPolicy = Callable[[np.ndarray, View, np.random.Generator], np.ndarray]


def wrap(angle: float) -> float:
    """The angle within [-pi, pi)."""
    return float((angle + np.pi) % (2 * np.pi) - np.pi)


def bearing(lidar: np.ndarray) -> float | None:
    """Angle to the nearest object of a lidar [16] in the agent's frame within [-pi, pi); None when none is in range.

    With one object in range the strongest bin holds s, its neighbours alpha s and (1 - alpha) s, where alpha is the
    object's place within the bin: the lidar can be inverted exactly. With several the angle is approximate.
    """
    strongest = int(np.argmax(lidar))
    after, before = lidar[(strongest + 1) % 16], lidar[strongest - 1]
    if after + before <= 0.0:
        return None
    return wrap((strongest + after / (after + before)) * BIN_ANGLE)


def drive(obs: np.ndarray, view: View, angle: float | None) -> np.ndarray:
    """Turns to an angle in the agent's frame and goes ahead while it is in front; wanders without one."""
    if view.agent == "Racecar":
        if angle is None:
            return RACECAR_MOST * [RACECAR_SPEED, 0.4]
        if abs(angle) < RACECAR_FACING:
            return RACECAR_MOST * [RACECAR_SPEED, np.clip(1.5 * angle, -0.9, 0.9)]
        # What is not ahead is brought there by backing with the wheels the other way.
        return RACECAR_MOST * [-RACECAR_SPEED, -np.copysign(0.8, angle)]
    if view.agent == "Car":
        if angle is None:
            return np.array([CAR_TORQUE, 0.5 * CAR_TORQUE])
        off = wrap(angle + np.pi / 2)  # the Car's front is its negative y axis
        ahead = CAR_TORQUE if abs(off) < CAR_FACING else 0.0
        turn = np.clip(CAR_TURN_GAIN * off, -CAR_TURN_LIMIT, CAR_TURN_LIMIT)
        return np.array([ahead + turn, ahead - turn])
    if angle is None:
        return np.array([1.0, 0.3])
    speed = POINT_SPEED if abs(angle) < POINT_FACING else 0.0
    return np.clip([5.0 * (speed - obs[FORWARD_VELOCITY]), 2.0 * angle], -1.0, 1.0)


def seek(obs: np.ndarray, view: View, _noise: np.random.Generator) -> np.ndarray:
    """Does the task, through whatever stands between."""
    if "circle_lidar" in view.places:
        return drive(obs, view, along_circle(view.lidar(obs, "circle")))
    if "goal_lidar" not in view.places:
        # Run: the magnetic field points along the track.
        field = obs[view.places["magnetometer"]]
        return drive(obs, view, float(np.arctan2(field[1], field[0])))
    goal = bearing(view.lidar(obs, "goal"))
    if "push_box_lidar" not in view.places:
        return drive(obs, view, goal)
    box = bearing(view.lidar(obs, "push_box"))
    if box is not None and goal is not None:
        # Aims past the box on the side away from the goal, straight at it once the goal is behind it.
        box = wrap(box + np.clip(wrap(box - goal), -1.0, 1.0))
    return drive(obs, view, box)


def along_circle(lidar: np.ndarray) -> float | None:
    """Angle of the counterclockwise way around the centre, which is then to the left, corrected to the right radius."""
    centre = bearing(lidar)
    if centre is None:
        return None
    distance = CIRCLE_RANGE * (1.0 - lidar.max())
    return wrap(centre - np.pi / 2 + np.clip(distance - CIRCLE_RADIUS, -1.0, 1.0))


def ram(obs: np.ndarray, view: View, _noise: np.random.Generator) -> np.ndarray:
    """Drives at the nearest vase, again and again."""
    return drive(obs, view, bearing(view.lidar(obs, "vases")))


def uniform(_obs: np.ndarray, view: View, noise: np.random.Generator) -> np.ndarray:
    """A fresh uniform action every step."""
    return noise.uniform(-1.0, 1.0, 2) * (RACECAR_MOST if view.agent == "Racecar" else 1.0)


POLICIES: dict[str, ScriptedPolicy] = {"seek": seek, "uniform": uniform, "ram": ram}
