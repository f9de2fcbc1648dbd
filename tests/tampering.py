"""Adapter folders changed as somebody would who makes their checksums fit again."""

import json

from safetensors.torch import load_file, save_file

from sam_mprompt.adapter.contents import TENSORS
from sam_mprompt.adapter.counter_file import COUNTER
from sam_mprompt.files import sha256_of


def change_counter_file(adapter, change):
    """Let `change` work on what counter.json holds."""
    path = adapter / COUNTER
    table = json.loads(path.read_text())
    change(table)
    path.write_text(json.dumps(table))


def sign(adapter):
    """Write the checksums anew."""
    change_counter_file(
        adapter, lambda table: table.update(sha256={name: sha256_of(adapter / name) for name in table["sha256"]})
    )


def change_tensors(adapter, change):
    """Let `change` work on the tensors, and sign."""
    tensors = load_file(adapter / TENSORS)
    change(tensors)
    save_file(tensors, adapter / TENSORS)
    sign(adapter)


def as_version_1(adapter):
    """Turn counter.json into one of version 0.1."""

    def change(table):
        table |= {"format_version": 1, "multiple": table.pop("size_divisor"), "written_by": "0.1.0"}

    change_counter_file(adapter, change)
