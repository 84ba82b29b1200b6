"""Loads the YAML of an agreement: every scalar becomes plain data or a finding with a position, never an exception."""

import re
import unicodedata
from collections.abc import Iterator, Mapping
from itertools import pairwise
from pathlib import Path
from typing import Any, Final

from ruamel.yaml import YAML
from ruamel.yaml.constructor import ConstructorError, RoundTripConstructor, SafeConstructor
from ruamel.yaml.error import MarkedYAMLError
from ruamel.yaml.nodes import Node, ScalarNode
from ruamel.yaml.reader import ReaderError

from simpul_agreement.findings import Finding
from simpul_agreement.languages import Count, Message
from simpul_agreement.languages import Message as _
from simpul_agreement.model import Where
from simpul_schema.translations import gettext_noop

MAX_FILE_SIZE: Final = 500_000
"""Bytes of one file; the largest of a city has a tenth of it."""
MAX_TEXT_LENGTH: Final = 2000
"""Characters of one text; sentences that people sign are shorter."""
_SYNTAX: Final = (
    (r'duplicate key "(?P<key>.*?)"', gettext_noop("{key} is written twice")),
    (r"<stream end>|unexpected end of stream", gettext_noop("the text ends before a bracket or a quote is closed")),
    (r"mapping values are not allowed", gettext_noop("a colon is too much, or the text with it needs quotes")),
    (r"expected ':'", gettext_noop("a colon is missing")),
    (r"expected <block end>|sequence entries are not allowed", gettext_noop("the indentation does not fit")),
    (r"expected ',' or", gettext_noop("a comma or a closing bracket is missing")),
    (
        r"character (?P<character>.+) that cannot start",
        gettext_noop("a text that begins with {character} needs quotes"),
    ),
    (r"tag (?P<tag>\S+) is not allowed|undefined tag|valid tag", gettext_noop("a tag is not allowed")),
    (r"undefined alias", gettext_noop("an alias has no anchor")),
)
"""What the parser finds, and what it means for the writer."""
_STANDARD: Final = "tag:yaml.org,2002:"
_LINE_BREAK_AND_TAB: Final = "\n\t"
_BIDIRECTIONAL: Final = frozenset(map(chr, (*range(0x202A, 0x202F), *range(0x2066, 0x206A))))
"""Characters that reorder their neighbours, so that a text is displayed differently from how it is stored."""
Steps = tuple[str | int, ...]
"""Keys and positions that lead to a value."""


class YamlFile:
    """A YAML file with the position of every value."""

    def __init__(self, text: str, name: str, *, with_positions: bool) -> None:
        self.name = name
        self.tree: Any = parse(text, with_positions=with_positions)

    def where(self, *steps: str | int) -> Where:
        """The position of the value at a path of keys and indices, or of its nearest known parent."""
        return self._nearest(steps)[0]

    def key(self, *steps: str | int) -> str:
        """The last key of a path, printable; the file name where the path has none."""
        key = self._nearest(steps)[1]
        return "".join(c if _is_printable(c) else f"U+{ord(c):04X}" for c in key)

    def _nearest(self, steps: Steps) -> tuple[Where, str]:
        node: Any = self.tree
        line, column, key = 0, 0, self.name
        for step, next_step in pairwise((*steps, None)):
            positions: Any = getattr(node, "lc", None)
            if isinstance(node, Mapping) and next_step in node and not _has_step(node.get(step), next_step):
                # pydantic adds the tag of a union to a path, which may equal the name of a key.
                continue
            try:
                node, above = node[step], node
            except (KeyError, IndexError, TypeError):
                continue
            key = step if isinstance(step, str) else key
            if positions is not None:
                line, column = positions.value(step) if isinstance(above, Mapping) else positions.item(step)
        return Where(self.name, line + 1, column + 1), key


def parse(text: str, *, with_positions: bool) -> Any:
    """Parses YAML into plain data, which nothing changes afterwards; raises YAMLError or RecursionError."""
    yaml = YAML(typ="rt" if with_positions else "safe", pure=True)
    yaml.Constructor = _WithPositions if with_positions else _Plain
    return yaml.load(text)


def _has_step(node: Any, step: str | int | None) -> bool:
    return isinstance(node, list) if isinstance(step, int) else isinstance(node, Mapping) and step in node


def read_text(path: Path, shown: str, findings: list[Finding]) -> str | None:
    """Reads a file as text; returns None and adds a finding when it is missing, too large or not UTF-8."""
    try:
        size = path.stat().st_size
        if size > MAX_FILE_SIZE:
            problem = _("the file has {size} bytes, more than {limit}", size=Count(size), limit=Count(MAX_FILE_SIZE))
            findings.append(Finding(Where(shown), problem, _("divide it into several files")))
            return None
        return path.read_text(encoding="utf-8")
    except UnicodeDecodeError as error:
        line = error.object[: error.start].count(b"\n") + 1
        findings.append(Finding(Where(shown, line, 1), _("the file is not text in UTF-8"), _("save it as UTF-8")))
    except IsADirectoryError:
        findings.append(Finding(Where(shown), _("this is a folder, not a file"), _("replace it with a file")))
    except FileNotFoundError:
        findings.append(Finding(Where(shown), _("the file is missing"), _("write it; deploy/kediri has an example")))
    except OSError as error:
        findings.append(
            Finding(
                Where(shown),
                _("the file cannot be read: {reason}", reason=error.strerror),
                _("check its permissions"),
            )
        )
    return None


def load(path: Path, shown: str, findings: list[Finding], *, with_positions: bool) -> YamlFile | None:
    """Reads a YAML file; returns None and adds findings when it cannot be read."""
    text = read_text(path, shown, findings)
    if text is None:
        return None
    try:
        written = YamlFile(text, shown, with_positions=with_positions)
    except ReaderError as error:
        where = Where(shown, text[: error.position].count("\n") + 1, 1)
        findings.append(Finding(where, _("the file is not text in UTF-8"), _("save it as UTF-8")))
    except RecursionError:
        findings.append(Finding(Where(shown), _("it is nested too deeply"), _("close the open brackets")))
    except MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        where = Where(shown, mark.line + 1, mark.column + 1) if mark else Where(shown)
        findings.append(
            Finding(
                where,
                _("not YAML: {problem}", problem=_describe_syntax(error.problem or "")),
                _("close open brackets and quotes, indent with spaces"),
            )
        )
    else:
        unfit = [_unfit(written, steps, text) for steps, text in _texts(written.tree, (), set())]
        found = [finding for finding in unfit if finding]
        findings += found
        return None if found else written
    return None


def _describe_syntax(problem: str) -> Message:
    """What the parser found, without its words."""
    for pattern, message in _SYNTAX:
        match = re.search(pattern, problem)
        if match:
            return Message(message, **match.groupdict())
    return _("this cannot be read here")


def _texts(node: Any, steps: Steps, above: set[int]) -> Iterator[tuple[Steps, str]]:
    """Every text with its path; a node that contains itself is visited once."""
    if isinstance(node, str):
        yield steps, node
    elif isinstance(node, Mapping | list) and id(node) not in above:
        for step, value in node.items() if isinstance(node, Mapping) else enumerate(node):
            if isinstance(step, str):
                yield (*steps, step), step
            yield from _texts(value, (*steps, step), above | {id(node)})


def _unfit(written: YamlFile, steps: Steps, text: str) -> Finding | None:
    if len(text) > MAX_TEXT_LENGTH:
        problem = _("{key}: a text of {count} characters", key=written.key(*steps), count=Count(len(text)))
        return Finding(
            written.where(*steps),
            problem,
            _("write at most {limit}", limit=Count(MAX_TEXT_LENGTH)),
        )
    for character in text:
        if not _is_printable(character):
            problem = _(
                "{key}: the text has the invisible character U+{character}",
                key=written.key(*steps),
                character=format(ord(character), "04X"),
            )
            return Finding(written.where(*steps), problem, _("delete it"))
    return None


def _is_printable(character: str) -> bool:
    if character in _BIDIRECTIONAL:
        return False
    return character in _LINE_BREAK_AND_TAB or unicodedata.category(character) not in ("Cc", "Cs")


class _LocatesErrors:
    """Keeps dates and times as text for their fields to validate; locates values that YAML cannot construct."""

    def construct_object(self, node: Node, deep: bool = False) -> Any:
        """The value of a node; ConstructorError where it has none."""
        if isinstance(node, ScalarNode) and node.tag == f"{_STANDARD}timestamp":
            return node.value
        if node.tag and not str(node.tag).startswith(_STANDARD):
            raise ConstructorError(None, None, f"the tag {node.tag} is not allowed", node.start_mark)
        try:
            return super().construct_object(node, deep=deep)  # type: ignore[misc]  # of the other base class
        except (MarkedYAMLError, RecursionError):
            raise
        except (ValueError, LookupError, ArithmeticError, TypeError, AttributeError) as error:
            if isinstance(node, ScalarNode) and node.style is None:
                return node.value
            raise ConstructorError(None, None, f"this is not a valid {node.tag}", node.start_mark) from error


class _WithPositions(_LocatesErrors, RoundTripConstructor):
    pass


class _Plain(_LocatesErrors, SafeConstructor):
    pass
