"""What a job needs to run, told from its configuration."""

from omegaconf import DictConfig, OmegaConf
from omegaconf.errors import OmegaConfBaseException

from dynprep.config.build import settings
from dynprep.errors import UserError

_ELSEWHERE = "elsewhere"


def needs_device(config: DictConfig) -> bool:
    """Whether a job runs a network, so that a GPU is of use; true where that cannot be told before it runs."""
    choices = {str(k): str(v) for k, v in config.hydra.runtime.choices.items()}
    own = OmegaConf.masked_copy(config, [str(name) for name in config if name != "hydra"])
    own.dataset_dir = own.store_dir = _ELSEWHERE  # known to the job alone
    try:
        plain = OmegaConf.to_container(own, resolve=True)
        assert isinstance(plain, dict)
        chosen = settings({str(name): value for name, value in plain.items()}, choices)
    except (UserError, OmegaConfBaseException):
        return True
    names = {name for wanted in chosen.wanted for name in chosen.with_what_it_reads(wanted)}
    return any(chosen.stages[name].uses_device for name in names if name in chosen.stages)
