"""Commands and examples that stand in README and documentation work."""

import re
import shutil
from collections.abc import Callable
from typing import Any

import pytest
from docs_pages import PAGES, ROOT, Command, all_commands, commands
from PIL import Image
from typer.main import get_command

from sam_mprompt.cli.app import app
from sam_mprompt.pretraining.recipe import load_pretrain_recipe
from sam_mprompt.recipe.find import recipe_files
from sam_mprompt.recipe.schema import load_recipe
from sam_mprompt.resources import bundled

COMMANDS = all_commands()
ABLATIONS = {file.stem for file in (bundled("recipes") / "ablation").glob("*.toml")}


def parse(words: tuple[str, ...]) -> dict[str, Any]:
    """Parse a command as the command line does, without running it, and return what its function would get."""
    command: Any = get_command(app)
    rest, name = list(words), "sam-mprompt"
    while hasattr(command, "commands"):
        name, rest = rest[0], rest[1:]
        command = command.commands[name]
    return command.make_context(name, rest).params


def identifier(command: Command) -> str:
    return f"{command.page}: {' '.join(command.words)}"


def test_every_page_of_commands_is_found():
    pages = {command.page for command in COMMANDS}
    assert {"README.md", "docs/index.md", "docs/own-photographs.md", "docs/paper.md"} <= pages
    assert len(COMMANDS) > 40


@pytest.mark.parametrize("command", COMMANDS, ids=identifier)
def test_a_shown_command_is_one(command):
    given = parse(command.words)
    recipe = given.get("recipe")
    if recipe is None:
        return
    load = load_pretrain_recipe if command.words[0] == "pretrain" else load_recipe
    if not recipe.endswith(".toml"):
        load(recipe, given.get("overrides") or ())
    if "rows" in given:
        assert given["rows"] in ABLATIONS


@pytest.mark.parametrize(
    "wrong", ["finetune --recipie demo", "fintune --recipe demo", "count", "export runs/a --dtype int9"]
)
def test_a_command_that_is_none_would_be_noticed(wrong):
    with pytest.raises(Exception, match=r"(?i)no such option|fintune|missing|int9"):  # of the click that typer has
        parse(tuple(wrong.split()))


def test_a_block_that_runs_holds_nothing_but_commands():
    with pytest.raises(ValueError, match="sam-mprompt alone"):
        commands("page.md", "<!-- runs offline -->\n```bash\nrm -rf .\n```\n")


def test_marks_slowness_and_added_words_are_read():
    marked = "<!-- runs offline, slow: --set a=1 -->\n```bash\nsam-mprompt count a b  # why\n```\n\n"
    first, second = commands("page.md", marked + "```bash\n./sam-mprompt count\n```\n")
    assert first == Command("page.md", ("count", "a", "b"), True, True, ("--set", "a=1"))
    assert second == Command("page.md", ("count",), False, False, ())


def run_page(page: str, run_cli: Callable[..., Any], *, slow: bool) -> None:
    for command in COMMANDS:
        if command.page == page and command.runs and (slow or not command.slow):
            outcome = run_cli(*command.words, *command.added)
            assert outcome.code == 0, f"{' '.join(command.words)}: {outcome.err}"


def pages_that_run(*, slow: bool) -> list[str]:
    return sorted({command.page for command in COMMANDS if command.runs and command.slow == slow})


@pytest.mark.parametrize("page", pages_that_run(slow=False))
def test_the_commands_that_a_page_calls_offline_run(page, run_cli, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    run_page(page, run_cli, slow=False)


@pytest.mark.slow
@pytest.mark.parametrize("page", pages_that_run(slow=True))
def test_the_slow_commands_of_a_page_run(page, run_cli, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    run_page(page, run_cli, slow=True)


EXAMPLES = [
    (path.relative_to(ROOT).as_posix(), example)
    for path in PAGES
    for example in re.findall(r"```python\n(.*?)```", path.read_text(encoding="utf-8"), re.DOTALL)
]


@pytest.mark.parametrize(("page", "example"), EXAMPLES, ids=[f"{page}-{at}" for at, (page, _) in enumerate(EXAMPLES)])
def test_the_python_examples_run_as_they_stand(page, example, trained_run, crowd_folder, tmp_path, monkeypatch, capsys):
    for name in ("station", "gate-7"):
        shutil.copytree(trained_run / "adapter", tmp_path / "adapters" / name)
    Image.open(crowd_folder / "5.png").save(tmp_path / "crowd.jpg")
    monkeypatch.chdir(tmp_path)
    exec(compile(example, page, "exec"), {})
    lines = capsys.readouterr().out.splitlines()
    if "count_video" in example:
        assert lines[0].startswith("0.0 ")
    elif "gate-7" in example:
        assert len(lines) == 3
        assert lines[1].startswith("crowd.jpg ")
    elif "regions" in example:
        total, left, density, elsewhere = map(float, lines[0].split())
        assert 0 <= left <= total
        assert density == pytest.approx(left / 30)
        assert 0 <= elsewhere <= total
    else:
        assert lines[0].startswith("No adapter 'adapters/nowhere'")


def test_every_command_that_is_named_in_the_text_exists():
    known = {info.callback.__name__ for info in app.registered_commands} | {info.name for info in app.registered_groups}
    for page in PAGES:
        inline = re.findall(r"`([^`\n]+)`", page.read_text(encoding="utf-8"))
        named = {name for text in inline for name in re.findall(r"^sam-mprompt ([a-z]+)", text)}
        assert named <= known, page


def test_every_recipe_that_is_named_in_a_table_of_recipes_exists():
    known = set(recipe_files())
    for page in (ROOT / "README.md", ROOT / "docs" / "paper.md"):
        table = re.search(r"^\| recipe \|.*?(?=\n\n)", page.read_text(encoding="utf-8"), re.DOTALL | re.MULTILINE)
        assert table is not None
        cells = [line.split("|")[1] for line in table[0].splitlines()[2:]]
        named = {name for cell in cells for name in re.findall(r"`([^`]+)`", cell)}
        assert named <= known
        assert len(named) > 8
    assert set(re.findall(r"`([\w-]+)`", (ROOT / "README.md").read_text(encoding="utf-8"))) >= known - {
        "nwpu-segmenter"
    }


def test_the_ablations_that_are_named_are_those_that_ship():
    text = (ROOT / "docs" / "paper.md").read_text(encoding="utf-8")
    table = text.split("| `--rows` |")[1].split("Table 1 is the recipes")[0]
    names = re.findall(r"^\| `(\w+)` \|", table, re.MULTILINE)
    assert names == ["table2", "table3", "table4", "figure8"]
    assert set(names) == ABLATIONS
