"""The page's web server: on the loopback device alone, behind a random token, with no file of the machine in reach but
the clip's frames."""

import json
import secrets
import socket
import threading
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import uvicorn
from starlette.applications import Starlette
from starlette.concurrency import run_in_threadpool
from starlette.exceptions import HTTPException
from starlette.middleware import Middleware
from starlette.middleware.trustedhost import TrustedHostMiddleware
from starlette.requests import Request
from starlette.responses import FileResponse, HTMLResponse, JSONResponse, Response
from starlette.routing import Mount, Route

from dynprep.artefacts.masks import object_colour, objects_png
from dynprep.errors import UserError
from dynprep.foreign import check
from dynprep.pick.session import Session
from dynprep.pick.work import Work
from dynprep.scene.prompts import PromptShape

HOST = "127.0.0.1"
_HOSTS = [HOST, "localhost"]  # a page elsewhere whose name points here is not answered
_PAGE = Path(__file__).with_name("page.html")
_MOST_BYTES = 1 << 20  # of a request
_COLOURS = 12  # objects that the page offers colours for
_HEADERS = {
    "Cache-Control": "no-store",
    "Referrer-Policy": "no-referrer",  # which would tell the token
    "X-Content-Type-Options": "nosniff",
    "Content-Security-Policy": "default-src 'none'; img-src 'self' blob: data:; connect-src 'self'; "
    "script-src 'unsafe-inline'; style-src 'unsafe-inline'; frame-ancestors 'none'",
}


class Pages:
    """What is answered, of one session."""

    def __init__(self, session: Session, work: Work) -> None:
        self._session, self._work = session, work

    def app(self, token: str) -> Starlette:
        """The application; every address begins with the token, and any other is not found."""
        routes = [
            Route("/", self._page),
            Route("/clip.json", self._clip),
            Route("/frames/{number:int}", self._frame),
            Route("/masks/{number:int}", self._mask),
            Route("/progress.json", self._progress),
            Route("/mark", self._mark, methods=["POST"]),
            Route("/follow", self._follow, methods=["POST"]),
            Route("/save", self._save, methods=["POST"]),
            Route("/end", self._end, methods=["POST"]),
        ]
        guard = Middleware(TrustedHostMiddleware, allowed_hosts=_HOSTS, www_redirect=False)
        return Starlette(routes=[Mount(f"/{token}", routes=routes)], middleware=[guard])

    async def _page(self, request: Request) -> Response:
        return HTMLResponse(_PAGE.read_text("utf-8"), headers=_HEADERS)

    async def _clip(self, request: Request) -> Response:
        clip = self._session.clip
        return JSONResponse(
            {
                "name": clip.name,
                "frames": len(clip.frames),
                "width": clip.frames.width,
                "height": clip.frames.height,
                "backend": clip.backend,
                "file": str(self._session.file),
                "entries": self._session.saved,
                "colours": [object_colour(number) for number in range(_COLOURS + 1)],
            },
            headers=_HEADERS,
        )

    async def _frame(self, request: Request) -> Response:
        return FileResponse(self._there(request, self._session.clip.image_file), headers=_HEADERS)

    async def _mask(self, request: Request) -> Response:
        if self._session.progress.state != "done":
            raise HTTPException(404)
        ids = await run_in_threadpool(self._there, request, self._session.clip.followed)
        return _overlay(objects_png(ids, clear=0))

    def _there(self, request: Request, read: Callable[[int], Any]) -> Any:
        """What ``read`` gives of the frame that is asked for."""
        number = int(request.path_params["number"])
        if not 0 <= number < len(self._session.clip.frames):
            raise HTTPException(404)
        return read(number)

    async def _progress(self, request: Request) -> Response:
        return JSONResponse(vars(self._session.progress), headers=_HEADERS)

    async def _mark(self, request: Request) -> Response:
        entries = await _entries(request)
        future = self._work.ask(lambda: self._session.marked(entries))
        return await _answer(lambda: _overlay(objects_png(future.result(), clear=0)))

    async def _follow(self, request: Request) -> Response:
        if self._session.progress.state == "running":
            raise HTTPException(409, "the objects are being followed already")
        self._work.ask(self._session.run_following(await _entries(request)))
        return await self._progress(request)

    async def _save(self, request: Request) -> Response:
        entries = await _entries(request)
        return await _answer(
            lambda: JSONResponse({"command": self._session.save(entries)}, headers=_HEADERS)
        )

    async def _end(self, request: Request) -> Response:
        self._work.is_over = True
        return JSONResponse({}, headers=_HEADERS)


def _overlay(png: bytes) -> Response:
    return Response(png, media_type="image/png", headers=_HEADERS)


async def _entries(request: Request) -> Sequence[PromptShape]:
    """The prompts that a request brings. Raises HTTPException for anything else."""
    content = bytearray()
    async for part in request.stream():
        content += part
        if len(content) > _MOST_BYTES:
            raise HTTPException(413, "more marks than can be")
    try:
        entries: list[PromptShape] = json.loads(bytes(content))
        check(entries, list[PromptShape], "the page")
    except (ValueError, RecursionError, UserError) as error:
        raise HTTPException(400, str(error)) from None
    return entries


async def _answer(make: Callable[[], Response]) -> Response:
    """An answer that takes a while, or in one line what the user can mend."""
    try:
        return await run_in_threadpool(make)
    except (UserError, OSError) as error:
        raise HTTPException(400, str(error)) from None


class Server:
    """Answers in a thread of its own. address: of the page; port: 0 takes a free one."""

    def __init__(self, session: Session, work: Work, port: int) -> None:
        token = secrets.token_urlsafe(24)
        self._socket = socket.socket()
        try:
            self._socket.bind((HOST, port))
            self._socket.listen()  # so that nobody is refused before the thread has begun
        except OSError as error:
            self._socket.close()
            raise UserError(
                f"--port {port}: {error.strerror}; choose another, or leave it out"
            ) from None
        self.port: int = self._socket.getsockname()[1]
        self.address = f"http://{HOST}:{self.port}/{token}/"
        # an access log would show the token
        config = uvicorn.Config(
            Pages(session, work).app(token), log_level="error", access_log=False, lifespan="off"
        )
        self._server = uvicorn.Server(config)
        self._thread = threading.Thread(
            target=self._server.run, kwargs={"sockets": [self._socket]}, daemon=True
        )

    def start(self) -> None:
        """Begin to answer."""
        self._thread.start()

    def stop(self) -> None:
        """Answer what has been asked, and end."""
        self._server.should_exit = True
        self._thread.join(timeout=5)

    @property
    def is_alive(self) -> bool:
        """Whether it still answers."""
        return self._thread.is_alive()
