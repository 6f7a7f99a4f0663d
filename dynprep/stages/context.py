"""What every stage of a run is given beside its own options."""

from dataclasses import dataclass

from dynprep.artefacts.base import Artefact
from dynprep.models.inference import InferenceOptions
from dynprep.scene.resolution import Resolution


@dataclass(frozen=True)
class StageContext:
    """Choices of other groups that stages look at.

    resolution: sizes of ``images/`` and of what networks see (group ``resolution``); inference: number format
    and layout of networks (group ``trainer``); shared_camera: whether networks that see the camera use one for the
    clip (``camera.shared``); skies: what says where there is sky.
    """

    resolution: Resolution
    inference: InferenceOptions
    shared_camera: bool
    skies: tuple[type[Artefact], ...] = ()
