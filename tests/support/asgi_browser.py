"""Uses a web application in this process as a browser does: keeps cookies, sends forms, reads pages."""

import asyncio
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from html import unescape
from typing import Any
from urllib.parse import urlencode


@dataclass(frozen=True)
class Page:
    """What the application answered."""

    status: int
    headers: tuple[tuple[str, str], ...]
    text: str

    def header(self, name: str) -> str:
        """Returns the value of a header; empty if there is none."""
        return next((value for given, value in self.headers if given == name), "")

    @property
    def location(self) -> str:
        """Where the answer leads."""
        return self.header("location")

    @property
    def form_token(self) -> str:
        """The hidden field of the first form."""
        found = re.search(r'name="form_token" value="([^"]+)"', self.text)
        return found[1] if found else ""

    @property
    def shown_text(self) -> str:
        """The text that a person reads."""
        shown = re.sub(r"<(script|style|title)\b.*?</\1>", " ", self.text, flags=re.DOTALL)
        return " ".join(unescape(re.sub(r"<[^>]*>", " ", shown)).split())


@dataclass
class AsgiBrowser:
    """One browser with its cookies."""

    app: Any
    address: str = "203.0.113.7"
    language: str = "en"
    cookies: dict[str, str] = field(default_factory=dict)

    async def get(self, target: str, **headers: str) -> Page:
        """Opens a page."""
        return await self.send("GET", target, b"", **headers)

    async def post(self, target: str, fields: Mapping[str, str] | None = None, **headers: str) -> Page:
        """Sends a form as it is, without the hidden field."""
        return await self.send("POST", target, urlencode(fields or {}).encode(), **headers)

    async def submit(self, target: str, fields: Mapping[str, str] | None = None, *, on: str = "") -> Page:
        """Opens the page with the form, and sends the form with its hidden field."""
        page = await self.get(on or target)
        return await self.post(target, {"form_token": page.form_token, **(fields or {})})

    async def send(self, method: str, target: str, body: bytes = b"", **headers: str) -> Page:
        """Sends a request and keeps the cookies of the answer."""
        path, _, query = target.partition("?")
        given = {"accept": "text/html", "accept-language": self.language, "host": "desk.example"}
        if body:
            given["content-type"] = "application/x-www-form-urlencoded"
        given |= {name.replace("_", "-"): value for name, value in headers.items()}
        if self.cookies:
            given["cookie"] = "; ".join(f"{name}={value}" for name, value in self.cookies.items())
        scope = {
            "type": "http",
            "method": method,
            "path": path,
            "raw_path": path.encode(),
            "query_string": query.encode(),
            "headers": [(name.encode(), value.encode("latin-1")) for name, value in given.items()],
            "client": (self.address, 50_000),
            "server": ("desk.example", 443),
            "scheme": "https",
            "http_version": "1.1",
            "root_path": "",
            "asgi": {"version": "3.0"},
            "state": {},
        }
        sent: list[dict[str, Any]] = []

        unread = [body]

        async def receive() -> dict[str, Any]:
            if not unread:
                # The browser stays connected, for which a streamed answer waits.
                await asyncio.Event().wait()
            return {"type": "http.request", "body": unread.pop(), "more_body": False}

        async def keep(message: Any) -> None:
            sent.append(message)

        await self.app(scope, receive, keep)
        answered = tuple((name.decode(), value.decode()) for name, value in sent[0]["headers"])
        self._keep_cookies(value for name, value in answered if name == "set-cookie")
        text = b"".join(message.get("body", b"") for message in sent[1:]).decode()
        return Page(sent[0]["status"], answered, text)

    def _keep_cookies(self, lines: Any) -> None:
        for line in lines:
            name, _, rest = line.partition("=")
            value, _, attributes = rest.partition(";")
            if "max-age=0" in attributes.lower():
                self.cookies.pop(name, None)
            else:
                self.cookies[name] = value.strip('"')
