"""The configuration composed inside a program, as the command line composes it."""

import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from dynprep.conf_folder import CONF, users_conf
from dynprep.errors import UserError

_PLAIN = r"[A-Za-z0-9_./-]+"  # what Hydra reads as a word


def compose_config(overrides: Sequence[str]) -> tuple[dict[str, Any], dict[str, str]]:
    """The configuration as plain values, and the choice of each group.

    overrides: as on the command line; ``dataset_dir`` and ``store_dir`` must be among them, since their defaults
    belong to a command's working folder. Raises UserError for what does not exist.
    """
    from hydra import compose, initialize_config_dir
    from hydra.core.global_hydra import GlobalHydra
    from hydra.errors import HydraException, MissingConfigException
    from omegaconf import OmegaConf
    from omegaconf.errors import OmegaConfBaseException

    from dynprep.config.hints import about_choice, about_option

    users = users_conf()
    folders = [CONF] + ([users] if users is not None else [])
    search = [f"hydra.searchpath=['file://{users}']"] if users is not None else []
    outer = GlobalHydra.instance().hydra  # of a program that uses Hydra itself
    GlobalHydra.instance().clear()
    try:
        with initialize_config_dir(str(CONF), version_base="1.3"):
            config = compose("config", [*overrides, *search], return_hydra_config=True)
        choices = {str(k): str(v) for k, v in config.hydra.runtime.choices.items()}
        own = OmegaConf.masked_copy(config, [k for k in config if k != "hydra"])
        plain: Any = OmegaConf.to_container(own, resolve=True)
        return {str(k): v for k, v in plain.items()}, choices
    except MissingConfigException as error:
        raise UserError(about_choice(error)) from None
    except (HydraException, OmegaConfBaseException) as error:
        raise UserError(about_option(str(error), folders)) from None
    except (
        TypeError,
        ValueError,
    ) as error:  # of a list of choices with a null in it, or none at all
        raise UserError(f"the overrides do not fit together: {error}") from None
    finally:
        if outer is not None:
            GlobalHydra.instance().initialize(outer)


def quoted(path: Path) -> str:
    """A path as Hydra's grammar takes it, in quotes only where it needs them."""
    text = str(path)
    if re.fullmatch(_PLAIN, text):
        return text
    escaped = text.replace("\\", "\\\\").replace("'", "\\'")
    return f"'{escaped}'"
