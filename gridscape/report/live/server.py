"""The server: an index of studies, their pages, and a stream of what changes in each.

One thread reads folders and makes documents; the loop of the server only sends. A viewer asks for
what changed since the version that it has, so nothing piles up for one that does not read: after
``PATIENCE_SECONDS`` it is let go, and may come again.
"""

import asyncio
import errno
import html
import json
import os
import secrets
import socket
import time
from collections.abc import AsyncIterator, Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import asynccontextmanager, suppress
from dataclasses import replace
from importlib import resources
from pathlib import Path
from string import Template
from typing import Any
from urllib.parse import quote

import uvicorn
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import HTMLResponse, JSONResponse, PlainTextResponse, Response
from starlette.routing import Route
from starlette.types import Receive, Scope, Send

from gridscape.errors import GridscapeError, UsageError
from gridscape.report.html import inline, policy
from gridscape.report.live.guard import Guard, host_names, new_token
from gridscape.report.live.study import Line, StudyView
from gridscape.store.acts import MOST_BYTES as MOST_ACT_BYTES
from gridscape.store.acts import Act, ask
from gridscape.store.store import stored_study

PORT = 8765
MOST_PORTS = 50  # that are tried where one is in use
TICK_SECONDS = 1.0  # between two looks at a folder
MOST_PAUSE_SECONDS = 5.0
BEAT_SECONDS = 15.0  # after which a silent stream says that it lives
PATIENCE_SECONDS = 30.0  # with a viewer that does not read
MOST_VIEWERS = 64
MOST_STUDIES = 500
ONE_FRAME = "; frame-ancestors 'none'"


def studies_in(directory: Path) -> list[Path]:
    """The results folders of a folder: itself, or those right in it."""
    if (directory / "study.json").is_file():
        return [directory]
    found = sorted(path.parent for path in directory.glob("*/study.json"))
    return found[:MOST_STUDIES]


def pause(seconds: float) -> float:
    """How long to wait after a look that took so long: nine times that, up to MOST_PAUSE_SECONDS.

    What takes longer, an analysis of a whole large study, is rare by itself (``Shown``).
    """
    return max(TICK_SECONDS, min(9 * seconds, MOST_PAUSE_SECONDS))


class Feed:
    """A study on show, and whoever waits for news of it. view: used in the reading thread only."""

    def __init__(self, directory: Path, control: bool = False) -> None:
        self.directory, self.view = directory, StudyView(directory, control=control)
        self.viewers = 0
        self.news = asyncio.Event()
        self.task: asyncio.Task[None] | None = None


class Live:
    """The application. directory: a results folder, or one that has some.

    alone: whether it is, or will be, a results folder itself. control: whether viewers may act.
    """

    def __init__(self, directory: Path, *, alone: bool = False, control: bool = False) -> None:
        self.directory, self.control = directory.resolve(), control
        self.alone = alone or (self.directory / "study.json").is_file()
        self.epoch = secrets.token_hex(4)  # versions of an earlier server say nothing
        self.feeds: dict[str, Feed] = {}
        self.reader = ThreadPoolExecutor(1, thread_name_prefix="gridscape-live")
        self._index: tuple[float, list[tuple[str, Line]]] = (0.0, [])
        self._list_lock = asyncio.Lock()
        self._views: dict[Path, StudyView] = {}

    def app(self) -> Starlette:
        """Routes: names of folders that were found here, never paths."""
        routes = [
            Route("/", self.index),
            Route("/events", self.index_events),
            Route("/study/{name}/", self.page),
            Route("/study/{name}/events", self.events),
        ]
        if self.control:
            routes.append(Route("/study/{name}/acts", self.act, methods=["POST"]))
        return Starlette(routes=routes, lifespan=self._lifespan)

    @asynccontextmanager
    async def _lifespan(self, app: Starlette) -> AsyncIterator[None]:
        yield
        for feed in self.feeds.values():
            if feed.task:
                feed.task.cancel()
        self.reader.shutdown(wait=False, cancel_futures=True)

    def studies(self) -> list[Path]:
        """The results folders on show."""
        return [self.directory] if self.alone else studies_in(self.directory)

    async def read(self, function: Callable[..., Any], *arguments: Any) -> Any:
        """What a function gives, called in the reading thread."""
        return await asyncio.get_running_loop().run_in_executor(self.reader, function, *arguments)

    # ---- one study ----

    async def page(self, request: Request) -> Response:
        """The page of a study."""
        feed = await self._feed(request)
        if feed is None:
            return _no_study()
        text = await self.read(_page_now, feed.view, self.epoch)
        if not text:
            words = html.escape(feed.view.live["words"])
            again = '<meta http-equiv="refresh" content="2">'  # until there is something
            return HTMLResponse(f"<!doctype html>{again}<title>Gridscape</title><p>{words}", 503)
        return HTMLResponse(text, headers={"content-security-policy": _policy_of(text)})

    async def events(self, request: Request) -> Response:
        """What changes in a study, as it does."""
        feed = await self._feed(request)
        if feed is None:
            return _no_study()
        if sum(each.viewers for each in self.feeds.values()) >= MOST_VIEWERS:
            return PlainTextResponse("Too many viewers: close some.\n", 503)
        since = request.headers.get("last-event-id") or request.query_params.get("since", "")
        return Stream(self._news(feed, since))

    async def act(self, request: Request) -> Response:
        """Ask for an act; the answer has its id, or says in one line what is wrong with it."""
        feed = await self._feed(request)
        if feed is None:
            return _no_study()
        body = b""
        async for part in request.stream():
            body += part
            if len(body) > MOST_ACT_BYTES:
                return _told(413, f"An act has at most {MOST_ACT_BYTES:,} bytes.")
        status, words = await self.read(_ask, feed.directory, body)
        return _told(status, words)

    async def _feed(self, request: Request) -> Feed | None:
        name = request.path_params["name"]
        if name not in self.feeds:
            paths = await self.read(self.studies)
            path = next((path for path in paths if path.name == name), None)
            if path is None:
                return None
            self.feeds.setdefault(name, Feed(path, self.control))
        return self.feeds[name]

    async def _news(self, feed: Feed, since: str) -> AsyncIterator[bytes]:
        """The events of one viewer, who has the version ``since`` now."""
        feed.viewers += 1
        if feed.task is None or feed.task.done():
            feed.task = asyncio.create_task(self._watch(feed))
        beat = time.monotonic()
        try:
            yield b"retry: 2000\n\n"
            while True:
                news = feed.news
                event, since = await self.read(_event, feed.view, self.epoch, since)
                if event:
                    beat = time.monotonic()
                    yield event
                    if event.startswith(b"event: reload"):
                        return
                    continue
                with suppress(TimeoutError):
                    await asyncio.wait_for(news.wait(), BEAT_SECONDS)
                if time.monotonic() - beat > BEAT_SECONDS:
                    beat = time.monotonic()
                    yield b": still here\n\n"
        finally:
            feed.viewers -= 1

    async def _watch(self, feed: Feed) -> None:
        """Look again and again while anybody does, with pauses after what took long."""
        while feed.viewers:
            begin = time.monotonic()
            if await self.read(feed.view.look):
                feed.news.set()
                feed.news = asyncio.Event()
            await asyncio.sleep(pause(time.monotonic() - begin))
        await self.read(feed.view.folder.close)

    # ---- all studies ----

    async def index(self, request: Request) -> Response:
        """All studies of the folder."""
        lines = await self._lines()
        if self.alone:
            head = {"location": f"study/{_quoted(lines[0][0])}/"}
            return Response(status_code=303, headers=head)
        body, script = await self.read(_index_page, lines)
        own = policy([script], connect=True) + ONE_FRAME
        return HTMLResponse(body, headers={"content-security-policy": own})

    async def index_events(self, request: Request) -> Response:
        """The rows of the index, whenever one is another."""
        return Stream(self._index_news())

    async def _index_news(self) -> AsyncIterator[bytes]:
        before: Any = None
        yield b"retry: 2000\n\n"
        for _ in range(86_400):  # a day; then the browser asks again
            lines = await self._lines()
            if lines != before:
                before = lines
                rows = [{"name": name, "row": line._asdict()} for name, line in lines]
                yield _message("studies", rows, "")
            else:
                yield b": still here\n\n"
            await asyncio.sleep(2 * TICK_SECONDS)

    async def _lines(self) -> list[tuple[str, Line]]:
        """The list of studies, read at most every second, whoever asks."""
        async with self._list_lock:
            at, lines = self._index
            if time.monotonic() - at > TICK_SECONDS or not lines:
                lines = await self.read(self._read_lines)
                self._index = time.monotonic(), lines
            return lines

    def _read_lines(self) -> list[tuple[str, Line]]:
        lines = []
        for path in self.studies():
            feed = self.feeds.get(path.name)
            view = feed.view if feed else self._views.setdefault(path, StudyView(path))
            view.look(analyze=False)
            lines.append((path.name, view.line()))
            if not feed:
                view.folder.close()
        return lines


class Stream(Response):
    """Server-sent events; a viewer that takes none for PATIENCE_SECONDS is let go."""

    def __init__(self, events: AsyncIterator[bytes]) -> None:
        super().__init__()
        self._events = events

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Send events until the viewer leaves."""
        headers = [(b"content-type", b"text/event-stream"), (b"x-accel-buffering", b"no")]
        gone = asyncio.create_task(_left(receive))
        sending = asyncio.create_task(self._send(send, headers))
        try:
            await asyncio.wait({gone, sending}, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for task in (gone, sending):
                task.cancel()
            await asyncio.gather(gone, sending, return_exceptions=True)
            await self._events.aclose()  # type: ignore[attr-defined]

    async def _send(self, send: Send, headers: Sequence[tuple[bytes, bytes]]) -> None:
        await send({"type": "http.response.start", "status": 200, "headers": list(headers)})
        async for event in self._events:
            body = {"type": "http.response.body", "body": event, "more_body": True}
            await asyncio.wait_for(send(body), PATIENCE_SECONDS)
        await send({"type": "http.response.body", "body": b"", "more_body": False})


async def _left(receive: Receive) -> None:
    while (await receive())["type"] != "http.disconnect":
        pass


def _told(status: int, words: str) -> Response:
    return JSONResponse({"words": words}, status)


def _no_study() -> Response:
    return PlainTextResponse("There is no study of this name here.\n", 404)


# ---- in the reading thread ----


def _ask(directory: Path, body: bytes) -> tuple[int, str]:
    """The status of an answer and its words: what was asked for, or what is wrong with it."""
    try:
        content = json.loads(body)
        act = replace(Act.of(content), by="page")
        act.check_in(stored_study(directory))
        ask(directory, act)
    except GridscapeError as error:
        return 400, str(error)
    except (ValueError, RecursionError):
        return 400, "This is no JSON."
    return 200, str(act)


def _page_now(view: StudyView, epoch: str) -> bytes:
    view.look()
    view.live["since"] = f"{epoch}.{view.shape}.{view.version}"
    return view.page()


def _event(view: StudyView, epoch: str, since: str) -> tuple[bytes, str]:
    """What a viewer lacks, b"" where nothing, and the version that it has then."""
    own, _, rest = since.partition(".")
    shape, _, rest = rest.partition(".")
    version, _, told = rest.partition(".")
    if not view.shown.doc:
        return b"", since
    if own != epoch or shape != str(view.shape) or not version.isdecimal():
        return b"event: reload\ndata: {}\n\n", since
    live = view.live
    live["since"] = f"{epoch}.{view.shape}.{view.version}"
    stamp = str(hash(json.dumps(live, sort_keys=True)) & 0xFFFFFFFF)
    if int(version) == view.version and told == stamp:
        return b"", since
    now = f"{live['since']}.{stamp}"
    return _message("change", view.change(int(version)), now), now


def _message(name: str, content: Any, identity: str) -> bytes:
    """One event; its data is one line."""
    data = json.dumps(content, ensure_ascii=True, allow_nan=False, separators=(",", ":"))
    begin = f"id: {identity}\n" if identity else ""
    return f"{begin}event: {name}\ndata: {data}\n\n".encode()


def _policy_of(text: bytes) -> str:
    """The policy that a page states itself, which a header says as well."""
    begin = text.index(b'content="') + len(b'content="')
    return text[begin : text.index(b'"', begin)].decode() + ONE_FRAME


def _index_page(lines: Sequence[tuple[str, Line]]) -> tuple[str, str]:
    """The list of studies and its script."""
    script = inline(_part("index.js"))
    rows = "".join(_row(name, line) for name, line in lines)
    body = Template(_part("index.html")).substitute(
        policy=policy([script], connect=True),
        style=_part("index.css"),
        script=script,
        rows=rows,
    )
    return body, script


def _row(name: str, line: Line) -> str:
    cells = [line.state, line.words, line.best]
    link = f'<a href="study/{html.escape(_quoted(name))}/">{html.escape(line.title)}</a>'
    bar = f'<progress max="1" value="{line.share:.4f}"></progress>'
    told = "".join(f"<td>{html.escape(cell)}</td>" for cell in cells)
    return (
        f"<tr><th scope=row>{link} <small>{html.escape(name)}</small></th><td>{bar}</td>{told}</tr>"
    )


def _quoted(name: str) -> str:
    return quote(name, safe="")


def _part(name: str) -> str:
    return (resources.files("gridscape") / "report" / "live" / "page" / name).read_text(
        encoding="utf-8"
    )


# ---- serving ----


def serve(
    directory: str | Path,
    *,
    host: str = "127.0.0.1",
    port: int | None = None,
    told: Callable[[str], None] = print,
    parent: int | None = None,
    control: bool = False,
) -> None:
    """Serve the studies of a folder until Ctrl-C; ``told`` is given the address, with its token.

    port: else the first free one from 8765 on. parent: a process with which the server ends once
    nobody looks on. control: whether who has the address may act on runs. Raises UsageError for a
    port in use, or for a folder without studies.
    """
    directory = Path(directory)
    if parent is None and not studies_in(directory):
        hint = "run a study first: gridscape run, or name its folder"
        raise UsageError("holds no results", where=directory, hint=hint)
    token, live = new_token(), Live(directory, alone=parent is not None, control=control)
    listening = listen(host, port)
    own = Guard(live.app(), token, host_names(host), control=control)
    config = uvicorn.Config(
        own,
        log_level="critical",
        access_log=False,
        proxy_headers=False,
        server_header=False,
        date_header=False,
        ws="none",
        timeout_graceful_shutdown=1,
        limit_concurrency=4 * MOST_VIEWERS,
        h11_max_incomplete_event_size=16_384,
    )
    shown = "127.0.0.1" if host in ("0.0.0.0", "::") else host
    name = f"[{shown}]" if ":" in shown else shown
    told(f"http://{name}:{listening.getsockname()[1]}/{token}/")
    server = uvicorn.Server(config)
    with listening:
        asyncio.run(_until(server, live, listening, parent))


async def _until(
    server: uvicorn.Server, live: Live, listening: socket.socket, parent: int | None
) -> None:
    """Serve; here, and not in a task of its own, uvicorn raises the signals again that ended it."""
    watching = asyncio.create_task(_watch(server, live, parent))
    try:
        await server.serve(sockets=[listening])
    finally:
        watching.cancel()


async def _watch(server: uvicorn.Server, live: Live, parent: int | None) -> None:
    """End the server when its parent has, and nobody looks on any more."""
    while parent is not None:
        await asyncio.sleep(1.0)
        if os.getppid() != parent and not any(feed.viewers for feed in live.feeds.values()):
            server.should_exit = True


def listen(host: str, port: int | None) -> socket.socket:
    """A socket at a port, by default the first free one; raises GridscapeError."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    first = PORT if port is None else port
    last = None
    for number in range(first, min(first + MOST_PORTS, 65_536)):
        found = socket.socket(family, socket.SOCK_STREAM)
        try:
            found.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            found.bind((host, number))
            found.listen(128)
        except OSError as error:
            found.close()
            last = error
            if port is not None and number == port and not _is_taken(error):
                break
            continue
        if port is not None and number != port:
            found.close()
            hint = f"--port {number} is free"
            raise UsageError("the port is in use", where=f"--port {port}", hint=hint)
        return found
    reason = getattr(last, "strerror", None) or str(last)
    raise GridscapeError("cannot listen", where=f"{host}:{first}", found=reason) from last


def _is_taken(error: OSError) -> bool:
    return error.errno == errno.EADDRINUSE
