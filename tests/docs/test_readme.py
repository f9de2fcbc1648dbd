import re
import shutil
from pathlib import Path

from PIL import Image

from sam_mprompt.ablation.variants import load_ablation
from sam_mprompt.cli.app import app

README = (Path(__file__).resolve().parents[2] / "README.md").read_text(encoding="utf-8")


def test_the_python_example_runs_as_it_stands(trained_run, crowd_folder, tmp_path, monkeypatch, capsys):
    (example,) = re.findall(r"```python\n(.*?)```", README, re.DOTALL)
    for name in ("station", "gate-7"):
        shutil.copytree(trained_run / "adapter", tmp_path / "adapters" / name)
    Image.open(crowd_folder / "5.png").save(tmp_path / "crowd.jpg")
    monkeypatch.chdir(tmp_path)
    exec(compile(example, "README.md", "exec"), {})
    lines = capsys.readouterr().out.splitlines()
    assert len(lines) == 3
    assert lines[1].startswith("crowd.jpg ")


def test_there_are_exactly_two_set_up_commands():
    assert len(re.findall(r"^python3 -m venv", README, re.MULTILINE)) == 2


def test_every_command_that_is_shown_exists():
    known = {info.callback.__name__ for info in app.registered_commands} | {info.name for info in app.registered_groups}
    code = re.findall(r"```bash\n(.*?)```", README, re.DOTALL) + re.findall(r"`([^`\n]+)`", README)
    shown = {name for text in code for name in re.findall(r"(?:^|/)sam-mprompt ([a-z]+)", text, re.MULTILINE)}
    assert {"finetune", "evaluate", "count", "export"} <= shown <= known


def test_every_ablation_that_is_named_can_be_loaded():
    table = README.split("| `--rows` |")[1].split("Table 1 is the recipes")[0]
    names = re.findall(r"^\| `(\w+)` \|", table, re.MULTILINE)
    assert names == ["table2", "table3", "table4", "figure8"]
    assert all(load_ablation(name).rows for name in names)


def test_the_pictures_are_there():
    paths = re.findall(r"!\[[^]]*\]\(([^)]*)\)", README)
    assert {path for path in paths if (Path(__file__).resolve().parents[2] / path).is_file()} == set(paths) != set()
