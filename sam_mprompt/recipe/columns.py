"""Which columns of a table of heads are which, as a user says it: `x=cx,y=cy,image=photo`."""

from ..errors import did_you_mean

COLUMNS = ("image", "x", "y", "x1", "y1", "x2", "y2", "width", "height", "label")
"""What a column can be called."""


def checked_columns(text: str) -> str:
    """Return the text. Raises ValueError as `parse_columns`."""
    parse_columns(text)
    return text


def parse_columns(text: str) -> dict[str, str]:
    """Return the name or number (from 1) of the column for each of `COLUMNS` that the text names.

    Args:
        text: pairs such as `x=cx,y=cy,image=photo`, or `image=1,x=3,y=2` for a table without names; empty for none.

    Raises:
        ValueError: no such pairs, an unknown key, or one twice.
    """
    chosen: dict[str, str] = {}
    for pair in text.split(",") if text.strip() else []:
        key, given, column = (part.strip() for part in pair.partition("="))
        key = key.casefold()
        if not given or not column:
            raise ValueError(f"expected pairs such as 'x=cx,y=cy,image=photo', got {pair.strip()!r}")
        if key not in COLUMNS:
            raise ValueError(
                f"expected one of {', '.join(COLUMNS)} before '=', got {key!r}.{did_you_mean(key, COLUMNS)}"
            )
        if key in chosen:
            raise ValueError(f"expected {key!r} once, got it twice")
        chosen[key] = column
    return chosen
