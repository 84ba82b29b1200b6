"""Pages that say why a request was refused, and what to do."""

from collections.abc import Mapping
from types import MappingProxyType
from typing import Final

from fastapi import Request, Response

from simpul_desk.rendering import render
from simpul_schema.translations import gettext_noop

_TEXTS: Final[Mapping[str, tuple[str, str]]] = MappingProxyType({
    "form_expired": (
        gettext_noop("This form has expired"),
        gettext_noop("Nothing was changed. Go back, open the page again and send the form once more."),
    ),
    "not_connected": (
        gettext_noop("No account is connected"),
        gettext_noop("Sign in with your password and code once. Then connect it under My account, How you sign in."),
    ),
    "connected_elsewhere": (
        gettext_noop("Another account is connected already"),
        gettext_noop("Nothing was changed. Disconnect it there first, or ask the operator."),
    ),
    "provider_failed": (
        gettext_noop("That did not work"),
        gettext_noop("The provider did not answer, or its answer came too late. Sign in with your password instead."),
    ),
    "link_unknown": (
        gettext_noop("This link is not good any more"),
        gettext_noop(
            "It was used, or has expired. Ask whoever sent it for a new one; if you have set a password, sign in."
        ),
    ),
})  # fmt: skip
"""Code -> title and explanation."""


def render_refusal(request: Request, status: int, code: str) -> Response:
    """Renders why a request was refused."""
    title, explanation = _TEXTS[code]
    return render(request, "refusal.html", status=status, title=title, explanation=explanation)
