"""What Hydra looks for in packages of this name: dynprep's launchers."""

from dynprep.launchers import ray


class RayLauncher(ray.RayLauncher):
    """``hydra/launcher=ray``. Hydra takes launchers of ``hydra_plugins`` alone."""
