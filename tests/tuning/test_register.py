import subprocess
import sys
from importlib import import_module
from importlib.util import find_spec

import pytest
from peft.mapping import PEFT_TYPE_TO_CONFIG_MAPPING, PEFT_TYPE_TO_PREFIX_MAPPING, PEFT_TYPE_TO_TUNER_MAPPING

import sam_mprompt.tuning
from sam_mprompt.tuning.prompt_tuner import PEFT_TYPE
from sam_mprompt.tuning.register import AfterImport, register_with_peft


@pytest.mark.slow
def test_importing_the_package_is_light_and_a_later_import_of_peft_knows_prompt_modules():
    script = (
        "import sys, sam_mprompt\n"
        "assert not {'torch', 'peft'} & sys.modules.keys(), 'heavy'\n"
        "import peft, inspect\n"
        "from peft.mapping import PEFT_TYPE_TO_CONFIG_MAPPING as table\n"
        "assert table['MPROMPT'].__name__ == 'PromptConfig'\n"
        "assert type(peft.__spec__.loader).__name__ == type(peft.__loader__).__name__ == 'SourceFileLoader'\n"
        "assert inspect.getsource(peft)\n"
    )
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, timeout=120, check=False)
    assert done.returncode == 0, done.stderr


def test_a_peft_that_was_imported_first_is_extended_at_once(monkeypatch):
    monkeypatch.setattr(sam_mprompt.tuning, "prompt_tuner", sam_mprompt.tuning.prompt_tuner)
    monkeypatch.delitem(sys.modules, "sam_mprompt.tuning.prompt_tuner")
    for table in (PEFT_TYPE_TO_CONFIG_MAPPING, PEFT_TYPE_TO_TUNER_MAPPING, PEFT_TYPE_TO_PREFIX_MAPPING):
        monkeypatch.delitem(table, PEFT_TYPE)
    for _ in range(2):
        register_with_peft()
        assert PEFT_TYPE_TO_CONFIG_MAPPING[PEFT_TYPE].__name__ == "PromptConfig"
    assert not any(isinstance(finder, AfterImport) for finder in sys.meta_path)


def test_the_import_hook_survives_being_asked_and_acts_once_after_the_import(tmp_path, monkeypatch):
    (tmp_path / "late_package.py").write_text("value = 1\n")
    monkeypatch.syspath_prepend(str(tmp_path))
    monkeypatch.setattr(sys, "meta_path", list(sys.meta_path))
    seen = []
    hook = AfterImport("late_package", lambda: seen.append(sys.modules["late_package"].value))
    sys.meta_path.insert(0, hook)
    assert find_spec("late_package") is not None
    assert find_spec("no_such_package_at_all") is None
    assert not seen
    module = import_module("late_package")
    assert seen == [1]
    assert type(module.__spec__.loader).__name__ == "SourceFileLoader"
    assert hook not in sys.meta_path
    monkeypatch.delitem(sys.modules, "late_package")


def test_an_import_that_fails_stays_hooked(tmp_path, monkeypatch):
    package = tmp_path / "breaking_package.py"
    package.write_text("raise OSError('not yet')\n")
    monkeypatch.syspath_prepend(str(tmp_path))
    monkeypatch.setattr(sys, "meta_path", list(sys.meta_path))
    monkeypatch.setattr(sys, "dont_write_bytecode", True)
    seen = []
    sys.meta_path.insert(0, AfterImport("breaking_package", lambda: seen.append(True)))
    with pytest.raises(OSError, match="not yet"):
        import_module("breaking_package")
    assert not seen
    package.write_text("value = 1\n")
    import_module("breaking_package")
    assert seen == [True]
    monkeypatch.delitem(sys.modules, "breaking_package")
