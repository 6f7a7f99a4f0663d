"""Which job of a multirun writes which dataset folder, so that no two write one."""

import hashlib
from dataclasses import dataclass
from pathlib import Path

from dynprep.errors import UserError
from dynprep.files import write_json
from dynprep.foreign import Malformed, read_json

_CLAIMS = ".dynprep-claims"  # in the multirun's folder: one file for each dataset folder


@dataclass(frozen=True)
class Claims:
    """The claims of one job.

    sweep: the multirun's folder; launch: what tells this multirun from one before in the same folder; run: the job's.
    """

    sweep: Path
    launch: str
    run: str

    def take(self, folder: Path) -> None:
        """Claim a dataset folder, whose lock the caller holds. Raises UserError where another job has claimed it."""
        path = self.sweep / _CLAIMS / hashlib.sha256(str(folder).encode()).hexdigest()[:32]
        own = {"launch": self.launch, "run": self.run, "folder": str(folder)}
        try:
            there: dict[str, str] = read_json(path, dict[str, str])
        except FileNotFoundError:
            there = {}
        except (OSError, Malformed) as error:
            raise UserError(f"{error}; remove it, or choose another hydra.sweep.dir") from None
        if there.get("launch") != self.launch:
            write_json(path, own)
        elif there.get("run") != self.run:
            raise UserError(
                f"{folder}: another job of this sweep writes it; leave dataset_dir out, so that each job has its own, "
                "or add a part: dataset_dir='OUT/${hydra:job.num}'"
            )
