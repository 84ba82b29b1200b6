#!/bin/bash
# The part of the official image's entrypoint that docker-compose.yml relies on.
set -euo pipefail
if [ "$(id -u)" = 0 ]; then
    find /var/lib/rabbitmq \! -user rabbitmq -exec chown rabbitmq '{}' +
    exec setpriv --reuid rabbitmq --regid rabbitmq --clear-groups "$0" "$@"
fi
exec "$@"
