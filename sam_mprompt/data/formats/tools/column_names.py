"""Columns under other names: those that the user says, and those that may be meant and are suggested."""

import re
from collections.abc import Iterable, Mapping, Sequence

from ....errors import UsageError, did_you_mean
from .csv_rows import is_number

_MAY_BE = {
    "image": "photo photograph picture pic imagename imageid imagefile imagepath filepath frame source src slide foto "
    "bild fichier datei label",
    "x": "cx xc xcenter xcentre centerx centrex xcoord xcoordinate coordx xpos posx xpixel pixelx px pointx xm col "
    "column cols columns u lon long lng longitude easting left",
    "y": "cy yc ycenter ycentre centery centrey ycoord ycoordinate coordy ypos posy ypixel pixely py pointy ym row "
    "rows v lat latitude northing top line",
}
"""Names without what is no letter; those that are more likely come first."""


def suggested(cells: Sequence[str], keys: Iterable[str]) -> dict[str, str]:
    """Return for each of the keys `image`, `x` and `y` the column that may be meant, where there is one."""
    plain = {_plain(cell): cell for cell in reversed(cells)}
    found = {key: [plain[name] for name in (key, *_MAY_BE[key].split()) if name in plain] for key in keys}
    return {key: columns[0] for key, columns in found.items() if columns}


def named(cells: Sequence[str], chosen: Mapping[str, str], where: str) -> tuple[list[str], bool]:
    """Return what each column is called once the user has said so, and whether the row is a header.

    A column is chosen by its name, in any case, or by its number from 1. Another column that is called as a chosen one
    loses its name.

    Raises:
        UsageError: there is no such column.
    """
    plain = [cell.casefold() for cell in cells]
    places: dict[str, int] = {}
    by_number = False
    for key, column in chosen.items():
        if column.casefold() in plain:
            places[key] = plain.index(column.casefold())
        elif column.isdecimal() and len(column) < 4 and 1 <= int(column) <= len(cells):
            places[key], by_number = int(column) - 1, True
        else:
            listing = ", ".join(f"'{cell}'" for cell in cells)
            raise UsageError(
                f"{where}: no column '{column}' that could be {key}; found {listing:.200}."
                f"{did_you_mean(column, list(cells))}"
            )
    coordinates = [cells[place] for key, place in places.items() if key not in ("image", "label")]
    header = not (by_number and (not any(coordinates) or any(map(is_number, coordinates))))
    names = plain if header else [""] * len(plain)
    names = ["" if name in chosen else name for name in names]
    for key, place in places.items():
        names[place] = key
    return names, header


def _plain(cell: str) -> str:
    """Return a column's name in lower case without its unit and without what is no letter."""
    return re.sub(r"[\W_]+", "", re.sub(r"[(\[].*", "", cell.casefold()))
