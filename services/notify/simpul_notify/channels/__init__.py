"""Providers that carry messages: one module each, behind the interface in `provider.py`."""

from simpul_notify.channels.gammu import GammuSms
from simpul_notify.channels.kannel import KannelSms
from simpul_notify.channels.provider import (
    Incoming,
    OutgoingMessage,
    PolledProvider,
    Provider,
    ReportingProvider,
    TwoWayProvider,
)
from simpul_notify.channels.registry import load_providers
from simpul_notify.channels.smtp import SmtpMail

__all__ = [
    "GammuSms",
    "Incoming",
    "KannelSms",
    "OutgoingMessage",
    "PolledProvider",
    "Provider",
    "ReportingProvider",
    "SmtpMail",
    "TwoWayProvider",
    "load_providers",
]
