"""JSON text -> values, where it means one thing: the one reader of JSON, of our own files and of foreign ones."""

import json
from collections import Counter
from typing import Any


class _RepeatedKeyError(ValueError):
    pass


def parse_json(text: str) -> Any:
    """Parse JSON.

    Raises:
        ValueError: with the reason in one line. Malformed (then a `json.JSONDecodeError`), a key twice in an object, of
            which Python alone would keep the last, nesting beyond any use, or a number of thousands of digits.
    """
    try:
        return json.loads(text, object_pairs_hook=_without_repeats)
    except (json.JSONDecodeError, _RepeatedKeyError):
        raise
    except RecursionError as error:
        raise ValueError("nested too deeply") from error
    except ValueError as error:  # Python converts no integer of more than 4,300 digits
        raise ValueError("a number has too many digits") from error


def _without_repeats(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    table = dict(pairs)
    if len(table) < len(pairs):
        twice = next(key for key, times in Counter(key for key, _ in pairs).items() if times > 1)
        raise _RepeatedKeyError(f"the key {twice!a:.60} stands twice in an object")
    return table
