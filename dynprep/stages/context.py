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
    clip (``camera.shared``); sky_seen_by: the depth whose backend says where there is sky, None where none does;
    sky: what says it to those who leave the sky out, the group ``sky`` before a depth.
    """

    resolution: Resolution
    inference: InferenceOptions
    shared_camera: bool
    sky_seen_by: type[Artefact] | None = None
    sky: type[Artefact] | None = None
