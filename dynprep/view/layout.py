"""Where each stage's files lie in a dataset folder."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from dynprep.stages.inputs import Frames
from dynprep.stages.metric_depth import all_intrinsics
from dynprep.store import Result


@dataclass
class Layout:
    """Folder and file names of a dataset, as a trainer wants them."""

    images: str
    masks: str
    metric_disparity: str
    intrinsics: str
    relative_disparity: str
    aligned_disparity: str
    prior: str
    tracks: str
    points: str

    def __post_init__(self) -> None:
        names = [getattr(self, name) for name in self.__dataclass_fields__]
        if len(set(names)) < len(names):
            raise ValueError("two folders have the same name")
        for name in names:
            if name.startswith("/") or ".." in name.split("/") or not name:
                raise ValueError(f"'{name}' does not lie inside the dataset folder")

    def folder(self, stage: str) -> str | None:
        """The folder that a stage fills, None for a stage that fills none."""
        return {
            "images": self.images,
            "masks": self.masks,
            "metric_depth": self.metric_disparity,
            "depth": self.relative_disparity,
            "alignment": self.aligned_disparity,
            "prior": self.prior,
            "flow": self.tracks,
            "points": self.points,
        }.get(stage)

    def linked(self, stage: str, result: Result, frames: Frames) -> dict[str, str]:
        """Path in the dataset by file of the result, for what a stage shows there."""
        folder = self.folder(stage)
        if folder is None:
            return {"alignment.json": "alignment.json"} if stage == "alignment_fit" else {}
        if stage in ("flow", "points"):
            files = [name for item in result.items().values() for name in item.files]
        else:
            pattern = {
                "images": f"{{stem}}{frames.suffix}",
                "masks": "{stem}.png",
                "depth": "{stem}.png",
                "prior": "{stem}_pred.npy",
            }.get(stage, "{stem}.npy")
            files = [pattern.format(stem=stem) for stem in frames.stems]
        return {name: f"{folder}/{name}" for name in files}

    def single_files(self, stages: Sequence[str]) -> list[str]:
        """Files at the top of a scene's folder that these stages give."""
        found = ["alignment.json"] if "alignment" in stages else []
        return [*found, self.intrinsics] if "metric_depth" in stages else found

    def composed(self, results: Mapping[str, Result], frames: Frames) -> dict[str, Any]:
        """JSON files in the dataset that are put together from several of the store's."""
        if "metric_depth" not in results:
            return {}
        return {self.intrinsics: all_intrinsics(results["metric_depth"], frames)}
