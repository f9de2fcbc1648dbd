"""Lets plain peft load prompt modules once `sam_mprompt` is imported, without importing peft (and torch) for that.

`peft.PeftModel.from_pretrained` looks the tuner up in peft's own tables, and peft offers no entry point through which
another package could add to them unasked. So the tables are extended right after peft is imported: at once where that
has happened already, otherwise by the only hook that Python has for it, a finder on `sys.meta_path`.
"""

import sys
from collections.abc import Callable, Sequence
from importlib import import_module
from importlib.machinery import ModuleSpec
from types import ModuleType
from typing import TYPE_CHECKING, cast

if TYPE_CHECKING:  # importlib.abc brings in tempfile, zipfile and more, and its classes add nothing that is used here
    from importlib.abc import Loader


def register_with_peft() -> None:
    """Make peft know prompt modules, now or as soon as it is imported. Safe to call again; imports nothing heavy."""
    if "peft" in sys.modules:
        _add_prompt_modules()
    elif not any(isinstance(finder, AfterImport) for finder in sys.meta_path):
        sys.meta_path.insert(0, AfterImport("peft", _add_prompt_modules))


def _add_prompt_modules() -> None:
    import_module("sam_mprompt.tuning.prompt_tuner")


class AfterImport:
    """Finds module `name` where the other finders do, and has `action` called once it has been executed."""

    def __init__(self, name: str, action: Callable[[], None]) -> None:
        self.name = name
        self.action = action

    def find_spec(
        self, fullname: str, path: Sequence[str] | None, target: ModuleType | None = None
    ) -> ModuleSpec | None:
        """Return the spec of the module that is waited for, with a loader that acts; None for all others."""
        if fullname != self.name:
            return None
        for finder in sys.meta_path:
            spec = None if finder is self else finder.find_spec(fullname, path, target)
            if spec is not None and spec.loader is not None:
                # Looking is not importing (transformers only asks whether peft is there), so the finder stays in place.
                spec.loader = cast("Loader", _ActingLoader(spec.loader, self))
                return spec
        return None


class _ActingLoader:
    """Hands everything to the real loader, which is also the one that the finished module reports as its own."""

    def __init__(self, loader: "Loader", finder: AfterImport) -> None:
        self.loader = loader
        self.finder = finder

    def create_module(self, spec: ModuleSpec) -> ModuleType | None:
        return self.loader.create_module(spec)

    def exec_module(self, module: ModuleType) -> None:
        module.__loader__ = self.loader
        if module.__spec__ is not None:
            module.__spec__.loader = self.loader
        self.loader.exec_module(module)
        if self.finder in sys.meta_path:
            sys.meta_path.remove(self.finder)
        self.finder.action()
