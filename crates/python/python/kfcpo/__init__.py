"""Safe reinforcement learning on Safety-Gymnasium's navigation tasks, thousands of environments per call.

- :func:`make_vec` steps many environments with Safety-Gymnasium's six-tuple; :mod:`kfcpo.gymnasium` has Gymnasium's
  environments (``gymnasium.make_vec("kfcpo/PointGoal1-v0", num_envs=1024)``), :mod:`kfcpo.sb3` Stable-Baselines3's, and
  :mod:`kfcpo.omnisafe` registers the environments with OmniSafe.
- :func:`train` trains a policy, :class:`Policy` loads one and acts.
- ``python -m kfcpo`` is the trainer's command line.

B = environments, D = observation size, A = action size, C = constraints. Arrays are float32, flags bool. Wrong input raises
``ValueError`` or ``TypeError``.
"""

from importlib.util import find_spec

from ._kfcpo import Policy, Simulator, __version__, algorithm_names, env_ids
from .training import Run, train
from .vector import VectorEnv, level, make_vec

__all__ = [
    "Policy",
    "Run",
    "Simulator",
    "VectorEnv",
    "__version__",
    "algorithm_names",
    "env_ids",
    "level",
    "make_vec",
    "train",
]

if find_spec("gymnasium") is not None:
    from . import registration

    registration.register_all()
