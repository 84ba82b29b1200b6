"""Connects an agency's own software without programming: webhook, spool folder, table, program or web inbox."""

from simpul_agency.connectors.runner import ConnectorRunner, NoConnectorConfigured
from simpul_agency.connectors.settings import ConnectorSettings

__all__ = ["ConnectorRunner", "ConnectorSettings", "NoConnectorConfigured"]
