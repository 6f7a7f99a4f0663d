"""Videos, decoded one frame at a time with PyAV."""

from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass, field, replace
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np

from dynprep.arrays import UInt8Array
from dynprep.errors import UserError
from dynprep.files import sha256
from dynprep.scene import hdr
from dynprep.scene.source import OnError, Part, Probe, RawFrame, Selection, Source, no_frames

SUFFIXES = (".mp4", ".mov", ".m4v", ".mkv", ".webm", ".avi", ".ts", ".mpg", ".mpeg")


# numbers of transfer functions in ITU-T H.273
_TRANSFERS: dict[int, hdr.Transfer] = {16: "PQ", 18: "HLG"}
_LOST_END = 4.0  # frames: a stream that ends this much before its announced end is cut


def _open(path: Path) -> Any:
    import av

    if not path.is_file():
        what = "is no file that can be read twice" if path.exists() else "no such file"
        raise UserError(f"{path}: {what}; check data.path")
    try:
        # absolute and with its protocol: FFmpeg would follow a name such as concat:a.mp4
        container = av.open(f"file:{path.absolute()}")
    except (av.FFmpegError, OSError, ValueError) as error:
        raise UserError(
            f"{path}: not a video that can be read ({_reason(error)}); is the file complete?"
        ) from None
    if not container.streams.video:
        container.close()
        raise UserError(f"{path}: holds no video stream; choose another file")
    stream = container.streams.video[0]
    if stream.codec_context is None:
        container.close()
        raise UserError(f"{path}: its video codec is not known here; convert it to H.264 first")
    stream.thread_type = "AUTO"
    return container


def _rgb(frame: Any, transfer: hdr.Transfer | None) -> UInt8Array:
    """A decoded frame as 8-bit RGB (H, W, 3)."""
    if transfer is None:
        rgb: UInt8Array = frame.to_ndarray(format="rgb24")
        return rgb
    return hdr.to_sdr(frame.to_ndarray(format="rgb48le"), transfer)


def _reason(error: Exception) -> str:
    return getattr(error, "strerror", None) or str(error)


def _each_frame(container: Any, stream: Any) -> Iterator[Any]:
    """Frames in order; at damage first those that the decoder still holds, then its error."""
    import av

    damage: Exception | None = None
    try:
        for packet in container.demux(stream):
            yield from packet.decode()
    except (av.FFmpegError, OSError) as error:
        damage = error
    if damage is not None:
        with suppress(av.FFmpegError):  # the same damage, met again by the frames behind it
            yield from stream.codec_context.decode(None)
        raise damage


@dataclass
class VideoSource(Source):
    """One video file. Rotation metadata is obeyed; times are the frames' own."""

    path: Path
    name: str
    selection: Selection
    on_error: OnError
    sensor: Path | None = None
    truth: Path | None = None
    camera: dict[int, list[float]] | None = field(default=None, repr=False)
    only: Part | None = None
    left_out: tuple[str, ...] = ()  # remarks on other files of its folder
    address: str | None = None  # that it was fetched from

    def part(self, first: int, end: int, name: str) -> "VideoSource":
        part = replace(self, name=name, only=(first, end))
        part.__dict__.update(times=self.times, _digest=self._digest)  # looked at already
        return part

    def describe(self) -> str:
        return self.address or str(self.path)

    @property
    def stored_at(self) -> Path:
        return self.path

    def intrinsics(self) -> dict[int, list[float]] | None:
        return self.camera

    @cached_property
    def times(self) -> list[float]:
        """Presentation times in seconds of all frames, from packet headers alone."""
        import av

        stamps: list[float] = []
        damage = ""
        with _open(self.path) as container:
            stream = container.streams.video[0]
            promised = stream.frames
            end = container.duration / av.time_base if container.duration else 0.0
            try:
                for packet in container.demux(stream):
                    if packet.size and packet.is_discard:  # cut away by the file's edit list
                        promised -= 1
                    elif packet.size and packet.pts is not None:
                        stamps.append(float(packet.pts * packet.time_base))
                    damage = damage or ("a damaged packet" if packet.is_corrupt else "")
            except (av.FFmpegError, OSError) as error:
                damage = f"reading stops with '{_reason(error)}'"
        if promised > len(stamps):
            damage = f"{promised} frames are announced, {len(stamps)} are there"
        elif len(stamps) > 1 and not promised:
            stamps.sort()
            frame = (stamps[-1] - stamps[0]) / (len(stamps) - 1)
            if end - stamps[-1] > _LOST_END * max(frame, 1e-3):
                damage = f"{end:.1f} s are announced, frames end at {stamps[-1]:.1f} s"
        if damage and self.on_error == "fail":
            raise UserError(
                f"{self.path}: the video is cut or damaged ({damage}); repair it, or use the "
                "frames before the damage with data.on_error=skip"
            )
        if not stamps:
            raise UserError(f"{self.path}: holds no frames; choose another file")
        return sorted(stamps)

    @cached_property
    def transfer(self) -> hdr.Transfer | None:
        """The transfer function of high dynamic range video; None of all other."""
        with _open(self.path) as container:
            return _TRANSFERS.get(int(container.streams.video[0].codec_context.color_trc))

    def remarks(self) -> list[str]:
        if self.transfer is None:
            return list(self.left_out)
        curve = f"the curve of ITU-R BT.2390, {hdr.PEAK:.0f} to {hdr.WHITE:.0f} nits"
        remark = f"{self.path}: HDR ({self.transfer}), brought to a standard display by {curve}"
        return [*self.left_out, remark]

    @cached_property
    def chosen(self) -> list[int]:
        """Numbers of the selected frames in the video. Raises UserError where none is left."""
        chosen = self.selection.of(self.times)
        if not chosen:
            raise no_frames(f"{self.path} ({len(self.times)} frames)")
        first, end = self.only or (0, len(self.times))
        return [k for k in chosen if first <= k < end]

    def probe(self) -> Probe:
        return self._probe

    @cached_property
    def _probe(self) -> Probe:
        chosen = self.chosen
        for _, _, image in self._decode():
            return Probe(len(chosen), image.shape[0], image.shape[1])
        raise UserError(f"{self.path}: no frame can be decoded; choose another file")

    @cached_property
    def _digest(self) -> str:
        return sha256(self.path)

    def identity(self) -> dict[str, Any]:
        tone_map = {} if self.transfer is None else {"tone_map": hdr.VERSION}
        known = {"sha256": self._digest, "frames": self.chosen, "on_error": self.on_error}
        return {**known, **tone_map}

    def _decode(self) -> Iterator[tuple[int, float, UInt8Array]]:
        """Index, time and upright RGB of every decodable frame."""
        import av

        with _open(self.path) as container:
            stream = container.streams.video[0]
            index = -1
            try:
                for index, frame in enumerate(_each_frame(container, stream)):
                    if getattr(frame, "is_corrupt", False):
                        if self.on_error == "skip":
                            return
                        raise UserError(
                            f"{self.path}: frame {index} is damaged; repair the video, or use the "
                            "frames before it with data.on_error=skip"
                        )
                    image = _rgb(frame, self.transfer)
                    yield index, frame.time or 0.0, np.rot90(image, round(frame.rotation / 90))
            except (av.FFmpegError, OSError) as error:
                if self.on_error == "fail":
                    raise UserError(
                        f"{self.path}: decoding stops after frame {index} ({_reason(error)}); "
                        "repair the video, or use the frames before it with data.on_error=skip"
                    ) from None

    def frames(self) -> Iterator[RawFrame]:
        wanted = set(self.chosen)
        last = max(wanted)
        decoded = 0
        for index, time, image in self._decode():
            if index in wanted:
                decoded += 1
                yield RawFrame(index, time, f"frame {index}", np.ascontiguousarray(image))
            if index >= last:
                break
        if decoded < len(wanted) and (decoded == 0 or self.on_error == "fail"):
            raise UserError(
                f"{self.path}: {len(wanted)} frames were selected, {decoded} could be decoded; "
                "repair the video, or use what there is with data.on_error=skip"
            )
