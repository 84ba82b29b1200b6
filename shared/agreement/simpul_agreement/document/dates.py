"""Dates and weekdays as an official writes them."""

from datetime import date, time
from zoneinfo import ZoneInfo

from simpul_agreement.languages import translator


def format_day(day: date, language: str) -> str:
    """A date in full, such as `25 Desember 2026`."""
    from babel.dates import format_date  # noqa: PLC0415 - services that only decide never need it

    return format_date(day, "d MMMM y", locale=language)


def weekday_name(weekday: int, language: str) -> str:
    """The name of a weekday, counted from Monday, 0."""
    from babel.dates import get_day_names  # noqa: PLC0415 - services that only decide never need it

    return str(get_day_names("wide", locale=language)[weekday])


def zone_name(zone: ZoneInfo, language: str) -> str:
    """A time zone with its Indonesian abbreviation, such as `Waktu Indonesia Barat (WIB)`."""
    from babel.dates import get_timezone_name  # noqa: PLC0415 - services that only decide never need it

    name = get_timezone_name(zone, width="long", locale=language, zone_variant="standard")
    short = get_timezone_name(zone, width="short", locale="id", zone_variant="standard")
    return f"{name} ({short})"


def format_time(moment: time, language: str) -> str:
    """A time of day, such as `07.00`; midnight as an end is 24.00."""
    _ = translator(language)
    return _("{hour}:{minute}").format(hour=f"{moment.hour:02}", minute=f"{moment.minute:02}")
