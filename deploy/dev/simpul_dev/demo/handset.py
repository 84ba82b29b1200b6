"""A simulated handset and mailbox: receives SMS by Kannel's HTTP interface and mail by SMTP, and shows them."""

import asyncio
import html
import re
import ssl
import time
from contextlib import suppress
from dataclasses import asdict, dataclass, field
from datetime import datetime
from email import message_from_bytes
from email.policy import default as modern
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import aiohttp
import trustme
from aiohttp import web
from aiosmtpd.smtp import SMTP, AuthResult, Envelope, LoginPassword, Session
from yarl import URL

FIRST_MINUTES = "first-minutes.html"
"""The page of the demo about its first minutes, in the folder of the handset."""
ACCOUNT = "simpul"
PASSWORD = "only-for-this-machine"  # noqa: S105 - client and server run in one demo on loopback

REPLY_TOKEN = "only-for-this-phone"  # noqa: S105 - also of a demo on loopback
ANSWERS = ("TERIMA", "BANTU", "ALIH")
"""What people may reply."""
ZONE = ZoneInfo("Asia/Jakarta")
"""Of the demo's city."""
_LINK = re.compile(r"https?://[^\s<]+")

_PAGE = """<!doctype html><html lang="en"><head><meta charset="utf-8"><meta http-equiv="refresh" content="3">
<meta name="viewport" content="width=device-width, initial-scale=1"><title>Handset and mailbox</title><style>
body {{ margin: 0 auto; max-width: 64rem; padding: 1rem; font: 1rem/1.4 sans-serif; background: #f5f7f8; }}
.columns {{ display: grid; grid-template-columns: repeat(auto-fit, minmax(min(100%, 20rem), 1fr)); gap: 1rem; }}
article {{ background: #fff; border-radius: .6rem; padding: .6rem .9rem; margin: .5rem 0; overflow-wrap: anywhere; }}
article p {{ white-space: pre-line; margin: .2rem 0; }}
button {{ font: inherit; padding: .4rem .7rem; }}
small {{ color: #5a6b74; }}</style></head>
<body><h1>What reached the people on duty</h1>
<p>Yang sampai kepada petugas. Press one of the buttons to reply to an SMS.</p>
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
    report_url: str = field(default="", repr=False)
    """Where the gateway reports what came of an SMS, with `%d` for the state."""


class Handset:
    """Stores the messages that arrived, newest last; fails on request.

    The spool has every request as a gateway's disk would: with its headers, and whether it was taken or not.
    """

    def __init__(self, spool: Path, *, is_reporting: bool = False) -> None:
        """With `is_reporting`, the gateway reports at once that each SMS has arrived."""
        self.arrivals: list[Arrival] = []
        self.is_failing = False
        self._spool = spool
        self._is_reporting = is_reporting
        self._reports: set[asyncio.Task[None]] = set()

    def _write_to_spool(self, *parts: bytes) -> None:
        with self._spool.open("ab") as file:
            file.write(b"\n".join((*parts, b"")))

    async def sendsms(self, request: web.Request) -> web.Response:
        """Receives an SMS as Kannel's sendsms does: by POST with X-Kannel headers."""
        headers = request.headers
        head = [f"{name}: {value}".encode() for name, value in headers.items() if name != "X-Kannel-Password"]
        self._write_to_spool(request.path_qs.encode(), *head, await request.read())
        if (headers.get("X-Kannel-Username"), headers.get("X-Kannel-Password")) != (ACCOUNT, PASSWORD):
            return web.Response(status=403, text="Authorization failed for sendsms")
        if self.is_failing:
            return web.Response(status=503, text="Temporal failure, try again later.")
        if not headers.get("X-Kannel-To"):
            return web.Response(status=400, text="Missing receiver")
        text = (await request.read()).decode()
        report_url = headers.get("X-Kannel-DLR-Url", "")
        self.arrivals.append(Arrival("sms", headers["X-Kannel-To"], "", text, time.time(), report_url))
        if self._is_reporting and report_url:
            report = asyncio.create_task(_report_arrival(report_url))
            self._reports.add(report)
            report.add_done_callback(self._reports.discard)
        return web.Response(status=202, text="0: Accepted for delivery")

    async def handle_DATA(self, _: SMTP, __: Session, envelope: Envelope) -> str:  # noqa: N802 - aiosmtpd's name
        """Receives a mail."""
        self._write_to_spool(*map(str.encode, envelope.rcpt_tos), envelope.original_content or b"")
        if self.is_failing:
            return "451 try again later"
        mail = message_from_bytes(envelope.original_content or b"", policy=modern)
        body = mail.get_body(("plain",))
        text = body.get_content() if body else ""
        for to in envelope.rcpt_tos:
            self.arrivals.append(Arrival("mail", to, str(mail["Subject"]), text, time.time()))
        return "250 taken"

    async def messages(self, _: web.Request) -> web.Response:
        """Returns everything that arrived as JSON."""
        return web.json_response([asdict(arrival) for arrival in self.arrivals])

    async def fail(self, request: web.Request) -> web.Response:
        """Starts and stops simulating a failing provider: `/fail/on` and `/fail/off`."""
        self.is_failing = request.match_info["state"] == "on"
        return web.Response(text="ok")

    async def page(self, _: web.Request) -> web.Response:
        """Renders the page for people."""
        shown: dict[str, list[str]] = {"sms": [], "mail": []}
        for number, arrival in reversed(list(enumerate(self.arrivals))):
            shown[arrival.channel].append(_render(number, arrival))
        empty = "<p>Nothing yet.</p>"
        page = _PAGE.format(
            sms="".join(shown["sms"]) or empty,
            mail="".join(shown["mail"]) or empty,
            sms_count=len(shown["sms"]),
            mail_count=len(shown["mail"]),
        )
        return web.Response(text=page, content_type="text/html")

    async def reply(self, request: web.Request) -> web.Response:
        """Replies to an SMS as Kannel delivers a reply, then shows the page again."""
        given = await request.post()
        number, word = str(given.get("number", "")), str(given.get("word", ""))
        if not number.isdigit() or int(number) >= len(self.arrivals) or word not in ANSWERS:
            raise web.HTTPNotFound
        arrival = self.arrivals[int(number)]
        if not arrival.report_url:
            raise web.HTTPConflict(text="The gateway of this SMS takes no replies.")
        url = URL(arrival.report_url).with_path(f"/gateway/replies/{REPLY_TOKEN}/kannel").with_query(None)
        headers = {"X-Kannel-From": arrival.to, "Content-Type": "text/plain; charset=utf-8"}
        async with (
            aiohttp.ClientSession() as session,
            session.post(url, data=word.encode(), headers=headers) as answer,
        ):
            if answer.status >= 400:
                raise web.HTTPBadGateway(text=f"Notify did not take the reply: {answer.status}.")
        return web.Response(status=303, headers={"Location": "/"})


def _render(number: int, arrival: Arrival) -> str:
    moment = datetime.fromtimestamp(arrival.at, ZONE).strftime("%H.%M.%S %Z")
    subject = f"<strong>{html.escape(arrival.subject)}</strong>" if arrival.subject else ""
    text = _LINK.sub(lambda link: f'<a href="{link[0]}">{link[0]}</a>', html.escape(arrival.text))
    answers = "".join(f'<button name="word" value="{word}">{word}</button> ' for word in ANSWERS)
    form = (
        f'<form method="post" action="/reply"><input type="hidden" name="number" value="{number}">{answers}</form>'
        if arrival.report_url
        else ""
    )
    return f"<article><small>{moment} {html.escape(arrival.to)}</small><p>{subject}</p><p>{text}</p>{form}</article>"


async def _report_arrival(report_url: str) -> None:
    """Reports as Kannel does: in the network, then on the handset; a report that nobody takes is lost."""
    with suppress(aiohttp.ClientError):
        async with aiohttp.ClientSession() as session:
            for state in ("8", "1"):
                async with session.get(report_url.replace("%d", state)) as answer:
                    await answer.read()


def _certificate(folder: Path, host: str) -> ssl.SSLContext:
    authority = _authority(folder)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.issue_cert(host, "localhost").configure_cert(context)
    return context


def _authority(folder: Path) -> trustme.CA:
    """Creates the mailbox's authority, which stays the same after a restart."""
    key = folder / "mail-ca.key"
    if ca_file(folder).exists() and key.exists():
        return trustme.CA.from_pem(ca_file(folder).read_bytes(), key.read_bytes())
    authority = trustme.CA()
    authority.private_key_pem.write_to_path(key)
    # The rename makes the complete file appear at once to a process that waits for it.
    unfinished = folder / "mail-ca.new"
    authority.cert_pem.write_to_path(unfinished)
    unfinished.rename(ca_file(folder))
    return authority


def ca_file(folder: Path) -> Path:
    """Returns the file with the authority of the mailbox's certificate."""
    return folder / "mail-ca.pem"


def spool_file(folder: Path) -> Path:
    """Returns the file with every SMS and mail as it came in."""
    return folder / "gateway-spool"


def _authenticate(_: Any, __: Any, ___: Any, ____: Any, given: Any) -> AuthResult:
    right = isinstance(given, LoginPassword) and given.login == ACCOUNT.encode() and given.password == PASSWORD.encode()
    return AuthResult(success=right, handled=right)


async def _first_minutes(folder: Path) -> web.StreamResponse:
    """Serves the page that the demo wrote; only a demo has one."""
    page = folder / FIRST_MINUTES
    if not page.exists():
        raise web.HTTPNotFound
    return web.FileResponse(page)


async def serve(folder: Path, web_port: int, smtp_port: int, host: str, name: str) -> None:
    """Serves until cancelled; the mail server's certificate has the given name."""
    handset = Handset(spool_file(folder), is_reporting=True)
    tls = _certificate(folder, name)

    def session() -> SMTP:
        return SMTP(
            handset,
            hostname="localhost",
            tls_context=tls,
            require_starttls=True,
            auth_required=True,
            authenticator=_authenticate,
            # Its questions are not those that Alertmanager expects.
            auth_exclude_mechanism=["LOGIN"],
        )

    app = web.Application()
    app.router.add_post("/cgi-bin/sendsms", handset.sendsms)
    app.router.add_get("/messages", handset.messages)
    app.router.add_post("/fail/{state}", handset.fail)
    app.router.add_get("/", handset.page)
    app.router.add_post("/reply", handset.reply)
    app.router.add_get("/start", lambda _: _first_minutes(folder))
    runner = web.AppRunner(app, access_log=None)
    await runner.setup()
    await web.TCPSite(runner, host, web_port).start()
    server = await asyncio.get_running_loop().create_server(session, host, smtp_port)
    async with server:
        await server.serve_forever()
