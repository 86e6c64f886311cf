"""The environments' ids in Gymnasium's registry: ``kfcpo/PointGoal1-v0`` and the others."""

import gymnasium

from ._kfcpo import env_ids

NAMESPACE = "kfcpo"


def short(env_id):
    """``PointGoal1-v0`` for ``SafetyPointGoal1-v0``."""
    return env_id[len("Safety") :] if env_id.startswith("Safety") else env_id


def register_all():
    """Registers every environment, alone and as a vector, that is not registered yet.

    Gymnasium before 1.1, which Safety-Gymnasium and OmniSafe bring, knows neither vector entry points nor autoreset modes:
    nothing is registered there.
    """
    if not hasattr(gymnasium.vector, "AutoresetMode"):
        return
    for env_id in env_ids():
        name = f"{NAMESPACE}/{short(env_id)}"
        if name not in gymnasium.registry:
            gymnasium.register(
                id=name,
                entry_point="kfcpo.gymnasium:Env",
                vector_entry_point="kfcpo.gymnasium:VectorEnv",
                kwargs={"env": env_id},
            )
