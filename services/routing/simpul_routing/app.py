"""The composition root of routing."""

from fastapi import FastAPI

from simpul_routing.consumers import handlers
from simpul_routing.rules import read_rules
from simpul_routing.settings import RoutingSettings
from simpul_routing.use_cases import ReferCases
from simpul_runtime.service import Service
from simpul_runtime.web import shell_for


def build(settings: RoutingSettings) -> tuple[Service, FastAPI]:
    """The service and its web application."""
    service = Service("routing", settings)
    rules = read_rules(settings.city_dir / "rights.yaml", service.city)
    service.consume(handlers(service.keys, ReferCases(rules, service.city)))
    return service, shell_for(service, title="Simpul routing", description="Decides referrals and follows them.")


def main() -> None:
    """Serve until told to stop."""
    service, web = build(RoutingSettings())
    service.serve(web)
