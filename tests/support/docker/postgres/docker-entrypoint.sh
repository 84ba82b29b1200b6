#!/bin/bash
# The part of the official image's entrypoint that docker-compose.yml relies on.
set -euo pipefail
shopt -s nullglob
if [ "$(id -u)" = 0 ]; then
    chown -R postgres:postgres "$PGDATA" /var/run/postgresql
    chmod 700 "$PGDATA"
    exec setpriv --reuid postgres --regid postgres --clear-groups "$0" "$@"
fi
if [ ! -s "$PGDATA/PG_VERSION" ]; then
    initdb --username=postgres --encoding=UTF8 --auth-host=scram-sha-256 --auth-local=trust \
        --pwfile=<(printf '%s\n' "${POSTGRES_PASSWORD:?}")
    printf 'host all all all scram-sha-256\n' >> "$PGDATA/pg_hba.conf"
    # On its socket only, so that nobody connects before the databases exist.
    pg_ctl --wait -o "-c listen_addresses=''" start
    for script in /docker-entrypoint-initdb.d/*.sh; do "$script"; done
    pg_ctl --wait --mode=fast stop
fi
exec "$@" -c "listen_addresses=*"
