"""Serves the API documentation: Swagger UI from the installed files, without any other host."""

from importlib.resources import files

from fastapi import FastAPI, Response
from fastapi.responses import FileResponse, HTMLResponse

from simpul_runtime.translations import page_templates
from simpul_schema.translations import SOURCE_LANGUAGE

_POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self' 'unsafe-inline'; img-src 'self' data:; "
    "connect-src 'self'; form-action 'self'; frame-ancestors 'none'; base-uri 'none'"
)
_SWAGGER_FILES = {"swagger-ui.css": "text/css", "swagger-ui-bundle.js": "text/javascript"}


def add_api_docs(web: FastAPI) -> None:
    """Serves /docs and the files it loads."""
    start_script = (files("simpul_runtime") / "templates" / "docs.js").read_text(encoding="utf-8")

    @web.get("/docs", include_in_schema=False)
    async def docs() -> HTMLResponse:
        page = page_templates("simpul_runtime")[SOURCE_LANGUAGE].get_template("docs.html")
        return HTMLResponse(page.render(title=web.title), headers={"content-security-policy": _POLICY})

    @web.get("/docs/start.js", include_in_schema=False)
    async def start() -> Response:
        return Response(start_script, media_type="text/javascript")

    for name, media_type in _SWAGGER_FILES.items():
        _serve_swagger_file(web, name, media_type)


def _serve_swagger_file(web: FastAPI, name: str, media_type: str) -> None:
    path = str(files("fastapi_offline") / "static" / name)

    @web.get(f"/docs/{name}", include_in_schema=False)
    async def swagger_file() -> FileResponse:
        return FileResponse(path, media_type=media_type)
