"""The folder of a city's data as `deploy/up` makes it, for the running city of the tests."""

import shutil
from pathlib import Path

import pytest

from simpul_cli.agency.certificates import Authority
from simpul_cli.keys import directory_file, key_file
from simpul_cli.prepare import write_broker_certificate
from simpul_dev.demo.handset import ACCOUNT, PASSWORD, ca_file
from simpul_dev.local_city import LocalCity
from simpul_runtime.database import utc_now
from simpul_schema.catalog import SERVICES


@pytest.fixture
def data(city: LocalCity, tmp_path: Path) -> Path:
    """Keys, certificates and settings of the running city."""
    return write_data(city, tmp_path / "data")


def write_data(city: LocalCity, folder: Path) -> Path:
    """Writes keys, certificates and settings of a city as `deploy/up` does."""
    for name in ("secrets", "directory", "tls/broker"):
        (folder / name).mkdir(parents=True)
    for service in SERVICES:
        shutil.copy2(key_file(city.keys, service), key_file(folder / "secrets", service))
    shutil.copy2(city.folder / "vault.key", folder / "secrets" / "vault.key")
    shutil.copy2(directory_file(city.keys), folder / "directory" / "directory.json")
    authority = Authority.create("Kediri", utc_now())
    authority.write(folder / "tls")
    write_broker_certificate(authority, folder / "tls" / "broker", ["simpul.kota.example"], utc_now())
    (folder / "city").mkdir()
    shutil.copy2(ca_file(city.folder), city.city_dir / "mail-ca.pem")
    (folder / ".env").write_text(
        f"AGENCY_BROKER=amqps://simpul.kota.example:5671/\nRABBITMQ_PASSWORD={'a' * 48}\n"
        f"KANNEL_URL={city.url('handset')}/cgi-bin/sendsms\nKANNEL_USER={ACCOUNT}\nKANNEL_PASSWORD={PASSWORD}\n"
        f"SMTP_HOST=localhost\nSMTP_PORT={city.ports['smtp']}\nSMTP_USER={ACCOUNT}\nSMTP_PASSWORD={PASSWORD}\n"
        "SIMPUL_SMTP_CA_FILE=/city/mail-ca.pem\n"
    )
    (folder / ".env").chmod(0o600)
    return folder


@pytest.fixture
def environment(city: LocalCity, data: Path, tmp_path: Path) -> dict[str, str]:
    """What docker-compose.yml gives the service `operator`."""
    return environment_of(city, data, tmp_path / "backups")


def environment_of(city: LocalCity, data: Path, backups: Path) -> dict[str, str]:
    """Returns what docker-compose.yml gives the service `operator` of a city."""
    return {
        "SIMPUL_CITY_DIR": str(city.city_dir),
        "SIMPUL_DATA_DIR": str(data),
        "SIMPUL_BACKUP_DIR": str(backups),
        "SIMPUL_DATABASES": " ".join(f"{service}={city.database_url(service)}" for service in SERVICES),
        "SIMPUL_RABBITMQ_API": city.backends.rabbitmq_api,
        "SIMPUL_POSTGRES_URL": city.backends.postgres_url,
        "LANG": "en_US.UTF-8",
    }
