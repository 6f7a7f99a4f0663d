"""SAM 2's masks: the library's own numbers, prompts, memory that does not grow."""

import json
import re
from collections.abc import Sequence
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image

from benchmarks import random_weights
from dynprep.backends.masks.sam2 import owners
from dynprep.errors import UserError
from dynprep.scene.prompts import Prompt
from dynprep.vision.mask_shape import MaskShape, clearest_part
from tests.conftest import SMALL, RunHere, sliding, write_frames

POINT = Prompt(1, 3, ((80.0, 60.0, True), (20.0, 10.0, False)))
BOX = Prompt(7, 5, (), (30.0, 20.0, 90.0, 70.0))


@pytest.fixture(scope="module")
def weights(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return random_weights.sam2(tmp_path_factory.mktemp("sam2") / "net")


@pytest.fixture(scope="module")
def network(weights: Path) -> Any:
    from transformers import Sam2VideoModel

    return Sam2VideoModel.from_pretrained(weights).eval()


class Clip:
    """Frames in memory, as the stage reads them."""

    def __init__(self, pictures: Sequence[np.ndarray]) -> None:
        self.pictures = pictures
        self.stems = [f"{k:05d}" for k in range(len(pictures))]
        self.height, self.width = pictures[0].shape[:2]
        self.size = (self.height, self.width)
        self.read: list[int] = []

    def __len__(self) -> int:
        return len(self.pictures)

    def rgb(self, stem: str) -> np.ndarray:
        self.read.append(int(stem))
        return self.pictures[int(stem) % len(self.pictures)]


def follower(network: Any, clip: Clip) -> Any:
    from transformers import Sam2VideoInferenceSession

    from dynprep.backends.sam_session import Follower, Sam

    sam = Sam(Sam2VideoInferenceSession, (0.485, 0.456, 0.406), (0.229, 0.224, 0.225))
    return Follower(network, torch.device("cpu"), clip, clip, sam)  # type: ignore[arg-type]


@torch.inference_mode()
def the_librarys(network: Any, clip: Clip, prompts: Sequence[Prompt]) -> dict[int, np.ndarray]:
    """Scores (N, h, w) by the library's own loop over a video that it holds as a whole."""
    from transformers import Sam2VideoInferenceSession

    whole = np.stack(clip.pictures).transpose(0, 3, 1, 2).astype(np.float32)
    square = torch.nn.functional.interpolate(
        torch.from_numpy(whole), (64, 64), mode="bilinear", antialias=True
    )
    mean, std = (
        torch.tensor(v)[:, None, None] for v in ((0.485, 0.456, 0.406), (0.229, 0.224, 0.225))
    )
    video = (square.round().clamp(0, 255) / 255 - mean) / std
    session = Sam2VideoInferenceSession(video, clip.height, clip.width, dtype=torch.float32)
    for prompt in sorted(prompts, key=lambda p: p.frame):
        place = session.obj_id_to_idx(prompt.object)
        corners = [prompt.box[:2], prompt.box[2:]] if prompt.box else []
        at = [*corners, *((x, y) for x, y, _ in prompt.points)]
        labels = [*(2, 3)[: len(corners)], *(int(inside) for _, _, inside in prompt.points)]
        scale = torch.tensor([64 / clip.width, 64 / clip.height])
        inputs = {
            "point_coords": (torch.tensor(at) * scale)[None, None],
            "point_labels": torch.tensor(labels, dtype=torch.int32)[None, None],
        }
        session.add_point_inputs(place, prompt.frame, inputs)
        session.obj_with_new_inputs = [prompt.object]
        network(session, frame_idx=prompt.frame)
    start = min(p.frame for p in prompts)
    found = {}
    for reverse in (False, True):
        for output in network.propagate_in_video_iterator(session, start, reverse=reverse):
            if not reverse or output.frame_idx < start:
                found[output.frame_idx] = output.pred_masks[:, 0].numpy()
    return found


@pytest.mark.parametrize("prompts", [[POINT], [POINT, BOX]], ids=["one", "two"])
def test_scores_are_the_librarys(network: Any, prompts: list[Prompt]) -> None:
    clip = Clip(sliding(24, 96, 160))
    wanted = the_librarys(network, clip, prompts)
    one = follower(network, clip)
    with torch.inference_mode():
        found = dict(one.follow(prompts))
    assert one.ids == [p.object for p in prompts]
    assert sorted(found) == sorted(wanted) == list(range(24))
    for number, scores in wanted.items():
        full = torch.nn.functional.interpolate(
            torch.from_numpy(scores)[:, None], (96, 160), mode="bilinear", align_corners=False
        )
        assert np.abs(found[number] - full[:, 0].numpy()).max() < 1e-3 * np.abs(scores).max()
    assert not np.allclose(found[3], found[20], rtol=1e-3)


@pytest.mark.parametrize("count", [200, pytest.param(1000, marks=pytest.mark.thorough)])
def test_frames_are_read_when_they_are_needed_and_memory_does_not_grow(
    network: Any, count: int
) -> None:
    clip, middle = Clip(sliding(count, 32, 48, step=0)), count // 2
    one = follower(network, clip)
    held = []
    with torch.inference_mode():
        for _ in one.follow([Prompt(1, middle, ((20.0, 10.0, True),))]):
            outputs = one.session.output_dict_per_obj[0]["non_cond_frame_outputs"]
            held.append(
                sum(
                    value.numel()
                    for output in outputs.values()
                    for value in output.values()
                    if isinstance(value, torch.Tensor)
                )
            )
    for way in (held[:middle], held[middle:]):
        assert max(way[60:]) == min(way[60:])
    assert clip.read == [*range(middle, count), *range(middle - 1, -1, -1)]
    assert len(one.session.cache._vision_features) == 1


def run(run_here: RunHere, tmp_path: Path, weights: Path, *options: str) -> Path:
    clip = tmp_path / "scene" / "images"
    if not clip.is_dir():
        write_frames(clip, sliding(6, 96, 160))
    given = ["data=frames", f"data.path={clip}", "stages=[masks]", "masks=sam2_tiny"]
    given += [f"masks.checkpoint={weights}", "masks.parameters=null"]
    return run_here(*given, *options) / "dataset" / "scene"


def test_objects_of_a_prompt_file_have_ids(
    run_here: RunHere, tmp_path: Path, weights: Path
) -> None:
    mask = np.zeros((96, 160), np.uint8)
    mask[20:60, 30:90] = 1
    Image.fromarray(mask).save(tmp_path / "first.png")
    prompts = tmp_path / "prompts.yaml"
    prompts.write_text(
        "scene:\n"
        "- {object: 4, frame: 2, mask: first.png}\n"
        "- {object: 9, frame: 3, points: [[140, 80, 1], [5, 5, 0]], box: [120, 60, 158, 94]}\n"
    )
    dataset = run(run_here, tmp_path, weights, f"masks.prompts={prompts}")
    for k in range(6):
        with Image.open(dataset / "objects" / f"{k:05d}.png") as picture:
            assert picture.mode == "P"
            ids = np.asarray(picture)
        union = np.asarray(Image.open(dataset / "masks" / f"{k:05d}.png"))
        assert set(np.unique(ids)) <= {0, 4, 9}
        assert np.array_equal(union, np.where(ids > 0, 255, 0))
        if k == 2:  # where the mask was given, it is what is written
            inner = ids[24:56, 34:86]
            assert (inner == 4).mean() > 0.9
    folders = json.loads((dataset / "dynprep.json").read_text())["folders"]
    assert folders["objects"]["stage"] == folders["masks"]["stage"] == "masks"


def test_what_is_marked_decides_the_result_and_where_the_file_lies_does_not(
    run_here: RunHere, tmp_path: Path, weights: Path
) -> None:
    for name, x in (("a", 80), ("b", 80), ("c", 20)):
        file = tmp_path / f"{name}.json"
        file.write_text(json.dumps({"scene": [{"points": [[x, 50, 1]]}]}))
        run(run_here, tmp_path, weights, f"masks.prompts={file}")
    run(run_here, tmp_path, weights, "masks.points=[[80,50,1]]")
    assert len(list((tmp_path / "store" / "masks").iterdir())) == 2


def test_shaping_one_object_takes_nothing_from_another() -> None:
    """A ball in front of a person: holes are filled and edges widened over background alone."""
    scores = np.full((2, 60, 60), -5, np.float32)
    scores[0, 10:50, 10:50] = 3  # the person
    scores[1, 25:35, 25:35] = 9  # the ball
    plain = owners(scores, [4, 7], MaskShape(False, 0, 0, 0))
    assert (plain == 7).sum() == 100 and (plain == 4).sum() == 1500
    for shape in (MaskShape(True, 0, 0, 0), MaskShape(False, 0, 0, 3)):
        shaped = owners(scores, [4, 7], shape)
        assert (shaped[25:35, 25:35] == 7).all()
        assert (shaped == 7).sum() == 100  # the ball is surrounded by the person
        assert (shaped == 4).sum() >= 1500


@pytest.mark.parametrize(
    ("content", "words"),
    [
        ("{scene: [{frame: 9, points: [[1, 1, 1]]}]}", "frame 9 is not there; the clip has frames 0 to 5"),
        ("{scene: [{points: [[160, 1, 1]]}]}", "160, 1 lies outside of the images, which are 160x96"),
        ("{scene: [{box: [1, 1, 200, 5]}]}", "lies outside of the images"),
        ("{other: [{points: [[1, 1, 1]]}]}", "no prompts for scene 'scene'; there is other"),
        ("{scene: [{points: [[1, 1, 2]]}]}", "a point is \\[x, y, 1\\] inside"),
        ("{scene: [{points: [[1, 1, 0]]}]}", "object 1 has no point inside it"),
        ("{scene: [{box: [5, 5, 1, 9]}]}", "a box is \\[left, top, right, bottom\\]"),
        ("{scene: [{mask: none.png}]}", "there is no file .*none.png"),
        ("{scene: [{object: 300, points: [[1, 1, 1]]}]}", "an object's id is 1 to 255"),
        ("{scene: [{}]}", "marks nothing"),
        ("{scene: []}", "marks nothing"),
        ("{scene: 3}", "scene"),
        ("[1, 2", "neither YAML nor JSON"),
        ("{001: [{points: [[1, 1, 1]]}]}", "reads the scene's name 1 as a number; put it into quotes"),
        ("{scene: [{points: [[1, 1, 1]]}, {points: [[2, 1, 1]]}]}", "marked twice on frame 0"),
    ],
)  # fmt: skip
def test_a_prompt_that_cannot_be_is_one_line_before_any_network_loads(
    content: str, words: str, run_here: RunHere, tmp_path: Path
) -> None:
    prompts = tmp_path / "prompts.yaml"
    prompts.write_text(content)
    nothing = tmp_path / "nothing"
    nothing.mkdir()
    with pytest.raises(UserError, match=words) as said:
        run(run_here, tmp_path, nothing, f"masks.prompts={prompts}")
    assert "\n" not in str(said.value)
    assert not (tmp_path / "store" / "images").exists()


def test_a_mask_of_another_size_is_refused_before_any_network_loads(
    run_here: RunHere, tmp_path: Path
) -> None:
    Image.fromarray(np.ones((50, 60), np.uint8)).save(tmp_path / "small.png")
    (tmp_path / "prompts.yaml").write_text("{scene: [{mask: small.png}]}")
    (tmp_path / "nothing").mkdir()
    given = f"masks.prompts={tmp_path / 'prompts.yaml'}"
    with pytest.raises(UserError, match=r"small.png: 60x50, images/ has 160x96"):
        run(run_here, tmp_path, tmp_path / "nothing", given)
    assert not (tmp_path / "store" / "images").exists()


def test_nothing_marked_says_how_to_mark(run_here: RunHere, tmp_path: Path, weights: Path) -> None:
    with pytest.raises(UserError, match=r"masks.points=\[\[X,Y,1\]\]"):
        run(run_here, tmp_path, weights)


def test_masks_are_shaped() -> None:
    mask = np.zeros((40, 60), bool)
    mask[5:25, 10:40] = True
    mask[12:15, 20:23] = False
    mask[35:37, 50:52] = True
    plain = MaskShape(False, 0, 0, 0)
    assert np.array_equal(plain.apply(mask), mask)
    filled = MaskShape(True, 0, 0, 0).apply(mask)
    assert filled[13, 21] and filled.sum() == mask.sum() + 9
    large = MaskShape(False, 10, 0, 0).apply(mask)
    assert not large[35:37].any() and large[:30].sum() == mask[:30].sum()
    assert MaskShape(True, 10, 3, 3).apply(mask)[5:25, 10:40].mean() > 0.95
    narrow = MaskShape(True, 10, 2, 0).apply(mask)
    assert not narrow[5:7].any() and narrow[8, 15]
    edge = SimpleNamespace(mask=np.ones((10, 10), bool))
    assert (
        MaskShape(False, 0, 3, 0).apply(edge.mask).all()
    )  # an object does not end where the image does


def test_another_network_is_refused(run_here: RunHere, tmp_path: Path) -> None:
    other = random_weights.dpt(tmp_path / "dpt")
    with pytest.raises(UserError, match="a dpt network; this backend runs sam2_video"):
        run(run_here, tmp_path, other, "masks.points=[[80,50,1]]")


@pytest.mark.thorough
def test_auto_marks_what_moves_most_clearly(
    run_here: RunHere, tmp_path: Path, weights: Path
) -> None:
    clip = [*SMALL, "data.count=24"]  # of fewer frames, steps are too large for the flow
    options = [*clip, "stages=[masks]", "masks=sam2_tiny", f"masks.checkpoint={weights}"]
    run = run_here(*options, "masks.parameters=null", "masks.prompts=auto")
    (note,) = json.loads((run / "run.json").read_text())["notes"]
    found = re.fullmatch(
        r"masks.prompts=auto: marked frame (\d+), an object of ([\d.]+)% of the image around (\d+), (\d+)",
        note,
    )
    assert found is not None, note
    frame, share, x, y = (float(v) for v in found.groups())
    (labels,) = (tmp_path / "store" / "demo").glob("*/truth/labels")
    label = np.asarray(Image.open(labels / f"{int(frame):05d}.png"))
    assert label[int(y), int(x)] > 0  # one of the two that move
    assert 0.5 < share / (100 * (label == label[int(y), int(x)]).mean()) < 1.5
    # the mask is what was marked, on that frame
    ids = np.asarray(Image.open(run / "dataset" / "demo" / "objects" / f"{int(frame):05d}.png"))
    assert ((ids > 0) == (label == label[int(y), int(x)])).mean() > 0.9


def test_the_clearest_part_is_large_fast_and_off_the_edge() -> None:
    mask = np.zeros((60, 100), bool)
    mask[10:30, 20:40] = True  # 400 pixels, inside
    mask[35:60, 80:100] = True  # 500, but in a corner
    mask[5:8, 70:80] = True  # small
    motion = np.where(mask, 4.0, 0.0).astype(np.float32)
    part, clarity = clearest_part(mask, motion, 1.0)
    assert part[20, 30] and part.sum() == 400
    assert clarity == pytest.approx(400 / 6000)
    motion[10:30, 20:40] = 1.05  # hardly above what counts as moving
    part, _ = clearest_part(mask, motion, 1.0)
    assert part[50, 90] and part.sum() == 500
    nothing, none = clearest_part(np.zeros((60, 100), bool), motion, 1.0)
    assert none == 0 and not nothing.any()


def test_auto_on_a_clip_in_which_nothing_moves_is_one_line(
    run_here: RunHere, tmp_path: Path, weights: Path
) -> None:
    with pytest.raises(UserError, match="nothing in scene moves by itself; mark an object"):
        run(run_here, tmp_path, weights, "masks.prompts=auto")
