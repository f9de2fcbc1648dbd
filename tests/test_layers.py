"""The plan of the house, held against the imports: arrows go down, nothing is too long to see at once."""

import ast
import functools
from collections.abc import Iterator
from pathlib import Path

import pytest

import sam_mprompt

PACKAGE = Path(sam_mprompt.__file__).resolve().parent
LAYERS = (
    ("errors", "arrays", "version", "sizes", "shown"),
    ("allocator", "environment", "files", "memory", "resources"),
    ("tensor_files", "products"),
    ("geometry", "targets", "render", "contact_sheet"),
    ("recipe",),
    ("losses",),
    ("data",),
    ("tuning", "bases"),
    ("models",),
    ("adapter",),
    ("counting",),
    ("deploy",),
    ("evaluation",),
    ("training",),
    ("pretraining", "masks"),
    ("ablation", "doctor", "planning"),
    ("serve",),
    ("distributed", "ui"),
    ("cli",),
    ("__init__", "__main__"),
)
"""From the ground up; a package may import itself and what stands in a lower line, type-only imports included."""

LONGEST_MODULE, LONGEST_FUNCTION = 400, 60


def modules(root: Path) -> dict[str, Path]:
    """Dotted names below the package, `__init__` of a package under the package's own name."""
    found = {}
    for path in sorted(root.rglob("*.py")):
        parts = path.relative_to(root).with_suffix("").parts
        found[".".join(parts[:-1] if len(parts) > 1 and parts[-1] == "__init__" else parts)] = path
    return found


@functools.cache
def parsed(content: str) -> ast.Module:
    """The same module is looked at by many tests."""
    return ast.parse(content)


def tree_of(path: Path) -> ast.Module:
    return parsed(path.read_text(encoding="utf-8"))


@functools.cache
def statements(content: str) -> list[ast.Import | ast.ImportFrom]:
    return [node for node in ast.walk(parsed(content)) if isinstance(node, ast.Import | ast.ImportFrom)]


def imports(name: str, path: Path, known: set[str]) -> Iterator[str]:
    """The package's own modules that a module imports, wherever the statement stands."""
    package = name.split(".") if path.name == "__init__.py" else name.split(".")[:-1]
    package = [] if name == "__init__" else package
    for node in statements(path.read_text(encoding="utf-8")):
        if isinstance(node, ast.ImportFrom):
            if node.level == 0 and not (node.module or "").startswith("sam_mprompt"):
                continue
            base = package[: len(package) - node.level + 1] if node.level else []
            module = (node.module or "").removeprefix("sam_mprompt").removeprefix(".")
            target = ".".join([*base, *([module] if module else [])])
            for alias in node.names:
                inner = f"{target}.{alias.name}" if target else alias.name
                yield inner if inner in known else (target or "__init__")
        else:
            yield from (a.name.removeprefix("sam_mprompt.") for a in node.names if a.name.startswith("sam_mprompt."))


def rising(root: Path) -> list[str]:
    """Every import that does not go down."""
    floor = {name: number for number, line in enumerate(LAYERS) for name in line}
    known = modules(root)
    faults = []
    for name, path in known.items():
        own = name.split(".")[0]
        for target in imports(name, path, set(known)):
            other = target.split(".")[0]
            if other != own and floor[other] >= floor[own]:
                faults.append(f"{name} imports {target}")
    return faults


def cycles(root: Path) -> list[str]:
    """Modules that import each other, as the first way round that is found from each."""
    known = modules(root)
    arrows = {name: {t for t in imports(name, path, set(known)) if t != name} for name, path in known.items()}
    done: set[str] = set()
    found = []

    def visit(name: str, way: tuple[str, ...]) -> None:
        if name in way:
            found.append(" -> ".join([*way[way.index(name) :], name]))
        elif name not in done:
            for target in sorted(arrows.get(name, ())):
                visit(target, (*way, name))
            done.add(name)

    for name in arrows:
        visit(name, ())
    return found


def test_every_module_has_a_floor():
    assert {name.split(".")[0] for name in modules(PACKAGE)} == {name for line in LAYERS for name in line}


def test_imports_go_down():
    assert rising(PACKAGE) == []


def test_no_modules_import_each_other():
    assert cycles(PACKAGE) == []


@pytest.mark.parametrize("statement", ["from ..cli import app", "from ..models.counter import CrowdCounter"])
def test_an_import_that_is_turned_round_is_found(tmp_path, statement):
    for name, path in modules(PACKAGE).items():
        copy = tmp_path / path.relative_to(PACKAGE)
        copy.parent.mkdir(parents=True, exist_ok=True)
        text = path.read_text(encoding="utf-8")
        copy.write_text(f"{text}\n{statement}\n" if name == "recipe.find" else text, encoding="utf-8")
    assert [fault for fault in rising(tmp_path) if fault.startswith("recipe.find imports")]


def test_the_core_imports_no_rich_and_prints_nothing():
    faults = []
    for name, path in modules(PACKAGE).items():
        if name.split(".")[0] in ("cli", "__main__"):
            continue
        for node in ast.walk(tree_of(path)):
            names = [a.name for a in node.names] if isinstance(node, ast.Import) else []
            names += [node.module or ""] if isinstance(node, ast.ImportFrom) and not node.level else []
            faults += [f"{name} imports {found}" for found in names if found.split(".")[0] in ("rich", "typer")]
            if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id == "print":
                faults.append(f"{name} prints in line {node.lineno}")
    assert faults == []


def test_the_core_names_no_command_and_no_flag():
    faults = []
    for name, path in modules(PACKAGE).items():
        if name.split(".")[0] in ("cli", "__main__"):
            continue
        tree = tree_of(path)
        for node in ast.walk(tree):
            if isinstance(node, ast.Raise):
                text = " ".join(
                    c.value for c in ast.walk(node) if isinstance(c, ast.Constant) and isinstance(c.value, str)
                )
                if "sam-mprompt " in text or " --" in text or "'--" in text:
                    faults.append(f"{name}, line {node.lineno}: {text:.80}")
    assert faults == []


def test_every_topic_of_an_error_has_advice_and_every_advice_a_topic():
    from sam_mprompt.cli.advice import ADVICE

    used = set()
    for path in modules(PACKAGE).values():
        for node in ast.walk(tree_of(path)):
            if isinstance(node, ast.keyword) and node.arg == "about":
                choices = [node.value.body, node.value.orelse] if isinstance(node.value, ast.IfExp) else [node.value]
                used |= {choice.value for choice in choices if isinstance(choice, ast.Constant) and choice.value}
    assert used == set(ADVICE)


def test_no_module_is_longer_than_a_reader_can_hold():
    lengths = {name: len(path.read_text(encoding="utf-8").splitlines()) for name, path in modules(PACKAGE).items()}
    assert {name: length for name, length in lengths.items() if length > LONGEST_MODULE} == {}


def test_no_function_is_longer_than_a_screen():
    long = {}
    for name, path in modules(PACKAGE).items():
        for node in ast.walk(tree_of(path)):
            if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
                lines = (node.end_lineno or 0) - node.lineno + 1
                if lines > LONGEST_FUNCTION:
                    long[f"{name}.{node.name}"] = lines
    assert long == {}
