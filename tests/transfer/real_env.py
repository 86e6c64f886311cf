"""The original Safety-Gymnasium 1.0.0, made importable on Python 3.11 and quick to reset.

Neither change touches the physics:

* **Import.** Safety-Gymnasium declares dataclass fields whose default is a numpy array. Python 3.11 refuses defaults of an
  unhashable type, so the import fails. While the package is imported, `dataclasses.dataclass` turns each such default into a
  factory that copies the array, which is what the older interpreters did in effect.
* **Reset.** Every reset compiles the MuJoCo model afresh and decodes six photographs for the sky, about one second. The
  photographs are replaced by a procedural gradient, and the asset table is parsed once instead of at every reset. All
  that differs in the compiled model is the texture data; `--check` compares every other array of the two models.

Usage as a script: `python real_env.py --check SafetyPointGoal1-v0`.
"""

from __future__ import annotations

import argparse
import contextlib
import dataclasses
import io
import sys
from collections.abc import Iterator
from typing import Any

import numpy as np

# A procedural sky of the smallest size MuJoCo accepts in place of six photographs.
PLAIN_SKY = {"@type": "skybox", "@builtin": "gradient", "@rgb1": "0.5 0.6 0.7", "@rgb2": "0 0 0", "@width": "8", "@height": "48"}


@contextlib.contextmanager
def array_defaults_allowed() -> Iterator[None]:
    """Lets classes defined inside the block be dataclasses with numpy arrays as field defaults."""
    original = dataclasses.dataclass

    def dataclass(cls: type | None = None, /, **options: Any) -> Any:
        def decorate(target: type) -> type:
            for name in target.__dict__.get("__annotations__", {}):
                default = target.__dict__.get(name)
                if isinstance(default, np.ndarray):
                    setattr(target, name, dataclasses.field(default_factory=default.copy))
            return original(target, **options)

        return decorate if cls is None else decorate(cls)

    dataclasses.dataclass = dataclass
    try:
        yield
    finally:
        dataclasses.dataclass = original


def import_safety_gymnasium() -> Any:
    """Imports safety_gymnasium and returns the module.

    Raises SystemExit with the install command when it is absent.
    """
    try:
        # gymnasium-robotics prints an unrelated notice about hand tasks to stderr when imported.
        with array_defaults_allowed(), contextlib.redirect_stderr(io.StringIO()):
            import safety_gymnasium
    except ModuleNotFoundError as error:
        raise SystemExit(f"error: {error}; install the packages of tests/transfer/requirements.txt as its first lines say") from error
    return safety_gymnasium


class PlainSkyYaml:
    """Stands in for the `yaml` module inside `safety_gymnasium.world`: one asset table, parsed once, with a plain sky."""

    def __init__(self, yaml_module: Any) -> None:
        self.yaml_module = yaml_module
        self.FullLoader = yaml_module.FullLoader
        self.assets: dict[str, Any] | None = None

    def load(self, stream: Any, Loader: Any) -> dict[str, Any]:  # noqa: N803 (the name is yaml's)
        """Returns the parsed assets; `World.build` only reads them, so one object serves every reset."""
        if self.assets is None:
            self.assets = self.yaml_module.load(stream, Loader=Loader)
            self.assets["textures"]["skybox"] = PLAIN_SKY
        return self.assets


def use_plain_sky(enabled: bool = True) -> None:
    """Switches the procedural sky of every environment built from now on."""
    import_safety_gymnasium()
    import yaml
    from safety_gymnasium import world

    world.yaml = PlainSkyYaml(yaml) if enabled else yaml


def make_env(env_id: str, stock_assets: bool = False) -> Any:
    """Returns the environment `env_id`, wrapped as its authors do except for the interface checker.

    Raises SystemExit when the id is unknown. With `stock_assets` a reset decodes the original textures (one second each).
    """
    package = import_safety_gymnasium()
    use_plain_sky(not stock_assets)
    try:
        return package.make(env_id, disable_env_checker=True)
    except AssertionError as error:
        raise SystemExit(f"error: Safety-Gymnasium has no environment {env_id!r}; it has {', '.join(navigation_ids())}") from error


def navigation_ids() -> list[str]:
    """Ids of the Point's, the Car's and the Racecar's environments, without the vision and debug variants."""
    from safety_gymnasium.utils.registration import safe_registry  # filled when the package is imported

    return sorted(i for i in safe_registry if i.startswith(("SafetyPoint", "SafetyCar", "SafetyRacecar")) and not i.endswith(("Vision-v0", "Debug-v0")))


def model_arrays(env_id: str, stock_assets: bool, seed: int) -> dict[str, np.ndarray]:
    """Every numeric array of the compiled model after `reset(seed)`, by name."""
    env = make_env(env_id, stock_assets)
    env.reset(seed=seed)
    model = env.unwrapped.task.model
    named = {name: getattr(model, name) for name in dir(model) if not name.startswith("_")}
    return {name: np.array(value) for name, value in named.items() if isinstance(value, (np.ndarray, int, float))}


def differing_arrays(env_id: str, seed: int = 0) -> list[str]:
    """Names of the model arrays that the plain sky changes."""
    stock, plain = (model_arrays(env_id, stock_assets, seed) for stock_assets in (True, False))
    return [name for name in stock if not np.array_equal(stock[name], plain[name])]


def main() -> int:
    """Prints what the plain sky changes; fails when that is more than texture data."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--check", metavar="ENV_ID", required=True, help="compare the model with stock and with plain assets")
    env_id = parser.parse_args().check
    changed = differing_arrays(env_id)
    # `nbuffer` counts the bytes of all arrays, texture data included.
    beyond = [name for name in changed if not name.startswith(("tex_", "ntex")) and name != "nbuffer"]
    print(f"{env_id}: the plain sky changes {', '.join(changed) or 'nothing'}")
    if beyond:
        print(f"error: more than texture data differs: {', '.join(beyond)}", file=sys.stderr)
    return 1 if beyond else 0


if __name__ == "__main__":
    sys.exit(main())
