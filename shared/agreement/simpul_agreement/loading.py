"""Loads the YAML of an agreement: a scalar becomes plain data or a finding with its place, never an exception."""

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
"""Characters of one text; a sentence that people sign is shorter."""
_STANDARD: Final = "tag:yaml.org,2002:"
_LINE_BREAK_AND_TAB: Final = "\n\t"
_BIDIRECTIONAL: Final = frozenset(map(chr, (*range(0x202A, 0x202F), *range(0x2066, 0x206A))))
"""Characters that reorder what stands beside them, so that a text reads otherwise than it is."""
Steps = tuple[str | int, ...]
"""Keys and positions that lead to a value."""


class Written:
    """A YAML file with the place of everything in it."""

    def __init__(self, path: Path, shown: str, *, with_places: bool) -> None:
        self.shown = shown
        yaml = YAML(typ="rt" if with_places else "safe", pure=True)
        yaml.Constructor = _WithPlaces if with_places else _Plain
        self.tree: Any = yaml.load(path.read_text(encoding="utf-8"))

    def where(self, *steps: str | int) -> Where:
        """The place of a value, by the keys and positions that lead to it; the nearest one known otherwise."""
        return self._nearest(steps)[0]

    def key(self, *steps: str | int) -> str:
        """The last key on the way to a value; the file where there is none."""
        return self._nearest(steps)[1]

    def _nearest(self, steps: Steps) -> tuple[Where, str]:
        node: Any = self.tree
        line, column, key = 0, 0, self.shown
        for step, following in pairwise((*steps, None)):
            places: Any = getattr(node, "lc", None)
            if isinstance(node, Mapping) and following in node and not isinstance(node.get(step), Mapping | list):
                # What pydantic adds to a path may be named like a key, such as a `then` by what it decides.
                continue
            try:
                node, above = node[step], node
            except (KeyError, IndexError, TypeError):
                continue
            key = step if isinstance(step, str) else key
            if places is not None:
                line, column = places.value(step) if isinstance(above, Mapping) else places.item(step)
        return Where(self.shown, line + 1, column + 1), key


def load(path: Path, shown: str, findings: list[Finding], *, with_places: bool) -> Written | None:
    """A file's YAML; None when it cannot be read, with the findings added."""
    try:
        written = Written(path, shown, with_places=with_places)
    except (UnicodeDecodeError, ReaderError):
        findings.append(Finding(Where(shown), "the file is not text in UTF-8", "save it as UTF-8"))
    except IsADirectoryError:
        findings.append(Finding(Where(shown), "a folder stands where a file should", "move it away"))
    except FileNotFoundError:
        findings.append(Finding(Where(shown), "the file is missing", "write it; deploy/kediri has one to learn from"))
    except OSError as error:
        findings.append(Finding(Where(shown), f"the file cannot be read: {error.strerror}", "let it be read"))
    except RecursionError:
        findings.append(Finding(Where(shown), "it is nested too deeply", "close the brackets that are open"))
    except MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        where = Where(shown, mark.line + 1, mark.column + 1) if mark else Where(shown)
        findings.append(Finding(where, f"not YAML: {error.problem}", "close what is open, indent with spaces"))
    else:
        unfit = [_unfit(written, steps, text) for steps, text in _texts(written.tree, (), set())]
        found = [finding for finding in unfit if finding]
        findings += found
        return None if found else written
    return None


def _texts(node: Any, steps: Steps, above: set[int]) -> Iterator[tuple[Steps, str]]:
    """Every text with the way to it; a node that contains itself is entered once."""
    if isinstance(node, str):
        yield steps, node
    elif isinstance(node, Mapping | list) and id(node) not in above:
        for step, value in node.items() if isinstance(node, Mapping) else enumerate(node):
            if isinstance(step, str):
                yield (*steps, step), step
            yield from _texts(value, (*steps, step), above | {id(node)})


def _unfit(written: Written, steps: Steps, text: str) -> Finding | None:
    if len(text) > MAX_TEXT_LENGTH:
        problem = f"{written.key(*steps)}: a text of {len(text):,} characters"
        return Finding(written.where(*steps), problem, f"write at most {MAX_TEXT_LENGTH:,}")
    for character in text:
        if not _is_printable(character):
            problem = f"{written.key(*steps)}: the text has the character U+{ord(character):04X}, which nobody sees"
            return Finding(written.where(*steps), problem, "delete it")
    return None


def _is_printable(character: str) -> bool:
    if character in _BIDIRECTIONAL:
        return False
    return character in _LINE_BREAK_AND_TAB or unicodedata.category(character) not in ("Cc", "Cs")


class _NamesThePlace:
    """Days and times stay text, which their fields read and judge; what no field can get is told with its place."""

    def construct_object(self, node: Node, deep: bool = False) -> Any:
        """The value of a node; ConstructorError where it has none."""
        if isinstance(node, ScalarNode) and node.tag == f"{_STANDARD}timestamp":
            return node.value
        if node.tag and not str(node.tag).startswith(_STANDARD):
            raise ConstructorError(None, None, f"the tag {node.tag} has no place here", node.start_mark)
        try:
            return super().construct_object(node, deep=deep)  # type: ignore[misc]  # of the constructor beside it
        except (MarkedYAMLError, RecursionError):
            raise
        except (ValueError, LookupError, ArithmeticError, TypeError, AttributeError) as error:
            if isinstance(node, ScalarNode) and node.style is None:
                return node.value
            raise ConstructorError(None, None, f"no {node.tag} can be read here", node.start_mark) from error


class _WithPlaces(_NamesThePlace, RoundTripConstructor):
    pass


class _Plain(_NamesThePlace, SafeConstructor):
    pass
