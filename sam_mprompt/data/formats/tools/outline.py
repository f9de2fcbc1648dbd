"""What a foreign file seems to be, told from its beginning: keys of JSON, the first element of XML, the first row."""

import json
import re
from pathlib import Path
from typing import NamedTuple

_ENOUGH = 1 << 20  # characters; the keys that tell stand before that in what tools write
_TOKEN = re.compile(r'"([^"\\]*(?:\\.[^"\\]*)*)"(\s*:)?|[{}\[\]]', re.DOTALL)
_ELEMENT = re.compile(r"<([A-Za-z_][\w.:-]*)")
_NO_ELEMENT = re.compile(r"<\?.*?\?>|<!--.*?-->", re.DOTALL)


class JsonOutline(NamedTuple):
    """The keys of a JSON file as far as its beginning shows them.

    Attributes:
        is_list: whether it holds a list of objects instead of an object.
        keys: those of the object; empty for a list.
        inner: those of the first object inside.
    """

    is_list: bool
    keys: frozenset[str]
    inner: frozenset[str]


def beginning(file: Path, length: int = _ENOUGH) -> str:
    """Return up to `length` characters of a text file, without a byte order mark; nothing where it cannot be read."""
    try:
        if not file.is_file():
            return ""
        with file.open(encoding="utf-8-sig", errors="replace") as text:
            return text.read(length)
    except OSError:
        return ""


def json_outline(file: Path) -> JsonOutline:
    """Return the outline of a JSON file, also of one that breaks off; an empty one where it is none."""
    text = beginning(file)
    if len(text) < _ENOUGH:
        try:
            return _of_content(json.loads(text))
        except (ValueError, RecursionError):
            pass  # what it should have been is told by what there is
    return _of_text(text)


def _of_content(content: object) -> JsonOutline:
    values = content if isinstance(content, list) else list(content.values()) if isinstance(content, dict) else []
    inner = next((value for value in values if isinstance(value, dict)), {})
    keys = content if isinstance(content, dict) else ()
    return JsonOutline(isinstance(content, list), frozenset(keys), frozenset(inner))


def _of_text(text: str) -> JsonOutline:
    start = text.lstrip()[:1]
    keys: set[str] = set()
    inner: set[str] = set()
    depth, objects = 0, 0
    for token in _TOKEN.finditer(text if start in ("{", "[") else ""):
        mark = token[0]
        if mark in ("{", "["):
            depth += 1
            objects += mark == "{" and depth == 2
        elif mark in ("}", "]"):
            depth -= 1
        elif token[2] and depth == 1:
            keys.add(token[1])
        elif token[2] and depth == 2 and objects == 1:
            inner.add(token[1])
    return JsonOutline(start == "[", frozenset(keys), frozenset(inner))


def root_element(file: Path) -> str:
    """Return the name of an XML file's first element, an empty text where it is none."""
    found = _ELEMENT.search(_NO_ELEMENT.sub("", beginning(file, 1 << 14)))
    return found[1] if found else ""


def first_row(file: Path) -> str:
    """Return the first line of a text file that is neither empty nor a comment (`#`), without blanks around it."""
    lines = (line.strip() for line in beginning(file, 1 << 14).splitlines())
    return next((line for line in lines if line and not line.startswith("#")), "")
