"""The composition root of the desk."""

from fastapi import FastAPI

from simpul_desk.consumers import board_handlers
from simpul_desk.pages import add_pages
from simpul_desk.settings import DeskSettings
from simpul_runtime.command_line import read_settings
from simpul_runtime.service import Service
from simpul_runtime.web import shell_for


def build(settings: DeskSettings) -> tuple[Service, FastAPI]:
    """Builds the service and its web application."""
    service = Service("desk", settings)
    service.consume(board_handlers())
    web = shell_for(service, title="Simpul desk", description="A board of referrals, built from public events.")
    add_pages(web, service)
    return service, web


def main() -> None:
    """Serves until the process is stopped."""
    service, web = build(read_settings("desk", DeskSettings))
    service.serve(web)
