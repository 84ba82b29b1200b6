"""Logs in at the providers without sending anything, and counts the alerts of a day."""

import ssl
from collections.abc import Mapping
from datetime import timedelta
from pathlib import Path
from typing import Any, Final

import aiohttp
import aiosmtplib
import asyncpg

from simpul_cli.doctor.checks.providers import Provider, ProviderFacts

TIMEOUT: Final = 10.0
"""Seconds."""
_REFUSED: Final = (401, 403)
_ALERTS: Final = """
    SELECT channel,
        coalesce(max(now() - due_at) FILTER (WHERE state = 'pending' AND due_at <= now()), interval '0'),
        coalesce(max(attempts) FILTER (WHERE state = 'pending'), 0),
        count(*) FILTER (WHERE state = 'sent' AND settled_at > now() - interval '1 day'),
        count(*) FILTER (WHERE state = 'failed' AND settled_at > now() - interval '1 day')
    FROM alert GROUP BY channel
"""


async def collect(settings: Mapping[str, str] | None, notify_url: str, city_dir: Path) -> ProviderFacts:
    """Collects both channels; without `.env` only what notify has recorded."""
    problems = {"sms": "", "mail": ""}
    if settings and settings.get("KANNEL_URL"):
        problems["sms"] = await _log_in_at_gateway(settings)
    if settings and settings.get("SMTP_HOST"):
        problems["mail"] = await _log_in_at_mail_server(settings, city_dir)
    recorded = await _count_alerts(notify_url) if notify_url else {}
    return ProviderFacts(
        {
            channel: Provider(problem, *recorded.get(channel, (timedelta(), 0, 0, 0)))
            for channel, problem in problems.items()
        }
    )


async def _log_in_at_gateway(settings: Mapping[str, str]) -> str:
    """Sends a request without a recipient, which a gateway refuses after it has checked the password."""
    headers = {
        "X-Kannel-Username": settings.get("KANNEL_USER", ""),
        "X-Kannel-Password": settings.get("KANNEL_PASSWORD", ""),
        "Content-Type": "text/plain; charset=UTF-8",
    }
    try:
        async with (
            aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(total=TIMEOUT)) as session,
            session.post(settings["KANNEL_URL"], data=b"", headers=headers) as answer,
        ):
            return "login" if answer.status in _REFUSED else ""
    except (aiohttp.ClientError, OSError, TimeoutError):
        return "unreachable"


async def _log_in_at_mail_server(settings: Mapping[str, str], city_dir: Path) -> str:
    ca_file = settings.get("SIMPUL_SMTP_CA_FILE", "")
    # The file is named as the services see it, in /city.
    trusted = str(city_dir / Path(ca_file).name) if ca_file else None
    try:
        client = aiosmtplib.SMTP(
            hostname=settings["SMTP_HOST"],
            port=int(settings.get("SMTP_PORT") or 587),
            start_tls=True,
            tls_context=ssl.create_default_context(cafile=trusted),
            username=settings.get("SMTP_USER", ""),
            password=settings.get("SMTP_PASSWORD", ""),
            timeout=TIMEOUT,
        )
        async with client:
            return ""
    except aiosmtplib.SMTPAuthenticationError:
        return "login"
    except (aiosmtplib.SMTPException, OSError, TimeoutError, ValueError) as error:
        return "certificate" if _is_about_certificate(error) else "unreachable"


def _is_about_certificate(error: BaseException | None) -> bool:
    while error is not None:
        if isinstance(error, ssl.SSLError):
            return True
        error = error.__cause__ or error.__context__
    return False


async def _count_alerts(url: str) -> dict[str, tuple[timedelta, int, int, int]]:
    connection: Any = await asyncpg.connect(url)
    try:
        return {row[0]: (row[1], row[2], row[3], row[4]) for row in await connection.fetch(_ALERTS)}
    finally:
        await connection.close()
