"""A simulated office: a proxy that decrypts every TLS connection under its own authority, and a package index."""

import hashlib
import io
import ssl
import stat
import threading
import zipfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import ClassVar

import trustme

INDEX_HOST = "index.example"
INDEX = f"https://{INDEX_HOST}/simple"


def wheel(name: str, script: str = "") -> bytes:
    """A package of one empty module, and of a program of its name when there is a script."""
    info, files = f"{name}-1.0.dist-info", {f"{name}.py": ""}
    files[f"{info}/METADATA"] = f"Metadata-Version: 2.1\nName: {name}\nVersion: 1.0\n"
    files[f"{info}/WHEEL"] = "Wheel-Version: 1.0\nGenerator: test\nRoot-Is-Purelib: true\nTag: py3-none-any\n"
    if script:
        files[f"{name}-1.0.data/scripts/{name}"] = script
    files[f"{info}/RECORD"] = "".join(f"{path},,\n" for path in [*files, f"{info}/RECORD"])
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w") as archive:
        for path, content in files.items():
            entry = zipfile.ZipInfo(path)
            entry.external_attr = (stat.S_IFREG | 0o755) << 16
            archive.writestr(entry, content)
    return packed.getvalue()


@dataclass(frozen=True)
class Office:
    """Address of the proxy, packages of the index, and the authority that nobody else trusts."""

    proxy: str
    authority: bytes
    wheels: dict[str, bytes]

    def locked(self, name: str) -> str:
        """Returns the package as a line of requirements.lock."""
        return f"{name}==1.0 --hash=sha256:{hashlib.sha256(self.wheels[name]).hexdigest()}\n"


@contextmanager
def an_office(folder: Path, wheels: dict[str, bytes]) -> Iterator[Office]:
    """Runs an office with these packages during the block."""
    authority = trustme.CA(organization_name="Kantor Contoh")
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.issue_cert(INDEX_HOST).configure_cert(context)
    handler = type("_Handler", (_Proxy,), {"context": context, "wheels": wheels})
    server = ThreadingHTTPServer(("127.0.0.1", 0), handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    try:
        yield Office(f"http://127.0.0.1:{server.server_port}", authority.cert_pem.bytes(), wheels)
    finally:
        server.shutdown()
        server.server_close()


class _Proxy(BaseHTTPRequestHandler):
    context: ClassVar[ssl.SSLContext]
    wheels: ClassVar[dict[str, bytes]]
    protocol_version = "HTTP/1.1"
    timeout = 20

    def do_CONNECT(self) -> None:
        self.send_response(200)
        self.end_headers()
        try:
            inside = self.context.wrap_socket(self.connection, server_side=True)
        except OSError:
            # The client rejects the unknown authority.
            self.close_connection = True
            return
        self.connection, self.rfile, self.wfile = inside, inside.makefile("rb"), inside.makefile("wb", 0)  # type: ignore[assignment]  # unbuffered, so it is raw
        self.close_connection = False

    def do_HEAD(self) -> None:
        self.do_GET()

    def do_GET(self) -> None:
        name = self.path.rstrip("/").rpartition("/")[2].partition("-1.0")[0]
        content = self.wheels.get(name)
        if content is None:
            self.send_error(404)
        elif self.path.endswith(".whl"):
            self._answer("application/octet-stream", content)
        else:
            link = f'<!doctype html><title>x</title><a href="/files/{name}-1.0-py3-none-any.whl">{name}</a>'
            self._answer("text/html", link.encode())

    def _answer(self, kind: str, content: bytes) -> None:
        self.send_response(200)
        self.send_header("Content-Type", kind)
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(content)

    def finish(self) -> None:
        with suppress(OSError):
            super().finish()
        self.connection.close()

    def log_message(self, *_: object) -> None:
        """Suppresses the log of requests."""
