"""Settles which launcher a name means."""

from hydra.core.config_store import ConfigStore
from hydra.core.plugins import Plugins

_GROUP, _FILE = "launcher", "ray.yaml"


def prefer_own_launchers() -> None:
    """Let ``hydra/launcher=ray`` be ours, also where Hydra's own plugin of that name is installed.

    The plugin's schema of the same name would refuse our options.
    """
    Plugins.instance()  # which makes the schemas known
    launchers = ConfigStore.instance().repo.get("hydra", {}).get(_GROUP, {})
    launchers.pop(_FILE, None)
