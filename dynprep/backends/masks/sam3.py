"""Objects that words describe or a user marked, followed through the clip by SAM 3 (Carion et al. 2025), from
``transformers``."""

from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any, Self

from dynprep.artefacts.base import Artefact, Scene
from dynprep.artefacts.images import Images
from dynprep.artefacts.masks import ObjectMasks
from dynprep.backends.hugging_face import load_network
from dynprep.backends.masks.sam2 import Sam2Masks, owners
from dynprep.options import Positive
from dynprep.scene.frames import Frames
from dynprep.scene.source import Source
from dynprep.scene.truth import Truth
from dynprep.store import ItemWriter
from dynprep.weights.tensors import damaged

if TYPE_CHECKING:
    from dynprep.backends.sam_session import Sam

_KIND = "sam3_video"
_MOST_OBJECTS = 255  # ids of an indexed PNG, 0 being the background
_GREY = (0.5, 0.5, 0.5)  # mean and deviation by which the published processor normalises


@dataclass
class Sam3Masks(Sam2Masks):
    """Masks of what ``text`` describes, every instance with its id; without a text, of what prompts mark."""

    text: str | list[str] | None
    tracker_parameters: Positive | None = field(metadata={"neutral": True})

    backend_id = "sam3"

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.texts and (self.prompts or self.points or self.box):
            raise ValueError("give either text, or what marks objects: prompts, points and box")
        if self.text is not None and not (self.texts and all(t.strip() for t in self.texts)):
            raise ValueError(
                "text is empty; describe what is looked for, such as text='black swan'"
            )

    @property
    def texts(self) -> list[str]:
        """Descriptions of what is looked for, empty where objects are marked."""
        if self.text is None:
            return []
        return [self.text] if isinstance(self.text, str) else list(self.text)

    def reads(self) -> tuple[type[Artefact], ...]:
        return (Images,) if self.texts else super().reads()

    def check(self, source: Source) -> None:
        if not self.texts:
            super().check(source)

    def outside(self, source: Source) -> dict[str, str]:
        return {} if self.texts else super().outside(source)

    def for_known_clip(self, truth: Truth, frames: Frames) -> Self:
        return replace(super().for_known_clip(truth, frames), text=None)

    @property
    def expected_parameters(self) -> float | None:
        # without a text the detector is not loaded
        return self.parameters if self.texts else self.tracker_parameters

    def open_network(self) -> Any:
        from transformers import Sam3TrackerVideoModel

        from dynprep.backends.sam3_text import DescribedNetwork

        kind = DescribedNetwork if self.texts else Sam3TrackerVideoModel
        return load_network(kind, self.folder_of(_KIND), self.group)

    def sam(self) -> "Sam":
        from transformers import Sam3TrackerVideoInferenceSession, Sam3VideoInferenceSession

        from dynprep.backends.sam_session import Sam

        kind = Sam3VideoInferenceSession if self.texts else Sam3TrackerVideoInferenceSession
        return Sam(kind, _GREY, _GREY)

    def run(self, scene: Scene, writer: ItemWriter) -> None:
        if not self.texts:
            super().run(scene, writer)
            return
        from dynprep.backends.sam3_text import TextFollower

        numbers: dict[int, int] = {}  # ids in the dataset by the library's
        empty = 0
        frames = scene.frames
        with self.inference.inference(self.device):
            follower = TextFollower(
                self.network, self.device, scene[Images], frames, self.sam(), self._tokenizer()
            )
            for number, object_masks, scores in follower.follow(self.texts):
                for one in object_masks:
                    numbers.setdefault(one, min(len(numbers) + 1, _MOST_OBJECTS))
                ids = owners(scores, [numbers[one] for one in object_masks], self.shape)
                empty += not ids.any()
                ObjectMasks.write_objects(writer, frames, frames.stems[number], ids)
        if len(numbers) > _MOST_OBJECTS:
            writer.note(f"objects beyond the first {_MOST_OBJECTS} share the id {_MOST_OBJECTS}")
        if empty:
            what = ", ".join(self.texts)
            writer.note(f"nothing of '{what}' was found on {empty} of {len(frames)} frames")

    def _tokenizer(self) -> Any:
        from transformers import AutoTokenizer

        folder = self.location().folder()
        try:
            return AutoTokenizer.from_pretrained(
                folder, local_files_only=True, trust_remote_code=False
            )
        except Exception as error:  # whatever the library finds wrong with the files
            raise damaged(folder, error) from None

    def modules_to_compile(self) -> list[Any]:
        return [] if self.texts else [self.network.vision_encoder]
