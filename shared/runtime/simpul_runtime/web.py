"""The web shell of every service: health, metrics, body limit, headers, errors a person understands."""

from collections.abc import Awaitable, Callable, Iterable, Mapping, MutableMapping
from typing import Any

from fastapi import FastAPI, HTTPException, Request, Response
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse
from prometheus_client import CONTENT_TYPE_LATEST, generate_latest
from sqlalchemy.exc import DBAPIError

from simpul_runtime.api_docs import add_api_docs
from simpul_runtime.metrics import REGISTRY
from simpul_runtime.service import Service

Scope = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[MutableMapping[str, Any]]]
Send = Callable[[MutableMapping[str, Any]], Awaitable[None]]

MAX_BODY_BYTES = 256 * 1024
_POLICY = (
    b"default-src 'none'; style-src 'self' 'unsafe-inline'; form-action 'self'; frame-ancestors 'none'; base-uri 'none'"
)
_HEADERS = [
    (b"cache-control", b"no-store"),
    (b"referrer-policy", b"no-referrer"),
    (b"x-content-type-options", b"nosniff"),
    (b"x-frame-options", b"DENY"),
]


class BodyTooLarge(HTTPException):
    """The request is larger than the service reads; send less."""

    def __init__(self) -> None:
        words = f"Laporan terlalu besar; paling banyak {MAX_BODY_BYTES // 1024} KiB. / The report is too large."
        super().__init__(status_code=413, detail=words)


class Shell:
    """Limits the body while it is read and adds the security headers; plain ASGI, because it is on every request."""

    def __init__(self, app: Any) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one request."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        read = 0

        async def limited() -> MutableMapping[str, Any]:
            nonlocal read
            message = await receive()
            read += len(message.get("body", b""))
            if read > MAX_BODY_BYTES:
                raise BodyTooLarge
            return message

        async def with_headers(message: MutableMapping[str, Any]) -> None:
            if message["type"] == "http.response.start":
                message["headers"] = _with_security_headers(message.get("headers", ()))
            await send(message)

        declared = dict(scope["headers"]).get(b"content-length", b"0")
        if declared.isdigit() and int(declared) > MAX_BODY_BYTES:
            refusal = BodyTooLarge()
            await JSONResponse({"detail": refusal.detail}, refusal.status_code)(scope, receive, with_headers)
            return
        await self._app(scope, limited, with_headers)


def _with_security_headers(given: Iterable[tuple[bytes, bytes]]) -> list[tuple[bytes, bytes]]:
    headers = [*given, *_HEADERS]
    # A page that needs another policy, such as the API documentation, brings its own.
    if all(name != b"content-security-policy" for name, _ in headers):
        headers.append((b"content-security-policy", _POLICY))
    return headers


def shell_for(service: Service, *, title: str, description: str) -> FastAPI:
    """A web application with what every service answers."""
    web = FastAPI(
        title=title, description=description, version="0.1.0", lifespan=service.lifespan, docs_url=None, redoc_url=None,
        license_info={"name": "Apache-2.0", "identifier": "Apache-2.0"},
    )  # fmt: skip
    web.add_middleware(Shell)
    add_api_docs(web)

    @web.get("/health/live", tags=["operation"], summary="The process runs")
    async def live() -> dict[str, str]:
        return {"status": "live"}

    @web.get("/health/ready", tags=["operation"], summary="Database, broker, consumers and relay work")
    async def ready(response: Response) -> dict[str, Any]:
        troubles = await service.troubles()
        response.status_code = 503 if troubles else 200
        return {"status": "not ready" if troubles else "ready", "troubles": troubles}

    @web.get("/metrics", tags=["operation"], summary="Prometheus metrics")
    async def metrics() -> Response:
        return Response(generate_latest(REGISTRY), media_type=CONTENT_TYPE_LATEST)

    @web.get("/favicon.ico", include_in_schema=False)
    async def icon() -> Response:
        # Browsers ask for it by themselves, and would note a missing one as an error.
        return Response(status_code=204)

    @web.exception_handler(RequestValidationError)
    async def explain(_: Request, error: RequestValidationError) -> JSONResponse:
        # What was sent is not repeated: it may be personal, and errors end in logs and screenshots.
        problems = [
            {"field": _field(p["loc"]), "problem": f"{in_plain_words(p, 'id')} / {in_plain_words(p, 'en')}"}
            for p in error.errors()
        ]
        return JSONResponse({"detail": problems}, status_code=422)

    @web.exception_handler(DBAPIError)
    async def busy(_: Request, error: DBAPIError) -> JSONResponse:
        if getattr(error.orig, "sqlstate", "") not in _TRY_AGAIN:
            raise error
        # Nothing of it was stored: two changes waited for each other and this one gave way.
        words = "Sedang sibuk; kirim lagi. / Busy; send it again."
        return JSONResponse({"detail": words}, 503, {"Retry-After": "1"})

    return web


_TRY_AGAIN = frozenset({"40001", "40P01"})
"""A serialization failure and a deadlock, in the SQL standard's and PostgreSQL's codes."""
_PLAIN_WORDS: dict[str, tuple[str, str]] = {
    "missing": ("Wajib diisi.", "This field is required."),
    "extra_forbidden": ("Isian ini tidak dikenal; periksa namanya.", "This field is not known; check its name."),
    "enum": ("Pilih salah satu dari {expected}.", "Choose one of {expected}."),
    "uuid_parsing": ("Harus berupa UUID acak.", "Must be a random UUID."),
    "int_parsing": ("Harus berupa angka bulat.", "Must be a whole number."),
    "int_type": ("Harus berupa angka bulat.", "Must be a whole number."),
    "greater_than_equal": ("Paling kecil {ge}.", "At least {ge}."),
    "less_than_equal": ("Paling besar {le}.", "At most {le}."),
    "string_too_long": (
        "Terlalu panjang; paling banyak {max_length} huruf.",
        "Too long; at most {max_length} letters.",
    ),
    "string_too_short": ("Tidak boleh kosong.", "Must not be empty."),
    "string_type": ("Harus berupa teks.", "Must be text."),
    "too_short": ("Isi sedikitnya {min_length}.", "Give at least {min_length}."),
    "too_long": ("Terlalu banyak; paling banyak {max_length}.", "Too many; at most {max_length}."),
    "json_invalid": ("Isi permintaan bukan JSON yang benar.", "The request is not valid JSON."),
    "timezone_aware": ("Waktu harus disertai zona, misalnya +07:00.", "The time needs a zone, such as +07:00."),
    "datetime_from_date_parsing": ("Tulis waktu seperti 2026-11-24T22:15+07:00.", "Write 2026-11-24T22:15+07:00."),
}
_ANYTHING_ELSE = ("Isian ini tidak sesuai.", "This value does not fit.")


def in_plain_words(problem: Mapping[str, Any], language: str) -> str:
    """One problem of validation as a sentence; it never repeats what was sent."""
    indonesian, english = _PLAIN_WORDS.get(problem["type"], _ANYTHING_ELSE)
    return (english if language == "en" else indonesian).format(**problem.get("ctx", {}))


def _field(location: tuple[int | str, ...]) -> str:
    return ".".join(str(part) for part in location if part != "body")
