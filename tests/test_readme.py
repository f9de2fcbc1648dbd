import re
import shutil
from pathlib import Path

from PIL import Image

from sam_mprompt.cli import app
from sam_mprompt.recipe import load_recipe

README = (Path(__file__).resolve().parents[1] / "README.md").read_text(encoding="utf-8")


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


def test_every_row_of_the_ablation_table_is_a_valid_recipe():
    table = README.split("paper's Table 2")[1].split("`tuning.method`")[0]
    rows = [cell.split() for cell in re.findall(r"\| `(loss[^`]*)` \|", table)]
    assert len(rows) == 6
    for row in rows:
        load_recipe("shb", row)


def test_the_picture_is_there():
    (path,) = re.findall(r"!\[[^]]*\]\(([^)]*)\)", README)
    assert (Path(__file__).resolve().parents[1] / path).is_file()
