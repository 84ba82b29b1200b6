"""The style sheet, scripts and pictures of the pages, under addresses that change with their content."""

from collections.abc import Iterator
from dataclasses import dataclass, field
from functools import cache
from gzip import compress
from hashlib import sha256
from importlib.resources import files
from importlib.resources.abc import Traversable
from typing import Final

from fastapi import FastAPI, Request, Response
from starlette.exceptions import HTTPException

from simpul_runtime.service import Service

BUILT: Final = ("desk.css", "govuk-frontend.min.js", "htmx.min.js", "htmx-sse.min.js")
"""Files that `make assets` builds from npm packages; the repository does not hold them."""
_TYPES: Final = {".css": "text/css", ".js": "text/javascript", ".svg": "image/svg+xml"}
_MISSING: Final = "the style sheet is missing, pages are plain: run `make assets`"


@dataclass(frozen=True, slots=True)
class Asset:
    """One file, and its compressed form."""

    content: bytes = field(repr=False)
    compressed: bytes = field(repr=False)
    media_type: str

    @classmethod
    def read(cls, path: Traversable) -> "Asset":
        """Reads a file."""
        content = path.read_bytes()
        # Without the time of the compression the bytes are the same in every process.
        packed = compress(content, 9, mtime=0)
        ending = path.name[path.name.rindex(".") :]
        return cls(content, packed, f"{_TYPES[ending]}; charset=utf-8")


@cache
def read_assets() -> dict[str, Asset]:
    """Reads every file by its name; those that were not built are absent."""
    return {path.name: Asset.read(path) for path in _find_files()}


@cache
def digest_assets() -> str:
    """Returns a digest of all files; one for all, because scripts import one another by name."""
    assets = read_assets()
    return sha256(b"".join(assets[name].content for name in sorted(assets))).hexdigest()[:16]


def asset_url(name: str) -> str:
    """Returns the address of a file."""
    return f"/static/{digest_assets()}/{name}"


def add_assets(web: FastAPI, service: Service) -> None:
    """Adds the route of the files, and a warning if they were not built."""
    service.add_warnings(lambda: [] if read_assets().keys() >= set(BUILT) else [_MISSING])

    @web.get("/static/{digest}/{name}", include_in_schema=False)
    async def asset(digest: str, name: str, request: Request) -> Response:
        found = read_assets().get(name)
        if found is None or digest != digest_assets():
            raise HTTPException(404)
        headers = {"cache-control": "public, max-age=31536000, immutable", "vary": "accept-encoding"}
        if "gzip" in request.headers.get("accept-encoding", ""):
            return Response(
                found.compressed, headers=headers | {"content-encoding": "gzip"}, media_type=found.media_type
            )
        return Response(found.content, headers=headers, media_type=found.media_type)


def _find_files() -> Iterator[Traversable]:
    folder = files("simpul_desk") / "static"
    for place in (folder, folder / "built"):
        if place.is_dir():
            yield from (path for path in place.iterdir() if path.is_file() and path.name.endswith(tuple(_TYPES)))
