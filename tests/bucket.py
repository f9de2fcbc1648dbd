"""An object store that needs no network: a folder that opens as `bucket://`, in this process and in others."""

import runpy
from pathlib import Path

_REGISTERS = """
from fsspec import register_implementation
from fsspec.implementations.dirfs import DirFileSystem
from fsspec.implementations.local import LocalFileSystem


class Bucket(DirFileSystem):
    protocol = "bucket"

    def __init__(self, **options):
        super().__init__(path={root!r}, fs=LocalFileSystem(auto_mkdir=True), **options)


register_implementation("bucket", Bucket, clobber=True)
"""


def bucket(folder: Path, root: Path) -> Path:
    """Make `bucket://` the folder `root`; a Python with the returned folder in its PYTHONPATH knows it too."""
    folder.mkdir()
    site = folder / "sitecustomize.py"
    site.write_text(_REGISTERS.format(root=str(root)))
    runpy.run_path(str(site))
    return folder
