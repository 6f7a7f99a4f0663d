"""What a run's page shows of one scene."""

from dataclasses import asdict, dataclass
from typing import Any

from dynprep.artefacts import Artefact, SceneResults
from dynprep.artefacts.display import Curve
from dynprep.artefacts.images import Images
from dynprep.artefacts.motion import ParallaxMaps
from dynprep.evenly import evenly
from dynprep.report.options import ReportOptions
from dynprep.store import ItemWriter, Recipe, Store
from dynprep.verdicts.finding import Verdict
from dynprep.viewer.groups import charts, group, player
from dynprep.viewer.layers import layer
from dynprep.viewer.space import space
from dynprep.watch import Watch, no_progress

_CURVES = "curves.json"
_VERSION = 1  # raised when the same results give other curves
_LAST = (ParallaxMaps.name,)  # layers that explain others, and come after them


@dataclass(frozen=True)
class SceneView:
    """Data of the player, of the charts, and of the view in 3D, None where there is none."""

    player: dict[str, Any]
    charts: list[dict[str, Any]]
    space: dict[str, Any] | None

    @property
    def thumbnail(self) -> str | None:
        """The middle frame, as a data: address."""
        frames: list[str | None] = self.player["groups"][0]["panels"][0]["frames"]
        return frames[len(frames) // 2]


def scene_view(
    scene: SceneResults,
    stages: list[str],
    verdict: Verdict,
    store: Store,
    options: ReportOptions,
    watch: Watch = no_progress,
) -> SceneView:
    """Gather what is shown of a scene's complete ``stages``, frames first."""
    names = [Images.name, *(name for name in stages if name not in (Images.name, *_LAST))]
    artefacts = [Artefact.registry[name] for name in [*names, *(n for n in _LAST if n in stages)]]
    stems = evenly(scene.frames.stems, options.frames)
    groups, curves = [], []
    with watch("page", len(artefacts) + 1) as advance:
        for artefact in artefacts:
            drawn = layer(scene, artefact, stems, store, options.width)
            if drawn is not None:
                groups.append(group(artefact, [{"label": "", **drawn}]))
            curves += _curves(scene, artefact, store)
            advance(1)
        in_3d = space(scene, stems, options.points, store)
        advance(1)
    marks = {
        stem: [f"{f.stage} {f.what}" for f in findings]
        for stem, findings in verdict.frames().items()
        if stem in stems
    }
    shown = [entry["name"] for entry in groups]
    return SceneView(
        player(scene.frames, stems, groups, shown, marks),
        charts(curves),
        in_3d,
    )


def _curves(scene: SceneResults, artefact: type[Artefact], store: Store) -> list[Curve]:
    """An artefact's curves, which look at every frame, made once for all pages that show them."""
    recipe = Recipe(
        "media",
        f"curves of {artefact.name}",
        kind_version=_VERSION,
        # units and marks may be those of any other result of the scene
        inputs={name: result.key for name, result in scene.results.items()},
    )

    def write(writer: ItemWriter) -> None:
        writer.json(_CURVES, [asdict(curve) for curve in scene[artefact].curves(scene)])

    return [Curve(**curve) for curve in store.cached(recipe, write).json(_CURVES)]
