"""``dynprep pick VIDEO|FRAMES``: mark objects in the browser and write the file that ``masks.prompts`` takes."""

import argparse
from collections.abc import Sequence
from pathlib import Path

from dynprep.config.compose import quoted
from dynprep.errors import UserError, printable

_USUAL = {"dataset_dir": "outputs/dataset", "store_dir": "outputs/store"}
_HIGHEST_PORT = 65535


def main(arguments: Sequence[str]) -> int:
    """Serve the page until its user ends it, and return the exit status."""
    flags, overrides = _parser().parse_known_args(list(arguments))
    _check(flags, overrides)
    try:
        from dynprep.pick.server import Server
    except ModuleNotFoundError as error:
        if error.name not in ("starlette", "uvicorn"):
            raise
        raise UserError(
            f"pick: needs {error.name}, which is not installed: pip install 'dynprep[pick]'"
        ) from None
    from dynprep.pick.clip import Clip
    from dynprep.pick.session import Progress, Session
    from dynprep.pick.work import Work

    kind = "frames" if flags.clip.is_dir() else "video"
    own = [f"data={kind}", f"data.path={quoted(flags.clip)}", *overrides]
    if not any(override.startswith("masks=") for override in overrides):
        own.append("masks=propagate")
    named = {override.partition("=")[0] for override in overrides}
    places = [f"{name}={path}" for name, path in _USUAL.items() if name not in named]
    progress, work = Progress(), Work()
    clip = Clip([*own, *places], _say, progress.watch)
    session = Session(clip, flags.save, own, progress)
    server = Server(session, work, flags.port)
    server.start()
    _say(f"{clip.name}: {len(clip.frames)} frames of {clip.frames.width}x{clip.frames.height}")
    _say(f"open   {server.address}")
    port = server.port
    _say(f"remote ssh -N -L {port}:127.0.0.1:{port} THIS_COMPUTER, then open it there")
    _say("stop   by the page's button End, or by Ctrl-C")
    try:
        work.do(lambda: server.is_alive)
    finally:
        server.stop()
        clip.release()
    _say(f"marks  {flags.save}" if session.saved else "nothing was saved")
    return 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="dynprep pick",
        description="Open a page on which objects of a clip are marked by points and boxes; it writes the file that "
        "masks.prompts takes. Overrides are those of a run: masks=propagate (which needs no weights, the default) or "
        "masks=sam2_large shows and follows what is marked, resolution=… must be the run's.",
        usage="dynprep pick VIDEO|FRAMES [OVERRIDES] [options]",
    )
    parser.add_argument("clip", type=Path, help="a video, or a folder of image files")
    flag = parser.add_argument
    flag(
        "--save",
        metavar="FILE",
        type=Path,
        default=Path("prompts.yaml"),
        help="what is written (prompts.yaml)",
    )
    flag(
        "--port",
        type=int,
        default=0,
        help="where the page is served; 0, the default, is any free port",
    )
    return parser


def _check(flags: argparse.Namespace, overrides: Sequence[str]) -> None:
    """Raise UserError, before anything is loaded, for what cannot work."""
    for word in overrides:
        if word.startswith("-") or "=" not in word:
            raise UserError(f"pick: {word} is no option of it; see dynprep pick --help")
        if word.startswith(("data=", "data.path=")):
            raise UserError(
                f"pick: {word}: the clip is named without it, as in dynprep pick dog.mp4"
            )
    if not flags.clip.exists():
        raise UserError(f"pick: there is no {flags.clip}")
    if not 0 <= flags.port <= _HIGHEST_PORT:
        raise UserError(f"--port {flags.port}: 0 to {_HIGHEST_PORT} is meant")
    if flags.save.is_dir():
        raise UserError(f"--save {flags.save}: is a folder; name a file, such as prompts.yaml")
    if not flags.save.absolute().parent.is_dir():
        raise UserError(f"--save {flags.save}: its folder does not exist")


def _say(text: str) -> None:
    print(printable(text), flush=True)
