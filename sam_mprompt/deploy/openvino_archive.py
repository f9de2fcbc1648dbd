"""OpenVINO's two files, a graph and its weights, as one beside the metadata. Needs neither torch nor OpenVINO.

It is a zip that is not compressed, so that whoever wants the two for another tool unpacks it.
"""

import zipfile
from dataclasses import dataclass
from pathlib import Path

from ..errors import UsageError

SUFFIX = ".openvino"
GRAPH, WEIGHTS, METADATA = "network.xml", "network.bin", "sam_mprompt.json"
_DATE = (1980, 1, 1, 0, 0, 0)
_MOST_METADATA = 1 << 28


@dataclass(frozen=True)
class Archived:
    """What a file holds: OpenVINO's graph and weights, and the text of `Metadata`."""

    graph: bytes
    weights: bytes
    metadata: str


def write_archive(archived: Archived, path: Path) -> None:
    """Write one file, the same for the same content."""
    texts = {METADATA: archived.metadata.encode(), GRAPH: archived.graph, WEIGHTS: archived.weights}
    with zipfile.ZipFile(path, "w", zipfile.ZIP_STORED) as archive:
        for name, content in texts.items():
            archive.writestr(zipfile.ZipInfo(name, _DATE), content)


def read_archive(path: Path) -> Archived:
    """Read what `write_archive` wrote; nothing is unpacked to a disk, or becomes larger than the file.

    Raises:
        UsageError: no such file, or one that is damaged or of somebody else's.
    """
    try:
        with zipfile.ZipFile(path) as archive:
            entries = {entry.filename: entry for entry in archive.infolist()}
            if set(entries) != {GRAPH, WEIGHTS, METADATA}:
                raise UsageError(f"'{path}' was not exported by sam-mprompt: it has no '{METADATA}'.")
            size = path.stat().st_size
            if any(entry.compress_type != zipfile.ZIP_STORED or entry.file_size > size for entry in entries.values()):
                raise ValueError("a member that is compressed")
            if entries[METADATA].file_size > _MOST_METADATA:
                raise ValueError("metadata that are too long")
            graph, weights, metadata = (archive.read(entries[name]) for name in (GRAPH, WEIGHTS, METADATA))
        return Archived(graph, weights, metadata.decode())
    except UsageError:
        raise
    except (zipfile.BadZipFile, ValueError, EOFError, NotImplementedError, RuntimeError, OSError) as error:
        raise UsageError(f"'{path}' cannot be read as a file of OpenVINO's: {error}") from error
