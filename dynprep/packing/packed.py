"""A scene's tracks packed, as a result of the store that is made once."""

from concurrent.futures import ThreadPoolExecutor

from dynprep.artefacts.base import SceneResults
from dynprep.artefacts.tracks import PairTracks
from dynprep.cores import cores
from dynprep.packing.codec import pack
from dynprep.packing.container import FORMAT
from dynprep.packing.kinds import CONTAINERS, PackKind
from dynprep.store import ItemWriter, Recipe, Result, Store

STAGE = "packed_tracks"  # what its results are called in the store


def packed_tracks(scene: SceneResults, store: Store, kind: PackKind) -> Result:
    """The result that holds a packed file for every query frame, made unless the store has it."""
    inputs = {PairTracks.name: scene.key(PairTracks)}
    recipe = Recipe(STAGE, kind, FORMAT, inputs=inputs)

    def make(writer: ItemWriter) -> None:
        def write(query: int) -> None:
            name = file_name(scene.frames.stems[query], kind)
            writer.data(name, _content(scene[PairTracks], query, kind))

        with ThreadPoolExecutor(cores()) as pool:  # compression releases the interpreter's lock
            list(pool.map(write, scene[PairTracks].queries))

    return store.cached(recipe, make)


def file_name(query: str, kind: PackKind) -> str:
    """The name of a query frame's file, by its stem."""
    return f"{query}{CONTAINERS[kind].suffix}"


def _content(tracks: PairTracks, query: int, kind: PackKind) -> bytes:
    """The packed file of one query frame."""
    form, stems = tracks.form, tracks.frames.stems
    pixels = tracks.query_pixels(query)
    targets = {
        stems[target]: pack(tracks.written(query, target), pixels, form.scores)
        for target in tracks.targets(query)
    }
    return CONTAINERS[kind].content(pixels, form.scores, targets)
