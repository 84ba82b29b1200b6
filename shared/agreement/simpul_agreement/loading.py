"""Loads the YAML of an agreement: every scalar becomes plain data or a finding with a position, never an exception."""

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
from simpul_agreement.model import Where

MAX_TEXT_LENGTH: Final = 2000
"""Characters of one text; sentences that people sign are shorter."""
_STANDARD: Final = "tag:yaml.org,2002:"
_LINE_BREAK_AND_TAB: Final = "\n\t"
_BIDIRECTIONAL: Final = frozenset(map(chr, (*range(0x202A, 0x202F), *range(0x2066, 0x206A))))
"""Characters that reorder their neighbours, so that a text is displayed differently from how it is stored."""
Steps = tuple[str | int, ...]
"""Keys and positions that lead to a value."""


class YamlFile:
    """A YAML file with the position of every value."""

    def __init__(self, path: Path, name: str, *, with_positions: bool) -> None:
        self.name = name
        yaml = YAML(typ="rt" if with_positions else "safe", pure=True)
        yaml.Constructor = _WithPositions if with_positions else _Plain
        self.tree: Any = yaml.load(path.read_text(encoding="utf-8"))

    def where(self, *steps: str | int) -> Where:
        """The position of the value at a path of keys and indices, or of its nearest known parent."""
        return self._nearest(steps)[0]

    def key(self, *steps: str | int) -> str:
        """The last key of a path; the file name where the path has none."""
        return self._nearest(steps)[1]

    def _nearest(self, steps: Steps) -> tuple[Where, str]:
        node: Any = self.tree
        line, column, key = 0, 0, self.name
        for step, following in pairwise((*steps, None)):
            positions: Any = getattr(node, "lc", None)
            if isinstance(node, Mapping) and following in node and not isinstance(node.get(step), Mapping | list):
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


def load(path: Path, shown: str, findings: list[Finding], *, with_positions: bool) -> YamlFile | None:
    """Reads a YAML file; returns None and adds findings when it cannot be read."""
    try:
        written = YamlFile(path, shown, with_positions=with_positions)
    except (UnicodeDecodeError, ReaderError):
        findings.append(Finding(Where(shown), "the file is not text in UTF-8", "save it as UTF-8"))
    except IsADirectoryError:
        findings.append(Finding(Where(shown), "this is a folder, not a file", "replace it with a file"))
    except FileNotFoundError:
        findings.append(Finding(Where(shown), "the file is missing", "write it; deploy/kediri has an example"))
    except OSError as error:
        findings.append(Finding(Where(shown), f"the file cannot be read: {error.strerror}", "check its permissions"))
    except RecursionError:
        findings.append(Finding(Where(shown), "it is nested too deeply", "close the open brackets"))
    except MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        where = Where(shown, mark.line + 1, mark.column + 1) if mark else Where(shown)
        findings.append(
            Finding(where, f"not YAML: {error.problem}", "close open brackets and quotes, indent with spaces")
        )
    else:
        unfit = [_unfit(written, steps, text) for steps, text in _texts(written.tree, (), set())]
        found = [finding for finding in unfit if finding]
        findings += found
        return None if found else written
    return None


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
        problem = f"{written.key(*steps)}: a text of {len(text):,} characters"
        return Finding(written.where(*steps), problem, f"write at most {MAX_TEXT_LENGTH:,}")
    for character in text:
        if not _is_printable(character):
            problem = f"{written.key(*steps)}: the text has the invisible character U+{ord(character):04X}"
            return Finding(written.where(*steps), problem, "delete it")
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
