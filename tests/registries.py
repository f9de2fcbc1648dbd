"""A registry for tests: one published and one bundled checkpoint, and one of the hub."""

import hashlib
from pathlib import Path

CONTENT = b"weights" * 100
OTHER = b"garbage" * 100
SHA256 = hashlib.sha256(CONTENT).hexdigest()


def entry(file: str, **fields: object) -> str:
    values = {
        "file": file,
        "size": len(CONTENT),
        "sha256": SHA256,
        "licence": "Apache-2.0",
        "description": "for tests",
        **fields,
    }
    return "\n".join(f"{key} = {value!r}" for key, value in values.items() if value is not None)


def write_registry(path: Path) -> Path:
    """Write a registry whose checkpoints are not on this machine."""
    published = entry("sam_small_123.pth", url="http://127.0.0.1:9/sam_small_123.pth", aliases=["small"])
    at_the_hub = entry("owner--sam.safetensors", hub="owner/sam", size=None, aliases=["hf:owner/sam"])
    path.parent.mkdir()
    path.write_text(
        f"[sam_small]\n{published}\n[sam-tiny]\n{entry('sam_tiny.safetensors')}\n[sam-hub]\n{at_the_hub}\n",
        encoding="utf-8",
    )
    return path
