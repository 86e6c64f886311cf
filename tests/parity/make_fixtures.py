"""Cuts short windows out of recorded trajectories of the original into tests/fixtures/parity.txt.

    python tests/parity/make_fixtures.py RECORDINGS_DIR tests/fixtures/parity.txt

Every window is a recording of its own: free motion, a goal reached, a hazard crossed, a vase struck. Numbers keep
nine significant digits, finer than float32.
"""
import glob, os, sys
import numpy as np

WINDOW = 10
ROWS = ["agent_pos", "agent_yaw", "agent_linvel", "agent_angvel", "goal_pos", "obj_pos", "obj_quat", "obj_linvel", "obj_angvel", "obs"]
STEPS = ["action", "reward", "cost"]


def numbers(array):
    return " ".join(f"{x:.9g}" for x in np.asarray(array, dtype=float).ravel())


def cut(path, z, start, why):
    out = {"file": f"{os.path.basename(path)[:-4]}[{start}:{start + WINDOW}] {why}", "env": z["meta"][0].decode()}
    for key in ROWS:
        out[key] = numbers(z[key][start:start + WINDOW + 1]) if key in z.files else ""
    for key in STEPS:
        out[key] = numbers(z[key][start:start + WINDOW])
    out["free_names"] = " ".join(n.decode() for n in z["free_names"])
    out["static_names"] = " ".join(n.decode() for n in z["static_names"])
    out["static_pos"] = numbers(z["static_pos"])
    out["agent_contact_bodies"] = " ".join(n.decode() or "-" for n in z["agent_contact_bodies"][start:start + WINDOW + 1])
    return out


def windows(z):
    steps = len(z["reward"])
    clamp = lambda t: int(min(max(t - WINDOW // 2, 0), steps - WINDOW))
    yield 0, "start"
    yield clamp(steps // 2), "middle"
    met = np.flatnonzero(z["goal_met"])
    if len(met):
        yield clamp(met[0]), "goal"
    cost = np.flatnonzero(np.diff(z["cost"]) != 0)
    if len(cost):
        yield clamp(cost[0] + 1), "cost edge"
    touch = np.flatnonzero(z["agent_contact_bodies"] != b"")
    if len(touch):
        yield clamp(touch[0]), "contact"


def main(directory, target):
    cuts = []
    for level in range(3):
        for path in sorted(glob.glob(f"{directory}/SafetyPointGoal{level}-v0_*.npz")):
            z = np.load(path)
            cuts += [cut(path, z, start, why) for start, why in windows(z)]
    with open(target, "w") as f:
        f.writelines("".join(f"{k} {v}".rstrip() + "\n" for k, v in c.items()) + "\n" for c in cuts)


if __name__ == "__main__":
    main(*sys.argv[1:])
