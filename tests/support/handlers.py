"""The handler tables of all services, built without their use cases."""

from collections.abc import Callable, Mapping
from inspect import signature
from typing import Final
from unittest.mock import MagicMock

from simpul_desk.consumers import board_handlers
from simpul_intake.consumers import handlers as intake_handlers
from simpul_notify.consumers import alert_handlers
from simpul_routing.consumers import handlers as routing_handlers
from simpul_runtime.inbox import Handler
from simpul_schema import Event


def _build(handlers: Callable[..., Mapping[type[Event], Handler]]) -> Mapping[type[Event], Handler]:
    return handlers(*(MagicMock() for _ in signature(handlers).parameters))


HANDLERS: Final[Mapping[str, Mapping[type[Event], Handler]]] = {
    "intake": _build(intake_handlers),
    "routing": _build(routing_handlers),
    "notify": _build(alert_handlers),
    "desk": _build(board_handlers),
}
"""Service -> message -> handler; a service without an entry consumes nothing."""
