"""A real PostgreSQL and a real RabbitMQ for the demo and the tests, from whatever the machine has.

In this order: addresses from the environment; a Docker engine that answers; private nodes on free loopback ports.
"""

from simpul_agency.sandbox.process import BackendsMissing
from simpul_agency.sandbox.rabbitmq import PrivateRabbit
from simpul_dev.backends.acquire import Backends, acquire
from simpul_dev.backends.postgres import PrivatePostgres

__all__ = ["Backends", "BackendsMissing", "PrivatePostgres", "PrivateRabbit", "acquire"]
