"""The first five minutes with the demo: what to open, as whom, and what to see; printed, and on a page."""

from collections.abc import Sequence
from dataclasses import dataclass
from html import escape
from pathlib import Path
from typing import Final

from simpul_dev.demo.handset import FIRST_MINUTES
from simpul_dev.local_city import LocalCity

HOSTED: Final = ("rs-rujukan", "satgas-kel-bandar-lor")
"""Agencies that work at the desk in a demo; the others are simulated and accept by themselves."""


@dataclass(frozen=True, slots=True)
class Step:
    """One thing to do."""

    title: str
    text: str
    address: str


def list_steps(city: LocalCity) -> Sequence[Step]:
    """Lists the steps with the addresses of this demo."""
    return (
        Step(
            "Report", 'As anybody, in a private window: open "Tampilkan semua di satu halaman", tick Fisik, answer '
            'Ya to "Apakah anak terluka?", choose the kelurahan Bandar Lor, and send.', f"{city.url('intake')}/lapor",
        ),
        Step(
            "See it arrive", "Sign in as dokter. The case stands on the worklist at once, without a reload, with the "
            "minutes that are left.", f"{city.url('desk')}/work",
        ),
        Step(
            "See the alert", "The phone of the hospital's people on duty shows an SMS without a name. Press TERIMA "
            "below it: whoever is next in turn is not alerted any more.",
            f"{city.url('handset')}/",
        ),
        Step(
            "Accept it", "Open the case as dokter: what is known, each deadline with its source, who else acts. Press "
            '"Terima layanan yang dipilih". No further alert is sent for it.', f"{city.url('desk')}/work",
        ),
        Step(
            "Watch the board", "Sign in as koordinator in another window: the case moves down as agencies accept, and "
            "its rights change. Confirm its service plan.", f"{city.url('desk')}/city",
        ),
    )  # fmt: skip


def write_page(folder: Path, steps: Sequence[Step]) -> None:
    """Writes the steps as a page, which the simulated handset serves."""
    items = "".join(
        f'<li><h2>{escape(step.title)}</h2><p>{escape(step.text)}</p><p><a href="{escape(step.address)}">'
        f"{escape(step.address)}</a></p></li>"
        for step in steps
    )
    (folder / FIRST_MINUTES).write_text(
        '<!doctype html><html lang="en"><head><meta charset="utf-8"><title>The first five minutes</title>'
        '<meta name="viewport" content="width=device-width, initial-scale=1"><style>body { margin: 0 auto; max-width: '
        "44rem; padding: 1rem; font: 1rem/1.5 system-ui, sans-serif; } h2 { margin-bottom: 0; font-size: 1.1rem; }"
        f"</style></head><body><h1>The first five minutes</h1><ol>{items}</ol></body></html>\n",
        encoding="utf-8",
    )
