"""Files and folders that are whole or absent, taken by one process at a time, and freed of what the dead left."""

from .json_text import parse_json
from .leftovers import recover, recover_within, remove
from .locks import LOCK, locked
from .names import name_of
from .records import read_record
from .scratch import scratch_folder
from .writing import (
    appending,
    check_output,
    is_disk_error,
    is_file,
    is_folder,
    is_stream,
    replacing,
    sha256_of,
    write_text,
    write_with,
)

__all__ = [
    "LOCK",
    "appending",
    "check_output",
    "is_disk_error",
    "is_file",
    "is_folder",
    "is_stream",
    "locked",
    "name_of",
    "parse_json",
    "read_record",
    "recover",
    "recover_within",
    "remove",
    "replacing",
    "scratch_folder",
    "sha256_of",
    "write_text",
    "write_with",
]
