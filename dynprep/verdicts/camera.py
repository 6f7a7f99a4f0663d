"""Checks of the camera: parallax, jumps of the path, guessed intrinsics, a path that is one of two."""

from collections.abc import Sequence

import numpy as np
from scipy.spatial.transform import Rotation

from dynprep.artefacts.base import Artefact, SceneResults
from dynprep.artefacts.intrinsics import Intrinsics
from dynprep.artefacts.metric_disparity import MetricDisparity
from dynprep.artefacts.motion import CameraPath
from dynprep.verdicts.check import Check, Measures, frame_findings
from dynprep.verdicts.finding import Finding
from dynprep.verdicts.options import VerdictBounds

_LEAST_STEP = 0.005  # of the clip's median depth: what is shorter is no jump, however still the camera is else


def _measure_path(artefact: type[Artefact], scene: SceneResults) -> Measures:
    poses = scene[CameraPath].poses
    centres = -np.einsum("trc,tr->tc", poses.rotation, poses.translation)
    steps = np.linalg.norm(np.diff(centres, axis=0), axis=1)
    middle = float(np.median(steps)) if len(steps) else 0.0
    turned = Rotation.from_matrix(poses.rotation @ poses.rotation[0].T).magnitude()
    ratios = [float(s / middle) if middle > 0 and s > _LEAST_STEP else None for s in steps]
    return {
        "step": [None, *ratios],
        "moves": [float(np.abs(poses.translation).max())],
        "turn": [float(np.degrees(turned.max()))],
    }


def _judge_path(
    stage: str, m: Measures, bounds: VerdictBounds, stems: Sequence[str]
) -> list[Finding]:
    if len(stems) > 1 and m["moves"] == [0.0]:
        turn = m["turn"][0] or 0.0
        only_turns = turn > bounds.turn
        what = "the camera only turns" if only_turns else "the camera stands still"
        advice = "there is no parallax: take metric_depth and depth from a network or a sensor"
        return [
            Finding(
                stage,
                "parallax",
                f"{what}, no depth from parallax",
                advice,
                None,
                turn,
                bounds.turn,
            )
        ]
    if bounds.jump is None:
        return []
    words = {
        "check": "jump", "what": "the camera's path jumps",
        "advice": "look for a cut, blur or rolling shutter there; split the clip, or use a network for depth",
    }  # fmt: skip
    limit = bounds.jump
    return frame_findings(stage, m["step"], stems, lambda v: v > limit, words, limit)


def _measure_intrinsics(artefact: type[Artefact], scene: SceneResults) -> Measures:
    inputs = scene.results[MetricDisparity.name].recipe.inputs if MetricDisparity in scene else {}
    is_guess, fits_two = Intrinsics.name in inputs and not scene[Intrinsics].known, False
    if CameraPath.name in inputs:
        poses = scene[CameraPath].poses
        is_guess = is_guess and poses.focal_factor is None  # the path may have estimated it
        fits_two = poses.own_motion is not None
    return {"guessed": [float(is_guess)], "two_scenes": [float(fits_two)]}


def _judge_intrinsics(
    stage: str, m: Measures, bounds: VerdictBounds, stems: Sequence[str]
) -> list[Finding]:
    known = "set camera.fov, camera.focal or camera.file if you know the camera"
    findings = []
    if m["guessed"] == [1.0]:
        findings.append(Finding(stage, "guessed", "the focal length is a guess", known))
    if m["two_scenes"] == [1.0]:
        what = (
            "depth may be inside out: the clip's motion fits two scenes, the upright one was taken"
        )
        findings.append(
            Finding(stage, "two_scenes", what, f"{known}, or take depth from a network")
        )
    return findings


CHECKS = (
    Check("path", CameraPath, 2, _measure_path, _judge_path),
    Check(
        "intrinsics",
        Intrinsics,
        3,
        _measure_intrinsics,
        _judge_intrinsics,
        uses=(MetricDisparity, CameraPath),
        version=2,
    ),
)
