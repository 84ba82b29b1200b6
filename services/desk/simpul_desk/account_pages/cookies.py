"""The cookies of a browser: of its session, and of the fact that it signed in before."""

from datetime import timedelta
from typing import Final

from fastapi import Request, Response

from simpul_desk.access.client import Client, describe_browser
from simpul_desk.access.sign_in import SignedIn
from simpul_desk.access.web import SESSION_COOKIE

DEVICE_COOKIE: Final = "__Host-simpul-device"
_DEVICE_LIFETIME: Final = timedelta(days=180)


def client_of(request: Request) -> Client:
    """Returns the browser that sent a request."""
    address = request.client.host if request.client else ""
    label = describe_browser(request.headers.get("user-agent", ""))
    return Client(address, label, request.cookies.get(DEVICE_COOKIE, ""))


def keep_session(response: Response, secret: str) -> None:
    """Makes the browser keep a session until it is closed."""
    response.set_cookie(SESSION_COOKIE, secret, secure=True, httponly=True, samesite="lax", path="/")


def keep_login(response: Response, signed_in: SignedIn) -> None:
    """Makes the browser keep what a login gave it."""
    keep_session(response, signed_in.session_secret)
    response.set_cookie(
        DEVICE_COOKIE,
        signed_in.device_secret,
        max_age=int(_DEVICE_LIFETIME.total_seconds()),
        secure=True,
        httponly=True,
        samesite="lax",
        path="/",
    )


def forget_session(response: Response) -> None:
    """Makes the browser forget its session."""
    response.delete_cookie(SESSION_COOKIE, secure=True, httponly=True, samesite="lax", path="/")
