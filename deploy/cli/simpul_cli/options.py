"""Options that several commands share, each with its environment variable."""

from pathlib import Path
from typing import Annotated

import typer

CityDir = Annotated[Path, typer.Option(envvar="SIMPUL_CITY_DIR", help="folder of the city", exists=True)]
Api = Annotated[str, typer.Option(envvar="SIMPUL_RABBITMQ_API", help="http://user:password@host:15672")]
Amqp = Annotated[str, typer.Option(envvar="SIMPUL_AMQP_URL", help="amqp://user:password@host:5672/")]
Database = Annotated[str, typer.Option(envvar="SIMPUL_DATABASE_URL", help="postgresql://... of one service")]
KEDIRI = Path("deploy/kediri")
SECRETS = Path("deploy/secrets")
DIRECTORY = Path("deploy/directory/directory.json")
