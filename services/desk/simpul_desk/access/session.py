"""How long a session lasts, and the secrets in cookies, links and forms."""

import hmac
import secrets
from base64 import urlsafe_b64encode
from datetime import datetime, timedelta
from hashlib import sha256
from typing import Final

IDLE_LIMIT: Final = timedelta(hours=1)
"""A session that is not used for so long ends."""
ABSOLUTE_LIMIT: Final = timedelta(hours=12)
"""A session ends after a shift, however much it is used."""
SECOND_FACTOR_LIMIT: Final = timedelta(minutes=10)
"""After the password, time for the second factor."""
TOUCH_INTERVAL: Final = timedelta(minutes=1)
"""The last use of a session is not written more often."""
_SECRET_BYTES: Final = 32


def new_secret() -> str:
    """Returns a secret for a cookie or a link: 256 random bits in base64url."""
    return secrets.token_urlsafe(_SECRET_BYTES)


def hash_secret(secret: str) -> bytes:
    """Returns what the database keeps of a secret; a random one needs no salt."""
    return sha256(secret.encode()).digest()


def needs_touch(last_seen_at: datetime, now: datetime) -> bool:
    """Whether the last use of a session must be written again."""
    return now - last_seen_at >= TOUCH_INTERVAL


def form_token_of(cookie: str) -> str:
    """Returns the token of the forms that a browser with this cookie may send; another site cannot compute it."""
    return urlsafe_b64encode(hmac.digest(cookie.encode(), b"simpul-desk-form", "sha256")).decode().rstrip("=")


def is_form_token(token: str, cookie: str) -> bool:
    """Whether a form was made for the browser with this cookie."""
    return bool(cookie) and hmac.compare_digest(token.encode(), form_token_of(cookie).encode())
