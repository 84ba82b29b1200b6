"""The status page of an agency: is the city up, and is the agency's queue drained. It shows counts and times only."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timezone
from typing import Final, Optional

from jinja2 import Environment, PackageLoader, StrictUndefined

from simpul_agency.records import DeliveryStatus
from simpul_schema.translations import LANGUAGES, load_translations

DEFAULT_LANGUAGE: Final = "id"
REFRESH: Final = 30
"""Seconds after which a browser loads the page again."""
_TRANSLATIONS: Final = load_translations("simpul_agency")


@dataclass(frozen=True)
class AgencyStatus:
    """What the page shows."""

    is_connected: bool
    waiting: Optional[int]
    """Messages in the agency's queue on the broker; None if the broker does not say."""
    pending_events: int
    unpublished_replies: int
    parked_messages: int
    cities: Sequence[DeliveryStatus]
    """How far what has come agrees with each city's manifests."""

    def is_up(self, now: float) -> bool:
        """Whether the city delivers: the broker answers, and its manifests come in time."""
        return self.is_connected and bool(self.cities) and not any(city.is_silent(now) for city in self.cities)

    @property
    def is_drained(self) -> bool:
        """Whether everything that the city has sent was received and handled."""
        is_complete = all(city.first_missing is None for city in self.cities)
        return self.waiting == 0 and not self.pending_events and is_complete


def render_status(agency: str, status: AgencyStatus, language: str, now: float) -> str:
    """Renders the page in a language, in Indonesian where there is no such language."""
    chosen = language if language in LANGUAGES else DEFAULT_LANGUAGE
    templates = Environment(
        loader=PackageLoader("simpul_agency.connectors"),
        autoescape=True,
        undefined=StrictUndefined,
        extensions=["jinja2.ext.i18n"],
    )
    templates.install_gettext_translations(_TRANSLATIONS[chosen])  # type: ignore[attr-defined]  # added by the extension
    last = max((city.received_at for city in status.cities), default=None)
    return templates.get_template("status.html").render(
        language=chosen,
        agency=agency,
        status=status,
        is_up=status.is_up(now),
        last=datetime.fromtimestamp(last, timezone.utc).astimezone() if last else None,
        shown_at=datetime.fromtimestamp(now, timezone.utc).astimezone(),
        refresh=REFRESH,
    )
