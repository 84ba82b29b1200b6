"""Faults of the services' databases: unreachable, not migrated, without connections, bloated, not durable."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Final

from simpul_cli.doctor.finding import Finding, critical, warning
from simpul_cli.languages import Message as _

MANY_CONNECTIONS: Final = 0.8
BLOATED: Final = 0.5
"""Share of dead rows."""
MIN_DEAD_ROWS: Final = 100_000
LONG: Final = timedelta(minutes=10)
MAX_LAG: Final = timedelta(seconds=60)
OLD_TRANSACTIONS: Final = 1_000_000_000
"""PostgreSQL stops at about 2,100 million."""


@dataclass(frozen=True, slots=True)
class Standby:
    """A standby server."""

    name: str
    lag: timedelta


@dataclass(frozen=True, slots=True)
class Database:
    """The database of one service."""

    problem: str = ""
    """Why it cannot be used: `unreachable`, `login` or `missing`."""
    revision: str = ""
    newest_revision: str = ""
    is_revision_known: bool = True
    """False for a database that a newer version has migrated."""
    connections: int = 0
    max_connections: int = 100
    dead_rows: Mapping[str, tuple[int, int]] = field(default_factory=dict)
    """Table -> dead and live rows."""
    longest_transaction: timedelta = timedelta()
    oldest_transaction_age: int = 0
    """Transactions since the oldest row version that is not frozen."""
    not_durable: Sequence[str] = ()
    """Settings with which a power failure loses what was answered with 202."""
    standbys: Sequence[Standby] = ()

    @property
    def is_current(self) -> bool:
        """Whether this version can read its tables."""
        return not self.is_revision_known or self.revision == self.newest_revision


@dataclass(frozen=True, slots=True)
class DatabaseFacts:
    """The databases by service."""

    databases: Mapping[str, Database] = field(default_factory=dict)


def find_unreachable_databases(facts: DatabaseFacts) -> Iterator[Finding]:
    """Finds databases that do not answer."""
    for service in _with(facts, "unreachable"):
        cause = _("The database of {service} does not answer.", service=service)
        yield critical("database_unreachable", cause, "deploy/up restart postgres")


def find_refused_logins(facts: DatabaseFacts) -> Iterator[Finding]:
    """Finds passwords that are not the database's."""
    for service in _with(facts, "login"):
        cause = _("The database refuses the password of {service} in .env.", service=service)
        yield critical("database_login", cause, "deploy/up")


def find_missing_databases(facts: DatabaseFacts) -> Iterator[Finding]:
    """Finds services without a database."""
    for service in _with(facts, "missing"):
        cause = _("There is no database of {service}: the volume is new, or another one.", service=service)
        yield critical("database_missing", cause, "simpul backup list")


def find_old_schemas(facts: DatabaseFacts) -> Iterator[Finding]:
    """Finds databases that this version cannot use yet."""
    for service, database in _usable(facts):
        if not database.is_current:
            cause = _(
                "The database of {service} is at revision {revision}; this version needs {newest}.",
                service=service,
                revision=database.revision or "-",
                newest=database.newest_revision,
            )
            yield critical("database_not_migrated", cause, f"simpul migrate {service}")


def find_newer_schemas(facts: DatabaseFacts) -> Iterator[Finding]:
    """Finds databases that a newer version has migrated; this one still runs on them."""
    for service, database in _usable(facts):
        if not database.is_revision_known:
            cause = _("A newer version has migrated the database of {service}.", service=service)
            yield warning("database_newer", cause, "git pull && deploy/up")


def find_used_connections(facts: DatabaseFacts) -> Iterator[Finding]:
    """Finds servers that soon refuse connections."""
    for database in _one_of_each_server(facts):
        share = database.connections / database.max_connections
        if share > MANY_CONNECTIONS:
            cause = _(
                "{used} of {all} connections of the database are used.",
                used=database.connections,
                all=database.max_connections,
            )
            yield critical(
                "database_connections", cause, "docker compose exec postgres psql -U postgres -c 'SHOW max_connections'"
            )


def find_bloat(facts: DatabaseFacts) -> Iterator[Finding]:
    """Finds tables with more dead rows than live ones."""
    for service, database in _usable(facts):
        for table, (dead, live) in sorted(database.dead_rows.items()):
            if dead > MIN_DEAD_ROWS and dead / (dead + live) > BLOATED:
                cause = _(
                    "{dead} of the rows of {table} of {service} are dead.", dead=dead, table=table, service=service
                )
                remedy = f"docker compose exec postgres psql -U postgres simpul_{service} -c 'VACUUM ANALYZE {table}'"
                yield warning("database_bloat", cause, remedy)


def find_long_transactions(facts: DatabaseFacts) -> Iterator[Finding]:
    """Finds transactions that keep locks and dead rows."""
    for service, database in _usable(facts):
        if database.longest_transaction > LONG:
            minutes = int(database.longest_transaction.total_seconds() // 60)
            cause = _(
                "A transaction of {service} has been open for {minutes} minutes.", service=service, minutes=minutes
            )
            yield warning("database_transaction", cause, f"deploy/up restart {service}")


def find_old_transactions(facts: DatabaseFacts) -> Iterator[Finding]:
    """Finds databases that approach the end of transaction ids, at which PostgreSQL refuses to write."""
    for service, database in _usable(facts):
        if database.oldest_transaction_age > OLD_TRANSACTIONS:
            cause = _(
                "The database of {service} was not frozen for {count} transactions.",
                service=service,
                count=database.oldest_transaction_age,
            )
            remedy = f"docker compose exec postgres psql -U postgres simpul_{service} -c 'VACUUM FREEZE'"
            yield critical("database_wraparound", cause, remedy)


def find_lost_durability(facts: DatabaseFacts) -> Iterator[Finding]:
    """Finds settings with which a power failure loses reports that were answered with 202."""
    for database in _one_of_each_server(facts):
        if database.not_durable:
            cause = _(
                "The database may lose what it has confirmed: {names} is off.", names=", ".join(database.not_durable)
            )
            setting = database.not_durable[0]
            remedy = f"docker compose exec postgres psql -U postgres -c 'ALTER SYSTEM RESET {setting}'"
            yield critical("database_not_durable", cause, remedy)


def find_lagging_standbys(facts: DatabaseFacts) -> Iterator[Finding]:
    """Finds standbys that would lose minutes if they took over."""
    for database in _one_of_each_server(facts):
        for standby in database.standbys:
            if standby.lag > MAX_LAG:
                seconds = int(standby.lag.total_seconds())
                cause = _("The standby {name} is {seconds} seconds behind.", name=standby.name, seconds=seconds)
                yield warning(
                    "database_replication_lag",
                    cause,
                    "docker compose exec postgres psql -U postgres -c 'TABLE pg_stat_replication'",
                )


def _with(facts: DatabaseFacts, problem: str) -> Iterator[str]:
    for service, database in sorted(facts.databases.items()):
        if database.problem == problem:
            yield service


def _usable(facts: DatabaseFacts) -> Iterator[tuple[str, Database]]:
    for service, database in sorted(facts.databases.items()):
        if not database.problem:
            yield service, database


def _one_of_each_server(facts: DatabaseFacts) -> Iterator[Database]:
    """Yields the first usable database, because all of them are on one server."""
    yield from [database for _, database in _usable(facts)][:1]


CHECKS: Final = (
    find_unreachable_databases,
    find_refused_logins,
    find_missing_databases,
    find_old_schemas,
    find_newer_schemas,
    find_used_connections,
    find_bloat,
    find_long_transactions,
    find_old_transactions,
    find_lost_durability,
    find_lagging_standbys,
)
