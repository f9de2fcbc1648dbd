"""XML that others wrote -> elements; nothing outside the file is read and no entity is expanded."""

from pathlib import Path
from xml.etree.ElementTree import Element, TreeBuilder
from xml.parsers.expat import ExpatError, ParserCreate

from ....errors import UsageError
from ..text import MAX_BYTES, check_regular


def read_xml(path: Path, root: str) -> Element:
    """Read an XML file and return its first element, which should be called `root`.

    Raises:
        UsageError: it cannot be read or is malformed (the message names the line), has a document type, or another
            element.
    """
    check_regular(path, MAX_BYTES)
    builder, parser = TreeBuilder(), ParserCreate()

    def refuse(*_declaration: object) -> None:
        raise UsageError(f"'{path}': expected XML without a document type, which can make a small file endless.")

    parser.StartElementHandler = builder.start
    parser.EndElementHandler = builder.end
    parser.CharacterDataHandler = builder.data
    parser.StartDoctypeDeclHandler = refuse
    try:
        parser.Parse(path.read_bytes(), True)
        found = builder.close()
    except OSError as error:
        raise UsageError(f"Cannot read '{path}': {error.strerror}.") from error
    except (ExpatError, AssertionError, ValueError, LookupError) as error:
        raise UsageError(f"'{path}' is not valid XML: {error}.") from error
    if found.tag != root:
        raise UsageError(f"'{path}': expected <{root}> as the first element; received <{found.tag}>.")
    return found


def number(text: str | None, what: str, where: str) -> float:
    """Return a number that stands in an element or attribute. Raises UsageError, led by `where`, for anything else."""
    try:
        return float(text or "")
    except ValueError as error:
        raise UsageError(f"{where}: expected a number as {what}; received {text!a:.60}.") from error


def side(text: str | None) -> int | None:
    """Return a side of an image in pixels, None where none is stated."""
    plain = (text or "").strip()
    return int(plain) or None if plain.isdecimal() and len(plain) < 10 else None


def frame_of(height: str | None, width: str | None) -> tuple[int, int] | None:
    """Return (height, width) as two texts state them, None where one does not."""
    high, wide = side(height), side(width)
    return (high, wide) if high and wide else None
