"""SAM 3's masks: what words describe as the library finds it, marks, memory that does not grow."""

from importlib import import_module
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
import torch
from PIL import Image

from benchmarks import random_weights
from dynprep.errors import UserError
from tests.backends.test_sam2 import Clip
from tests.conftest import RunHere, sliding, write_frames

GREY = (0.5, 0.5, 0.5)
SIDE = 112  # of the made-up network's square


@pytest.fixture(scope="module")
def weights(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return random_weights.sam3(tmp_path_factory.mktemp("sam3") / "net")


@pytest.fixture(scope="module")
def network(weights: Path) -> Any:
    from dynprep.backends.sam3_text import DescribedNetwork

    return DescribedNetwork.from_pretrained(weights).eval()


@pytest.fixture(scope="module")
def librarys(weights: Path) -> Any:
    from transformers import Sam3VideoModel

    return Sam3VideoModel.from_pretrained(weights).eval()


def follower(network: Any, weights: Path, clip: Any) -> Any:
    from transformers import AutoTokenizer, Sam3VideoInferenceSession

    from dynprep.backends.sam3_text import TextFollower
    from dynprep.backends.sam_session import Sam

    sam = Sam(Sam3VideoInferenceSession, GREY, GREY)
    tokenizer = AutoTokenizer.from_pretrained(weights)
    return TextFollower(network, torch.device("cpu"), clip, clip, sam, tokenizer)


@torch.inference_mode()
def the_librarys(
    network: Any, weights: Path, clip: Clip, texts: list[str], monkeypatch: pytest.MonkeyPatch
) -> dict[int, dict[int, np.ndarray]]:
    """Masks (H, W) by frame and object, by the library's loop and the published processor."""
    from transformers import AutoTokenizer, Sam3VideoInferenceSession

    # from its package it would be a placeholder, since it asks for torchvision
    published: Any = import_module("transformers.models.sam3_video.processing_sam3_video")
    # boxes need torchvision, and nothing here looks at them
    monkeypatch.setattr(published, "masks_to_boxes", lambda masks: masks, raising=False)
    processor = object.__new__(published.Sam3VideoProcessor)
    processor.tokenizer = AutoTokenizer.from_pretrained(weights)
    whole = torch.from_numpy(np.stack(clip.pictures).transpose(0, 3, 1, 2).astype(np.float32))
    square = torch.nn.functional.interpolate(whole, (SIDE, SIDE), mode="bilinear", antialias=True)
    video = (square.round().clamp(0, 255) / 255 - 0.5) / 0.5
    session = Sam3VideoInferenceSession(video, clip.height, clip.width, dtype=torch.float32)
    processor.add_text_prompt(session, texts)
    found: dict[int, dict[int, np.ndarray]] = {}
    for output in network.propagate_in_video_iterator(session):
        shown = processor.postprocess_outputs(session, output)
        masks = shown["masks"].numpy()
        found[output.frame_idx] = dict(zip(shown["object_ids"].tolist(), masks, strict=True))
    return found


def test_masks_are_the_librarys(
    network: Any, librarys: Any, weights: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    clip = Clip(sliding(7, 48, 80))
    ours = follower(network, weights, clip)  # which brings the kernels that the library lacks
    wanted = the_librarys(librarys, weights, clip, ["swan"], monkeypatch)
    assert any(wanted.values())
    with torch.inference_mode():
        found = {number: (ids, scores) for number, ids, scores in ours.follow(["swan"])}
    assert list(found) == sorted(wanted) == list(range(7))
    for number, (ids, scores) in found.items():
        owner = scores.argmax(0) if len(ids) else np.zeros((48, 80), int)
        mine = {
            one: mask
            for place, one in enumerate(ids)
            if (mask := (scores[place] > 0) & (owner == place)).any()
        }
        assert {k for k, mask in wanted[number].items() if mask.any()} == set(mine)
        for one, mask in mine.items():
            assert (mask == wanted[number][one]).all()


def test_each_object_keeps_its_own_mask_where_the_library_mixes_them_up(
    network: Any, librarys: Any, weights: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """On frame 1 the first of several objects is dropped as a mistake."""
    clip = Clip(sliding(3, 48, 80))
    tracked: dict[int, torch.Tensor] = {}

    def dropping(kind: Any) -> Any:
        monkeypatch.setattr(kind, "det_nms_thresh", 0.0)  # so that there are several
        for name in ("hotstart_delay", "hotstart_dup_thresh", "hotstart_unmatch_thresh"):
            monkeypatch.setattr(kind, name, 9)  # and no other is dropped
        planned = kind.run_tracker_update_planning_phase

        def plan(inference_session: Any, frame_idx: int, **options: Any) -> Any:
            update, news = planned(
                inference_session=inference_session, frame_idx=frame_idx, **options
            )
            if frame_idx == 1:
                ids, masks = inference_session.obj_ids, options["tracker_low_res_masks_global"]
                tracked.update(zip(ids, masks.clone(), strict=True))
                update["obj_ids_newly_removed"] = {ids[0]}
                news["obj_ids"] = [one for one in news["obj_ids"] if one != ids[0]]
                news["extra_metadata"]["removed_obj_ids"].add(ids[0])
            return update, news

        propagated = kind.run_tracker_propagation

        def told_apart(**options: Any) -> Any:
            masks, scores = propagated(**options)  # which made-up weights make alike
            return masks + torch.arange(len(masks))[:, None, None], scores

        monkeypatch.setattr(kind, "run_tracker_propagation", told_apart)
        monkeypatch.setattr(kind, "run_tracker_update_planning_phase", plan)
        one, outputs = follower(kind, weights, clip), list[Any]()
        monkeypatch.setattr(one, "_scored", outputs.append)
        with torch.inference_mode():
            list(one.follow(["swan"]))
        return outputs[1]

    own, other = dropping(network), dropping(librarys)
    left = [one for one in own.object_ids if one in tracked]
    assert len(left) >= 3 and left == [one for one in other.object_ids if one in tracked]
    for one in left:
        assert torch.equal(own.obj_id_to_mask[one][0], tracked[one])
        assert one in own.obj_id_to_tracker_score
    # else the library has mended it, and the class that does can go
    assert any(not torch.equal(other.obj_id_to_mask[k][0], tracked[k]) for k in left[:-1])


def test_memory_does_not_grow_and_frames_are_read_once(
    network: Any, weights: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, value in (("recondition_every_nth_frame", 2), ("high_conf_thresh", 0.0),
                        ("high_iou_thresh", 0.0)):  # fmt: skip
        monkeypatch.setattr(network, name, value)
    clip = Clip(sliding(24, 32, 48, step=0))
    one = follower(network, weights, clip)
    most = network.config.tracker_config.max_cond_frame_num
    held, marked = [], []
    with torch.inference_mode():
        for _ in one.follow(["a"]):
            outputs = one.session.output_dict_per_obj.values()
            held.append(max((len(o["non_cond_frame_outputs"]) for o in outputs), default=0))
            with_memory = [
                sum("maskmem_features" in output for output in o["cond_frame_outputs"].values())
                for o in outputs
            ]
            marked.append(max(with_memory, default=0))
            assert not one.session.obj_id_to_tracker_score_frame_wise
    assert max(held) <= one.memory.reach + 1
    assert max(marked) <= most + one.memory.memory
    assert clip.read == list(range(24))


@pytest.mark.parametrize("seed", range(3))
def test_of_detections_of_one_thing_the_surest_stays(seed: int) -> None:
    from dynprep.backends.sam3_text import _Kernels

    rng = np.random.default_rng(seed)
    masks = rng.random((12, 1, 6)) < 0.5
    both = (masks & masks.swapaxes(0, 1)).sum(-1) / np.maximum(
        1, (masks | masks.swapaxes(0, 1)).sum(-1)
    )
    sure = rng.random(12)
    stay = set(_Kernels.generic_nms(torch.tensor(both), torch.tensor(sure), 0.4).tolist())
    for k in range(12):
        surer = [j for j in stay if sure[j] > sure[k] and both[j, k] > 0.4]
        assert (k in stay) == (not surer)


def test_components_are_counted_with_diagonals() -> None:
    from dynprep.backends.sam3_text import _Kernels

    mask = np.array([[1, 0, 0, 1], [0, 1, 0, 1], [0, 0, 0, 0]], np.uint8)
    labels, sizes = _Kernels.cc_2d(torch.tensor(mask)[None, None])
    assert sizes[0, 0].tolist() == [[2, 0, 0, 2], [0, 2, 0, 2], [0, 0, 0, 0]]
    assert labels[0, 0, 0, 0] == labels[0, 0, 1, 1] != labels[0, 0, 0, 3]
    assert cv2.connectedComponents(mask)[0] == 3


def run(run_here: RunHere, tmp_path: Path, weights: Path, *options: str) -> Path:
    frames = write_frames(tmp_path / "scene", sliding(5, 48, 80))
    given = ["data=frames", f"data.path={frames}", "stages=[masks]", "masks=sam3",
             f"masks.checkpoint={weights}", "masks.parameters=null", "masks.tracker_parameters=null"]  # fmt: skip
    return run_here(*given, *options) / "dataset" / "scene"


def test_words_and_marks_give_masks_with_ids(
    run_here: RunHere, tmp_path: Path, weights: Path
) -> None:
    described = run(run_here, tmp_path, weights, "masks.text=[swan,dog]")
    masks, objects = (sorted((described / name).glob("*.png")) for name in ("masks", "objects"))
    assert len(masks) == len(objects) == 5
    for mask, ids in zip(masks, objects, strict=True):
        assert ((np.asarray(Image.open(mask)) > 0) == (np.asarray(Image.open(ids)) > 0)).all()
    marked = run(run_here, tmp_path, weights, "masks.points=[[40,24,1]]")
    assert {int(v) for p in (marked / "objects").iterdir() for v in np.unique(Image.open(p))} <= {
        0,
        1,
    }


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (["masks.text=swan", "masks.points=[[1,1,1]]"], "either text, or what marks"),
        (["masks.text=''"], "text is empty"),
        (["masks.text=[]"], "text is empty"),
        ([], "nothing is marked"),
    ],
)
def test_what_cannot_be_asked_is_one_line(
    run_here: RunHere, tmp_path: Path, weights: Path, options: list[str], said: str
) -> None:
    with pytest.raises(UserError, match=said):
        run(run_here, tmp_path, weights, *options)


def test_weights_of_another_network_are_refused(run_here: RunHere, tmp_path: Path) -> None:
    other = random_weights.sam2(tmp_path / "sam2")
    (other / "tokenizer.json").write_text("{}")
    (other / "tokenizer_config.json").write_text("{}")
    with pytest.raises(UserError, match="a sam2_video network; this backend runs sam3_video"):
        run(run_here, tmp_path, other, "masks.text=swan")


def test_the_librarys_own_kernels_are_never_looked_for(
    network: Any, weights: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from transformers.models.sam3_video import modeling_sam3_video as library

    follower(network, weights, Clip(sliding(2, 48, 80)))
    looked: list[str] = []
    monkeypatch.setattr(library, "is_kernels_available", lambda: looked.append("looked"))
    masks = torch.tensor(np.ones((1, 1, 4, 4)))
    library.fill_holes_in_mask_scores(masks, 2)
    library.nms_masks(torch.ones(1), masks[0], 0.1, 0.5)
    assert not looked
