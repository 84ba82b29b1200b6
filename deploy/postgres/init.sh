#!/bin/sh
# One role and one database for each service; no role can open another's database.
set -eu
for service in intake routing notify desk; do
    password="$(cat "/run/secrets/postgres_${service}")"
    psql --username postgres -v ON_ERROR_STOP=1 -v role="simpul_${service}" -v password="${password}" <<'SQL'
CREATE ROLE :"role" LOGIN PASSWORD :'password';
CREATE DATABASE :"role" OWNER :"role";
REVOKE CONNECT ON DATABASE :"role" FROM PUBLIC;
SQL
done
