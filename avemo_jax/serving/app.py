"""The web application: the page, recordings that are handed in, their formats, and live sound and pictures."""

from __future__ import annotations

import contextlib
import dataclasses
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any
from urllib.parse import unquote

from starlette.applications import Starlette
from starlette.concurrency import run_in_threadpool
from starlette.requests import ClientDisconnect, Request
from starlette.responses import FileResponse, HTMLResponse, JSONResponse, Response
from starlette.routing import Route, WebSocketRoute

from avemo_jax.identity import SOUND_SUFFIXES
from avemo_jax.inference.timeline import clock
from avemo_jax.reporting import pages
from avemo_jax.serving.gate import Gate
from avemo_jax.serving.jobs import Busy, Job, Jobs, State, download_name
from avemo_jax.serving.live import LiveStreams
from avemo_jax.serving.system import System
from avemo_jax.timelines import FORMATS, WHOLE_CALL, check_formats
from avemo_jax.timelines.colours import style_of
from avemo_jax.timelines.media import CannotShow, Media

_FOLDER = Path(__file__).parent
TITLES: Mapping[str, str] = {
    "html": "page",
    "json": "JSON",
    "csv": "CSV",
    "eaf": "ELAN",
    "textgrid": "Praat TextGrid",
    "vtt": "WebVTT",
    "srt": "SRT",
    "audformat": "audformat",
    "parquet": "Parquet",
    "png": "plot, PNG",
    "svg": "plot, SVG",
    "overlay": "film with overlay",
}


@dataclasses.dataclass(frozen=True)
class Description:
    """What the page says of the system.

    Attributes:
      name: of the system.
      card: the model card, Markdown.
      limits: limits of use, Markdown.
    """

    name: str
    card: str
    limits: str


def make_app(
    system: System,
    description: Description,
    media: Callable[[], AbstractContextManager[Media]],
    *,
    host: str,
    upload_mb: float,
    keep_s: float,
) -> Gate:
    """Return the application.

    Args:
      system: predicts.
      description: of the system.
      media: makes what reads recordings again, for formats that show them.
      host: name or address that the server listens at, see `Gate`.
      upload_mb: largest recording in MB.
      keep_s: time after the last request for a recording until it is deleted.
    """
    jobs = Jobs(system, media, keep_s=keep_s)
    routes = _Routes(system, description, jobs, round(upload_mb * 1e6))

    @contextlib.asynccontextmanager
    async def lifespan(app: Starlette) -> AsyncIterator[None]:
        with jobs:
            yield

    number = "/recordings/{number}"
    app = Starlette(
        routes=[
            Route("/", routes.page),
            Route("/recorder.js", routes.recorder),
            Route("/recordings", routes.receive, methods=["POST"]),
            Route(number, routes.state),
            Route(f"{number}/remove", routes.remove, methods=["POST"]),
            Route(f"{number}/formats/{{format}}", routes.format),
            Route(f"{number}/{{file}}", routes.file),
            WebSocketRoute("/live", LiveStreams(system, jobs).serve),
        ],
        exception_handlers={404: _not_found, Exception: _failed},
        lifespan=lifespan,
    )
    return Gate(app, host=host)


async def _not_found(request: Request, error: Exception) -> Response:
    return _refused(404, "There is nothing at this address.")


async def _failed(request: Request, error: Exception) -> Response:
    return _refused(500, "The server failed at this; its terminal shows why.")


def _refused(status: int, sentence: str) -> JSONResponse:
    return JSONResponse({"reason": sentence}, status)


class _Routes:
    def __init__(self, system: System, description: Description, jobs: Jobs, most_bytes: int):
        self._system, self._jobs, self._most_bytes = system, jobs, most_bytes
        self._formats = [name for name in (*FORMATS, *WHOLE_CALL) if _is_installed(name)]
        self._template = {
            "description": description,
            "card": markdown(description.card),
            "limits": markdown(description.limits, has_title=False),
            "classes": [{"name": name, "style": style_of(index)} for index, name in enumerate(system.classes)],
            "system": system,
            "most_mb": most_bytes / 1e6,
            "settings": {
                "most_bytes": most_bytes,
                "window_s": system.window_s,
                "hop_s": system.hop_s,
                "media": sorted(system.media),
                "classes": list(system.classes),
                "formats": [(name, title) for name, title in TITLES.items() if name in self._formats],
            },
            **pages.inline_script(_FOLDER / "serve.js"),
        }
        self._page = pages.render_page("serve.html.j2", _FOLDER, _FOLDER.parent / "timelines", **self._template)

    async def page(self, request: Request) -> Response:
        host, script = request.headers["host"], self._template["script_hash"]
        policy = (
            f"default-src 'none'; script-src 'self' 'sha256-{script}'; style-src 'unsafe-inline'; img-src data: blob:; media-src blob:; "
            f"frame-src 'self'; connect-src 'self' ws://{host} wss://{host}; "
            "base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
        )
        return HTMLResponse(self._page, headers={"Content-Security-Policy": policy})

    async def recorder(self, request: Request) -> Response:
        return FileResponse(_FOLDER / "recorder.js", media_type="text/javascript")

    async def receive(self, request: Request) -> Response:
        """Take a recording as the body of the request; its name is in the header X-File-Name, percent-encoded."""
        limit = f"The recording has more than {self._most_bytes / 1e6:,.0f} MB; the server takes more with --upload_mb."
        declared = request.headers.get("content-length", "")
        if declared.isdigit() and int(declared) > self._most_bytes:
            return _refused(413, limit)
        try:
            job = self._jobs.new(unquote(request.headers.get("x-file-name", "")))
        except Busy as error:
            return _refused(503, f"{error}".capitalize() + ".")
        is_whole = False
        try:
            num_bytes = await _write_body(request, job.path, self._most_bytes)
            is_whole = 0 < num_bytes <= self._most_bytes
        except ClientDisconnect:
            return _refused(400, "The recording did not come to its end.")
        except OSError as error:
            return _refused(507, f"The server cannot keep the recording: {error.strerror or 'the disk fails'}.")
        finally:
            if not is_whole:
                self._jobs.remove(job)
        if not is_whole:
            return _refused(413, limit) if num_bytes else _refused(400, "The recording is empty.")
        self._jobs.submit(job)
        return JSONResponse({"number": job.number, "name": job.name})

    async def state(self, request: Request) -> Response:
        if (job := self._job(request)) is None:
            return _gone()
        found: dict[str, Any] = {"name": job.name, "state": job.state, "reason": job.reason, "reached": clock(job.reached_s)}
        if job.state == State.WAITING:
            found["num_before"] = self._jobs.num_before(job)
        if job.state == State.DONE and job.result is not None:
            result = job.result
            found |= {"predicted": result.predicted, "nothing": result.nothing, "duration": clock(result.segments[-1].end_s)}
            may_show = job.path.is_file() and job.path.suffix not in SOUND_SUFFIXES
            found["formats"] = [name for name in self._formats if name != "overlay" or may_show]
            found["probability"] = result.probabilities.get(result.predicted or "")
        return JSONResponse(found)

    async def remove(self, request: Request) -> Response:
        if (job := self._job(request)) is not None:
            await run_in_threadpool(self._jobs.remove, job)
        return Response(status_code=204)

    async def format(self, request: Request) -> Response:
        """Answer with a format of a recording: the page to be shown, all others to be saved."""
        job, name = self._job(request), request.path_params["format"]
        if job is None or job.result is None or job.state != State.DONE:
            return _gone()
        if name not in self._formats:
            return _refused(404, f"There is no format {name!r}; expected one of {', '.join(self._formats)}.")
        return await self._answer(job, name, is_saved=True)

    async def file(self, request: Request) -> Response:
        """Answer with the page of a recording, or with a file that the page plays."""
        job, name = self._job(request), request.path_params["file"]
        if job is None or job.result is None or job.state != State.DONE:
            return _gone()
        if name == "page":
            return await self._answer(job, "html", is_saved=False)
        path = self._jobs.file_in(job, name)
        return _refused(404, "There is nothing at this address.") if path is None else FileResponse(path)

    async def _answer(self, job: Job, format: str, *, is_saved: bool) -> Response:
        try:
            path = await run_in_threadpool(self._jobs.made, job, format)
        except CannotShow as error:
            return _refused(409, f"This format cannot show the recording: {error}.".replace(job.path.name, job.name))
        except FileNotFoundError:
            return _gone()
        return FileResponse(path, filename=download_name(job, format) if is_saved else None)

    def _job(self, request: Request) -> Job | None:
        return self._jobs.find(request.path_params["number"])


def _gone() -> JSONResponse:
    return _refused(404, "The recording is not here, or no longer; hand it in again.")


async def _write_body(request: Request, path: Path, most_bytes: int) -> int:
    """Write the body of a request to a file, as far as it is not longer than may be; return its length so far."""
    num_bytes = 0
    with path.open("wb") as stream:
        async for chunk in request.stream():
            num_bytes += len(chunk)
            if num_bytes > most_bytes:
                return num_bytes
            await run_in_threadpool(stream.write, chunk)
    return num_bytes


def _is_installed(format: str) -> bool:
    try:
        check_formats([format])
    except RuntimeError:
        return False
    return True


def markdown(text: str, *, has_title: bool = True) -> Any:
    """Return Markdown as HTML for a section of a page: raw HTML is shown as text, and links lose their address.

    Args:
      has_title: keep the title of the page.
    """
    from markdown_it import MarkdownIt  # late: only this page shows Markdown
    from markupsafe import Markup

    parser = MarkdownIt("commonmark", {"html": False}).enable("table")
    tokens = parser.parse(text)
    if not has_title and tokens and tokens[0].tag == "h1":
        tokens = tokens[3:]  # its begin, its text, its end
    for token in tokens:
        if token.tag in ("h1", "h2", "h3"):
            token.tag = f"h{int(token.tag[1]) + 2}"
        if token.children:
            token.children = [one for one in token.children if one.tag not in ("a", "img")]
        if token.type == "table_open":  # it scrolls on narrow screens, for which a keyboard must reach it
            token.attrs |= {"tabindex": "0"}
    return Markup(parser.renderer.render(tokens, parser.options, {}))
