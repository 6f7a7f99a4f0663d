"""Ways to spoil a file: its bytes, its JSON, its kind."""

import json
import os
from collections.abc import Callable
from copy import deepcopy
from pathlib import Path
from random import Random
from typing import Any

Mutation = Callable[[Random, bytes], bytes]

_HEADER = 64  # bytes: where most formats keep what decides the rest
_WORDS = (b"\x00" * 8, b"\xff" * 8, b"\x7f\xff\xff\xff", b"\x80\x00\x00\x00", b"\x00\x01", b"%n%s")

# values that stand where something else is meant
HOSTILE: tuple[Any, ...] = (
    *(None, True, False, 0, -1, 1, 2**31, 2**63, -(2**63), 10**400, 1e-300, 1e300, -0.0, 0.5),
    *(
        float("nan"),
        float("inf"),
        "",
        " ",
        "x",
        "nan",
        "../../etc",
        "/etc/passwd",
        "\x00",
        "\x1b[31m",
    ),
    *("a" * 5000, "\ud800", "[/red]", "$x^$", "<!--<script>", "${oc.env:HOME}", "{0}", "%s"),
    *([], {}, [[]], [None], {"": None}, [1, 2, 3, 4], [[1, 0, 0], [0, 1, 0], [0, 0, 1]], "0" * 300),
)


def _cut(rng: Random, content: bytes) -> bytes:
    return content[: rng.randrange(len(content) + 1)]


def _zero(rng: Random, content: bytes) -> bytes:
    start = rng.randrange(len(content) or 1)
    end = min(len(content), start + rng.choice((1, 16, 512, len(content))))
    return content[:start] + b"\0" * (end - start) + content[end:]


def _flip(rng: Random, content: bytes) -> bytes:
    spoiled = bytearray(content)
    for _ in range(rng.choice((1, 1, 4, 32))):
        if spoiled:
            spoiled[rng.randrange(len(spoiled))] ^= 1 << rng.randrange(8)
    return bytes(spoiled)


def _header(rng: Random, content: bytes) -> bytes:
    spoiled = bytearray(content)
    for _ in range(rng.choice((1, 2, 8))):
        if spoiled:
            spoiled[rng.randrange(min(_HEADER, len(spoiled)))] = rng.randrange(256)
    return bytes(spoiled)


def _word(rng: Random, content: bytes) -> bytes:
    word = rng.choice(_WORDS)
    place = rng.randrange(len(content) + 1)
    return content[:place] + word + content[place + rng.choice((0, len(word))) :]


def _digits(rng: Random, content: bytes) -> bytes:
    """Another number where digits stand in a text header."""
    places = [k for k, byte in enumerate(content[:4096]) if 48 <= byte <= 57]
    if not places:
        return _flip(rng, content)
    place = rng.choice(places)
    return content[:place] + rng.choice((b"-1", b"0", b"9" * 12, b"1e9")) + content[place + 1 :]


def _twice(rng: Random, content: bytes) -> bytes:
    return content + content[rng.randrange(len(content) + 1) :]


def _noise(rng: Random, content: bytes) -> bytes:
    return rng.randbytes(rng.choice((0, 1, 8, 200, 5000)))


def _other(rng: Random, content: bytes) -> bytes:
    """A file of another kind under this name."""
    return rng.choice(
        (
            *(
                b"",
                b"%!PS-Adobe-3.0 EPSF-3.0\n",
                b"<html><body>404</body></html>",
                b"{}",
                b"[]",
                b"null",
            ),
            *(
                b"version https://git-lfs.github.com/spec/v1\n",
                b"GIF89a",
                b"PK\x03\x04",
                b"\x80\x04N.",
            ),
            *(
                b"\x93NUMPY\x01\x00",
                b"\x89PNG\r\n\x1a\n",
                b"\xff\xd8\xff\xe0",
                b"[" * 100_000,
                b"#EXTM3U\n",
            ),
        )
    )


BYTES: tuple[Mutation, ...] = (
    *(_cut, _zero, _flip, _flip, _header, _header, _word, _digits, _twice, _noise, _other),
)


def spoil_bytes(rng: Random, content: bytes) -> bytes:
    """The content of a file with something wrong."""
    return rng.choice(BYTES)(rng, content)


def spoil_json(rng: Random, value: Any) -> Any:
    """A JSON value in which one or two places hold something else, or nothing."""
    spoiled = deepcopy(value)
    for _ in range(rng.choice((1, 1, 2))):
        holder: Any = None
        name: Any = None
        at: Any = spoiled
        while isinstance(at, dict | list) and at and (holder is None or rng.random() < 0.75):
            holder, name = (
                at,
                rng.choice(list(at)) if isinstance(at, dict) else rng.randrange(len(at)),
            )
            at = at[name]
        if holder is None:
            return rng.choice(HOSTILE)
        if rng.random() < 0.2:
            del holder[name]
        elif rng.random() < 0.1 and isinstance(holder, dict):
            holder[str(rng.choice(HOSTILE))] = holder.pop(name)
        else:
            holder[name] = deepcopy(rng.choice(HOSTILE))
    return spoiled


def json_bytes(value: Any) -> bytes:
    """A value as JSON, also where JSON has no word for it."""
    return json.dumps(value).encode("utf-8", "surrogatepass")


def replace_by_kind(rng: Random, path: Path) -> str:
    """Put something that is no regular file of contents at ``path``; returns what."""
    path.unlink()
    what = rng.choice(
        ("a folder", "a pipe", "a device", "a loop", "a dangling link", "nothing", "a huge file")
    )
    if what == "a folder":
        path.mkdir()
    elif what == "a pipe":
        os.mkfifo(path)
    elif what == "a device":
        path.symlink_to("/dev/zero")
    elif what == "a loop":
        path.symlink_to(path.name)
    elif what == "a dangling link":
        path.symlink_to("nowhere")
    elif what == "a huge file":  # sparse: it takes no disk
        with path.open("wb") as file:
            file.truncate(1 << 36)
    return what
