"""Codes of an authenticator, as RFC 6238 defines them."""

import base64
import hmac
from datetime import datetime
from typing import Final

from pyotp import TOTP

PERIOD: Final = 30
"""Seconds for which a code is shown."""
_DRIFT: Final = 1
"""Periods that the clock of a phone may be wrong."""
_SECRET_BYTES: Final = 20


def propose_secret(session_secret: str) -> str:
    """Returns the secret that a session proposes to an authenticator, the same each time the page is opened."""
    digest = hmac.digest(session_secret.encode(), b"simpul-desk-authenticator", "sha256")
    return base64.b32encode(digest[:_SECRET_BYTES]).decode()


def authenticator_address(secret: str, login_name: str, issuer: str) -> str:
    """Returns what an authenticator scans."""
    return TOTP(secret, interval=PERIOD).provisioning_uri(name=login_name, issuer_name=issuer)


def find_step(secret: str, code: str, now: datetime, last_step: int) -> int | None:
    """Finds the time step of a code that is valid now and later than the last one; None for a wrong or used code."""
    wanted = "".join(code.split())
    current = int(now.timestamp()) // PERIOD
    totp = TOTP(secret, interval=PERIOD)
    steps = range(max(current - _DRIFT, last_step + 1), current + _DRIFT + 1)
    # Every step is compared, so that the time taken depends on no secret.
    valid = [step for step in steps if hmac.compare_digest(totp.generate_otp(step).encode(), wanted.encode())]
    return valid[-1] if valid else None
