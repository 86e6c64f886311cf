"""Writes tests/fixtures/car/steps.json from recorded trajectories of the original Safety-Gymnasium.

usage: python car_fixture.py TRAJECTORIES_DIR OUT.json

Takes Car steps, evenly spread over the files in which the car never touched an obstacle (a touch between
the recorded instants would not show), never the first after the reset, each with everything a
teacher-forced comparison needs: state (qpos 13, qvel 11), action, the next state and the 24 base sensors
of the next observation.
"""
import glob
import json
import os
import sys

import numpy as np


def main(source: str, out: str, per_file: int = 8) -> None:
    steps = []
    for path in sorted(glob.glob(os.path.join(source, 'SafetyCar*.npz'))):
        z = np.load(path)
        qpos, qvel, obs, action = z['qpos'][:, :13], z['qvel'][:, :11], z['obs'][:, :24], z['action']
        if (z['agent_contact_bodies'] != b'').any():
            continue
        for t in np.linspace(1, len(action) - 1, per_file).astype(int):
            steps.append({
                'file': f'{os.path.basename(path)} step {t}',
                'qpos': qpos[t].tolist(),
                'qvel': qvel[t].tolist(),
                'action': action[t].tolist(),
                'next_qpos': qpos[t + 1].tolist(),
                'next_qvel': qvel[t + 1].tolist(),
                'next_obs': [float(x) for x in obs[t + 1]],
            })
    with open(out, 'w') as f:
        f.write('[\n' + ',\n'.join(json.dumps(s) for s in steps) + '\n]\n')


if __name__ == '__main__':
    main(*sys.argv[1:])
