#!/bin/sh
# Writes Alertmanager's settings from those of the city, because it reads none from the environment, and starts it.
set -eu
folder=${SETTINGS_FOLDER:-/tmp}
quote() { printf "'%s'" "$(printf '%s' "$1" | sed "s/'/''/g")"; }
if [ -z "${OPERATIONS_MAIL:-}" ]; then
    echo "set OPERATIONS_MAIL in .env: the address that gets the alarms" >&2
    exit 2
fi
umask 077
printf '%s' "$SMTP_PASSWORD" > "$folder/smtp-password"
authority=
if [ -n "${SIMPUL_SMTP_CA_FILE:-}" ]; then authority=", ca_file: $(quote "$SIMPUL_SMTP_CA_FILE")"; fi
cat > "$folder/alertmanager.yml" <<END
global:
  smtp_smarthost: $(quote "$SMTP_HOST:${SMTP_PORT:-587}")
  smtp_from: $(quote "$MAIL_FROM")
  smtp_auth_username: $(quote "$SMTP_USER")
  smtp_auth_password_file: $(quote "$folder/smtp-password")
  smtp_require_tls: true
route:
  receiver: operations
  group_by: [alertname]
  group_wait: 5s
  group_interval: 1m
  repeat_interval: 12h
  routes:
    - matchers: ['severity="critical"']
      repeat_interval: 1h
receivers:
  - name: operations
    email_configs:
      - to: $(quote "$OPERATIONS_MAIL")
        send_resolved: true
        tls_config: {server_name: $(quote "$SMTP_HOST")$authority}
        headers: {Subject: '[Simpul] {{ .Status }}: {{ .GroupLabels.alertname }} ({{ .CommonLabels.severity }})'}
        html: ''
        text: "{{ range .Alerts }}{{ .Status }}: {{ .Annotations.summary }}\nsince {{ .StartsAt }}\n{{ .Annotations.runbook }}\n\n{{ end }}"
END
exec alertmanager --config.file="$folder/alertmanager.yml" --storage.path="${STORAGE_FOLDER:-/alertmanager}" \
    --web.listen-address="${LISTEN:-:9093}" --cluster.listen-address=
