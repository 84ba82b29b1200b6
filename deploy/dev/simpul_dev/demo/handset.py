"""A simulated handset and mailbox: speaks Kannel's HTTP interface and SMTP, shows what arrived as a web page."""

import asyncio
import html
import ssl
import time
from dataclasses import asdict, dataclass
from email import message_from_bytes
from email.policy import default as modern
from pathlib import Path
from typing import Any

import trustme
from aiohttp import web
from aiosmtpd.smtp import SMTP, AuthResult, Envelope, LoginPassword, Session

ACCOUNT = "simpul"
PASSWORD = "only-for-this-machine"  # noqa: S105 - both ends of it live in one demo on loopback

_PAGE = """<!doctype html><html lang="id"><head><meta charset="utf-8"><meta http-equiv="refresh" content="3">
<title>Handset dan kotak surat</title><style>
body {{ margin: 0 auto; max-width: 64rem; padding: 1rem; font: 1rem/1.4 sans-serif; background: #f5f7f8; }}
.columns {{ display: grid; grid-template-columns: 1fr 1fr; gap: 1rem; }}
article {{ background: #fff; border-radius: .6rem; padding: .6rem .9rem; margin: .5rem 0; white-space: pre-line; }}
small {{ color: #5a6b74; }}</style></head>
<body><h1>Yang sampai ke petugas <small>What reached the people on duty</small></h1>
<div class="columns"><section><h2>SMS ({sms_count})</h2>{sms}</section>
<section><h2>E-mail ({mail_count})</h2>{mail}</section></div></body></html>"""


@dataclass(frozen=True, slots=True)
class Arrival:
    """One message that reached somebody."""

    channel: str
    to: str
    subject: str
    text: str
    at: float


class Handset:
    """Holds what arrived, newest last; can fail on request."""

    def __init__(self) -> None:
        self.arrivals: list[Arrival] = []
        self.is_failing = False

    async def sendsms(self, request: web.Request) -> web.Response:
        """Kannel's sendsms by POST with X-Kannel headers."""
        headers = request.headers
        if (headers.get("X-Kannel-Username"), headers.get("X-Kannel-Password")) != (ACCOUNT, PASSWORD):
            return web.Response(status=403, text="Authorization failed for sendsms")
        if self.is_failing:
            return web.Response(status=503, text="Temporal failure, try again later.")
        if not headers.get("X-Kannel-To"):
            return web.Response(status=400, text="Missing receiver")
        text = (await request.read()).decode()
        self.arrivals.append(Arrival("sms", headers["X-Kannel-To"], "", text, time.time()))
        return web.Response(status=202, text="0: Accepted for delivery")

    async def handle_DATA(self, _: SMTP, __: Session, envelope: Envelope) -> str:  # noqa: N802 - aiosmtpd's name
        """A mail arrived."""
        if self.is_failing:
            return "451 try again later"
        mail = message_from_bytes(envelope.original_content or b"", policy=modern)
        body = mail.get_body(("plain",))
        text = body.get_content() if body else ""
        for to in envelope.rcpt_tos:
            self.arrivals.append(Arrival("mail", to, str(mail["Subject"]), text, time.time()))
        return "250 taken"

    async def messages(self, _: web.Request) -> web.Response:
        """Everything that arrived, as JSON."""
        return web.json_response([asdict(arrival) for arrival in self.arrivals])

    async def fail(self, request: web.Request) -> web.Response:
        """`/fail/on` and `/fail/off`: pretend to be a provider in trouble."""
        self.is_failing = request.match_info["state"] == "on"
        return web.Response(text="ok")

    async def page(self, _: web.Request) -> web.Response:
        """The page for people."""
        shown: dict[str, list[str]] = {"sms": [], "mail": []}
        for arrival in reversed(self.arrivals):
            subject = f"<strong>{html.escape(arrival.subject)}</strong>\n" if arrival.subject else ""
            moment = time.strftime("%H.%M.%S", time.localtime(arrival.at))
            shown[arrival.channel].append(
                f"<article><small>{moment} {html.escape(arrival.to)}</small>\n"
                f"{subject}{html.escape(arrival.text)}</article>"
            )
        empty = "<p>Belum ada. <small>Nothing yet.</small></p>"
        page = _PAGE.format(
            sms="".join(shown["sms"]) or empty, mail="".join(shown["mail"]) or empty,
            sms_count=len(shown["sms"]), mail_count=len(shown["mail"]),
        )  # fmt: skip
        return web.Response(text=page, content_type="text/html")


def _certificate(folder: Path, host: str) -> ssl.SSLContext:
    authority = trustme.CA()
    # Whoever waits for the file must never see half of it.
    unfinished = folder / "mail-ca.new"
    authority.cert_pem.write_to_path(unfinished)
    unfinished.rename(ca_file(folder))
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.issue_cert(host, "localhost").configure_cert(context)
    return context


def ca_file(folder: Path) -> Path:
    """The authority of the mailbox's certificate."""
    return folder / "mail-ca.pem"


def _authenticate(_: Any, __: Any, ___: Any, ____: Any, given: Any) -> AuthResult:
    right = isinstance(given, LoginPassword) and given.login == ACCOUNT.encode() and given.password == PASSWORD.encode()
    return AuthResult(success=right, handled=right)


async def serve(folder: Path, web_port: int, smtp_port: int, host: str = "127.0.0.1") -> None:
    """Serve until cancelled."""
    handset = Handset()
    tls = _certificate(folder, host)

    def session() -> SMTP:
        return SMTP(
            handset, hostname="localhost", tls_context=tls, require_starttls=True, auth_required=True,
            authenticator=_authenticate,
        )  # fmt: skip

    app = web.Application()
    app.router.add_post("/cgi-bin/sendsms", handset.sendsms)
    app.router.add_get("/messages", handset.messages)
    app.router.add_post("/fail/{state}", handset.fail)
    app.router.add_get("/", handset.page)
    runner = web.AppRunner(app, access_log=None)
    await runner.setup()
    await web.TCPSite(runner, host, web_port).start()
    server = await asyncio.get_running_loop().create_server(session, host, smtp_port)
    async with server:
        await server.serve_forever()
