"""Reads and writes `.env`, the settings and passwords of a city that Docker Compose reads."""

import os
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Final

from simpul_cli.deployment.refusal import Refusal
from simpul_cli.languages import Message as _

_LINE: Final = re.compile(r"^(?P<name>[A-Za-z_]\w*)=(?P<value>.*)$")
_PLAIN: Final = re.compile(r"[\w./:@,+%=-]*")


def read_env(path: Path) -> dict[str, str]:
    """Reads the settings; returns none when there is no file."""
    if not path.exists():
        return {}
    found = (_LINE.match(line) for line in path.read_text(encoding="utf-8").splitlines())
    return {line["name"]: _without_quotes(line["value"]) for line in found if line}


def write_env(path: Path, values: Mapping[str, str], template: str) -> None:
    """Replaces the file at once by the template with these values; values that it does not name follow at the end."""
    lines, left = [], dict(values)
    for line in template.splitlines():
        setting = _LINE.match(line)
        if setting and setting["name"] in left:
            lines.append(_setting(setting["name"], left.pop(setting["name"])))
        else:
            lines.append(line)
    lines += [_setting(name, value) for name, value in left.items()]
    new = path.with_name(f"{path.name}.new")
    with os.fdopen(os.open(new, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "w", encoding="utf-8") as file:
        file.write("\n".join(lines) + "\n")
        file.flush()
        os.fsync(file.fileno())
    new.replace(path)


def _setting(name: str, value: str) -> str:
    if "'" in value or "\n" in value:
        raise Refusal(_("The value of {name} has a quote or a line break; choose another one.", name=name))
    # Docker Compose replaces variables in a value without quotes.
    return f"{name}={value}" if _PLAIN.fullmatch(value) else f"{name}='{value}'"


def _without_quotes(value: str) -> str:
    value = value.strip()
    return value[1:-1] if len(value) > 1 and value[0] == value[-1] and value[0] in "'\"" else value
