"""A scene whose clip lies elsewhere, until it is fetched."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NoReturn

from dynprep.remote.address import RemotePath
from dynprep.remote.download import downloaded
from dynprep.scene.source import Probe, RawFrame, Source
from dynprep.store import Result, Store


@dataclass
class RemoteSource(Source):
    """What is known of a clip before it is fetched: its name and address.

    files: of the clip, listed when it is fetched; open_local: makes the scene from the fetched result.
    """

    place: RemotePath
    name: str
    store: Store
    files: Callable[[], Sequence[RemotePath]]
    open_local: Callable[[Result], Source]
    truth: Path | None = None

    def prepared(self) -> Source:
        return self.open_local(downloaded(self.place, self.files(), self.store))

    def describe(self) -> str:
        return str(self.place)

    def probe(self) -> Probe:
        self._refuse()

    def identity(self) -> dict[str, Any]:
        self._refuse()

    def frames(self) -> Iterator[RawFrame]:
        self._refuse()

    def _refuse(self) -> NoReturn:
        raise RuntimeError(f"{self.place} is not fetched yet: see prepared")
