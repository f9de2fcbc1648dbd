"""The command line: thin commands that parse, call and print. Imports neither torch nor peft before a command runs."""

import json
import os
import sys
from pathlib import Path
from typing import Annotated, Any, Literal

import typer
from rich.console import Console
from typer.core import TyperGroup

from ..errors import RunError, UsageError
from .advice import advised
from .catalogue import adapters, checkpoints, data, recipes

# Typer has pydantic look at each flag that is not given and has no default, its own ones among them; importing pydantic
# for that takes longer than a list. So where a command needs it for nothing else, these flags get a default.
_OFF = {"help": False}
_LIST = {"list": _OFF, **_OFF}
_FLAGS = {"install_completion": False, "show_completion": False, "recipes": _LIST, "checkpoints": _LIST, **_OFF}


class _Commands(TyperGroup):
    """All commands. Typer ends an interrupted one in silence; the user is told what was saved and how to go on."""

    def invoke(self, ctx: Any) -> Any:
        """Run a command."""
        try:
            return super().invoke(ctx)
        except KeyboardInterrupt as error:
            sys.exit(_failure(error, 130))


app = typer.Typer(
    name="sam-mprompt",
    cls=_Commands,
    help="Turn a frozen Segment-Anything encoder into a crowd counter: checkpoint + recipe -> adapter.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    rich_markup_mode="markdown",
    context_settings={"help_option_names": ["-h", "--help"], "default_map": _FLAGS},
)
app.add_typer(adapters, name="adapters")
app.add_typer(recipes, name="recipes")
app.add_typer(checkpoints, name="checkpoints")
app.add_typer(data, name="data")

Adapter = Annotated[str, typer.Argument(metavar="ADAPTER", help="Adapter folder, run folder, or an adapter's name.")]
Base = Annotated[str | None, typer.Option(metavar="NAME|FILE", help="Base checkpoint instead of the recorded one.")]
Device = Annotated[str | None, typer.Option(help="cpu, cuda, cuda:1, ...; by default the GPU when there is one.")]


@app.command(epilog="Example: `sam-mprompt finetune --recipe shb --data data/part_B --set train.epochs=100`")
def finetune(
    recipe: Annotated[str, typer.Option(metavar="NAME|FILE", help="Recipe name (see `recipes list`) or TOML file.")],
    data: Annotated[Path | None, typer.Option(metavar="DIR", help="Dataset folder instead of the recipe's.")] = None,
    base: Annotated[str | None, typer.Option(metavar="NAME|FILE", help="Base instead of the recipe's.")] = None,
    out: Annotated[Path | None, typer.Option(metavar="DIR", help="Run folder; by default runs/RECIPE.")] = None,
    overrides: Annotated[
        list[str] | None, typer.Option("--set", metavar="KEY=VALUE", help="Override a recipe key; repeatable.")
    ] = None,
    resume: Annotated[bool, typer.Option("--resume", help="Go on from the run's saved state.")] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print the outcome as JSON.")] = False,
) -> None:
    """Train prompt modules and a regressor on a frozen base; write the best epoch's adapter.

    Ctrl-C saves the state; --resume goes on to the same weights as an uninterrupted run.
    """
    from ..recipe.schema import load_recipe

    wanted = [*(overrides or ()), *([f"model.base={json.dumps(base)}"] if base else ())]
    load_recipe(recipe, wanted)  # whoever misspelt something need not wait for torch

    from ..training.finetune import finetune as train
    from ..training.finetune import prepare_run

    console = Console(stderr=True)
    resolved, run = prepare_run(recipe, wanted, out, resume=resume)
    result = train(resolved, data=data, run=run, resume=resume, console=console)
    if result is None:  # not the main process of a distributed run
        return
    if as_json:
        typer.echo(json.dumps(result.as_dict()))
    else:
        typer.echo(result.summary())


@app.command(epilog="Example: `sam-mprompt evaluate runs/shb --data data/part_B --json shb.json --worst worst/`")
def evaluate(
    adapter: Adapter,
    data: Annotated[Path, typer.Option(metavar="DIR", help="Dataset folder.")],
    data_format: Annotated[
        str | None, typer.Option("--format", metavar="F", help="Layout on disk; recognised when not given.")
    ] = None,
    split: Annotated[Literal["train", "val", "test"], typer.Option(help="Which split to count.")] = "test",
    per_image: Annotated[bool, typer.Option("--per-image", help="Print every image, not only the worst five.")] = False,
    json_file: Annotated[Path | None, typer.Option("--json", metavar="FILE", help="Also write all as JSON.")] = None,
    submission: Annotated[
        Path | None, typer.Option(metavar="FILE", help="Also write NWPU's submission: a line `id count` per image.")
    ] = None,
    localise: Annotated[
        bool, typer.Option("--localise", help="Also locate heads: precision, recall, F1 (NWPU's rule with boxes).")
    ] = False,
    locations: Annotated[
        Path | None, typer.Option(metavar="FILE", help="Also write NWPU's localisation: `id N x1 y1 ...` per image.")
    ] = None,
    masks: Annotated[
        bool, typer.Option("--masks", help="Also mask IoU with head boxes, of a run (its last weights' segmenter).")
    ] = False,
    worst: Annotated[
        Path | None, typer.Option(metavar="DIR", help="Also draw the worst cases into this folder.")
    ] = None,
    batch_size: Annotated[int, typer.Option(min=1, help="Tiles per forward pass.")] = 1,
    base: Base = None,
    device: Device = None,
) -> None:
    """Count an annotated split: MAE, RMSE, NAE, the table per image, groups, and pictures of the worst cases."""
    from .commands import evaluate_adapter

    evaluate_adapter(
        adapter,
        data,
        data_format=data_format,
        split=split,
        per_image=per_image,
        json_file=json_file,
        submission=submission,
        localise=localise,
        locations=locations,
        masks=masks,
        worst=worst,
        batch_size=batch_size,
        base=base,
        device=device,
    )


@app.command(epilog="Example: `sam-mprompt count runs/shb street.jpg photos/ 'cam-*/*.png' --overlay out/`")
def count(
    adapter: Adapter,
    paths: Annotated[list[str], typer.Argument(metavar="PATH...", help="Images, folders of images, or globs.")],
    csv_file: Annotated[Path | None, typer.Option("--csv", metavar="FILE", help="Also write image,count.")] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON instead of the table.")] = False,
    overlay: Annotated[
        Path | None, typer.Option(metavar="DIR", help="Also draw heat maps with the count into this folder.")
    ] = None,
    batch_size: Annotated[int, typer.Option(min=1, help="Tiles per forward pass.")] = 1,
    precision: Annotated[
        Literal["no", "fp16", "bf16"], typer.Option(help="Mixed precision on a GPU; a CPU counts in float32.")
    ] = "no",
    compiled: Annotated[
        bool, typer.Option("--compile", help="Translate the encoder first: for many images beyond a tile.")
    ] = False,
    base: Base = None,
    device: Device = None,
) -> None:
    """Count the people in images."""
    from .commands import count_images

    count_images(
        adapter,
        paths,
        csv_file=csv_file,
        as_json=as_json,
        overlay=overlay,
        batch_size=batch_size,
        precision=precision,
        compiled=compiled,
        base=base,
        device=device,
    )


@app.command(epilog="Example: `sam-mprompt export runs/shb --to adapters/shb --dtype float16`")
def export(
    adapter: Adapter,
    to: Annotated[Path, typer.Option(metavar="DIR", help="Folder to write; must not exist or be empty.")],
    dtype: Annotated[
        Literal["float32", "float16"], typer.Option(help="How prompt modules are stored; the heads stay float32.")
    ] = "float32",
) -> None:
    """Write an adapter folder to share or deploy: prompt modules and regressor, without base and segmenter."""
    from ..adapter.find import find_adapter
    from ..adapter.folder import export_adapter, read_adapter

    exported = export_adapter(read_adapter(find_adapter(adapter)), to, dtype=dtype)
    size = sum(file.stat().st_size for file in exported.path.iterdir())
    typer.echo(f"{exported.path}  {size / 1e6:.2f} MB  {exported.info.dtype}")


@app.command(epilog="Example: `sam-mprompt describe shb --size 448`")
def describe(
    name: Annotated[str, typer.Argument(metavar="RECIPE|ADAPTER", help="Recipe name or file, or an adapter.")],
    size: Annotated[int, typer.Option(min=1, help="Side of the square image in pixels.")] = 224,
    overrides: Annotated[
        list[str] | None, typer.Option("--set", metavar="KEY=VALUE", help="Override a recipe key; repeatable.")
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
) -> None:
    """Show what a counter costs, part by part: parameters, multiply-adds, and memory while training."""
    from ..adapter.find import recipe_behind
    from ..evaluation.cost import measure_cost
    from ..recipe.schema import load_recipe
    from .commands import print_description

    described = measure_cost(load_recipe(recipe_behind(name), overrides or ()), (size, size))
    if as_json:
        typer.echo(json.dumps(described.as_dict(), indent=2))
    else:
        print_description(described)


@app.command(epilog="Example: `sam-mprompt compare runs/shb runs/shb-2 street.jpg --out sheet.jpg`")
def compare(
    first: Adapter,
    second: Annotated[str, typer.Argument(metavar="ADAPTER", help="Another one.")],
    paths: Annotated[list[str], typer.Argument(metavar="PATH...", help="Images, folders of images, or globs.")],
    out: Annotated[Path, typer.Option(metavar="FILE", help="The sheet, .jpg or .png.")] = Path("compare.jpg"),
    device: Device = None,
) -> None:
    """Draw two counters on the same images: both densities with counts, and where runs' masks differ."""
    from .commands import compare_adapters

    compare_adapters(first, second, paths, out=out, device=device)


@app.command(epilog="Example: `sam-mprompt masks --source points --data data/part_B --out masks/part_B --dilation 8`")
def masks(
    source: Annotated[Literal["boxes", "points", "segmenter", "sam"], typer.Option(help="What makes the masks.")],
    data: Annotated[Path, typer.Option(metavar="DIR", help="Dataset folder.")],
    out: Annotated[Path, typer.Option(metavar="DIR", help="Folder for the masks; what is there already is kept.")],
    data_format: Annotated[
        str | None, typer.Option("--format", metavar="F", help="Layout on disk; recognised when not given.")
    ] = None,
    dilation: Annotated[int, typer.Option(min=1, help="points: radius of a head in pixels.")] = 8,
    run: Annotated[Path | None, typer.Option(metavar="DIR", help="segmenter: the run that trained it.")] = None,
    overrides: Annotated[
        list[str] | None,
        typer.Option("--set", metavar="KEY=VALUE", help="segmenter: override a key of its run's recipe (data.scale)."),
    ] = None,
    base: Annotated[str, typer.Option(metavar="NAME|FILE", help="sam: the whole SAM, with its decoder.")] = "sam_vit_b",
    device: Device = None,
) -> None:
    """Make the pseudo masks of a dataset once, for recipes with `targets.pseudo_mask = "files"`.

    Sources: the dataset's own head boxes; its points, dilated; the segmenter of a run; or the frozen SAM, prompted with
    every point, which needs no box at all.
    """
    from .commands import write_masks

    write_masks(
        source,
        data,
        out,
        data_format=data_format,
        dilation=dilation,
        run=run,
        overrides=overrides or (),
        base=base,
        device=device,
    )


@app.command(epilog="Example: `sam-mprompt ablate --rows table2 --recipe sha --data data/part_A --seeds 3 --test`")
def ablate(
    recipe: Annotated[str, typer.Option(metavar="NAME|FILE", help="The recipe that all rows vary.")],
    rows: Annotated[
        str, typer.Option(metavar="NAME|FILE", help="table2, table3, table4 or figure8 of the paper, or a TOML file.")
    ] = "table2",
    data: Annotated[Path | None, typer.Option(metavar="DIR", help="Dataset folder instead of the recipe's.")] = None,
    seeds: Annotated[int, typer.Option(min=1, help="Trainings of each row, with seeds 0, 1, ...")] = 1,
    out: Annotated[Path | None, typer.Option(metavar="DIR", help="Folder; by default runs/ablate/ROWS-RECIPE.")] = None,
    overrides: Annotated[
        list[str] | None, typer.Option("--set", metavar="KEY=VALUE", help="Override a key in all rows; repeatable.")
    ] = None,
    test: Annotated[bool, typer.Option("--test", help="Also count the test split, once per run, at its end.")] = False,
    minutes: Annotated[float, typer.Option(min=0, help="Start no run after this time.")] = float("inf"),
    as_json: Annotated[bool, typer.Option("--json", help="Print one record per run as JSON.")] = False,
) -> None:
    """Train a recipe in the variants of a table, and write the table beside the paper's figures, a CSV and a plot.

    What is done is not done again: the same command goes on where it was stopped, also within a run.
    """
    from .ablate import ablate as run

    run(
        rows,
        recipe,
        data=data,
        seeds=seeds,
        settings=overrides or (),
        out=out,
        test=test,
        minutes=minutes,
        as_json=as_json,
    )


@app.command(epilog="Example: `sam-mprompt pretrain --recipe sam-tiny --set train.minutes=120`")
def pretrain(
    recipe: Annotated[str, typer.Option(metavar="NAME|FILE", help="Recipe in recipes/pretrain, or a TOML file.")],
    out: Annotated[Path | None, typer.Option(metavar="DIR", help="Run folder; by default runs/RECIPE.")] = None,
    overrides: Annotated[
        list[str] | None, typer.Option("--set", metavar="KEY=VALUE", help="Override a recipe key; repeatable.")
    ] = None,
    resume: Annotated[bool, typer.Option("--resume", help="Go on from the run's saved state.")] = False,
) -> None:
    """Train a small base from scratch on procedural scenes without people: class-agnostic promptable segmentation."""
    from ..adapter.find import run_folder
    from ..pretraining.pretrain import pretrain as train
    from ..pretraining.recipe import load_pretrain_recipe

    resolved = load_pretrain_recipe(recipe, overrides or ())
    run = run_folder(resolved.name, out, resume=resume)
    if resume:
        resolved = load_pretrain_recipe(str(run / "recipe.toml"), overrides or ())
    typer.echo(str(train(resolved, out=run, resume=resume, console=Console(stderr=True))))


def main() -> None:
    """Run the command line; exits with 0 done, 1 failed while working, 2 a wrong request, 130 interrupted."""
    # Read when torch is imported, which is later. By default threads spin while they wait for each other, and when
    # another process has one of the cores, they spin for all of its time slices (benchmarks/busy_core.py).
    os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
    try:
        app()
    except UsageError as error:
        sys.exit(_failure(error, 2))
    except RunError as error:
        sys.exit(_failure(error, 1))
    except KeyboardInterrupt as error:
        sys.exit(_failure(error, 130))
    except BrokenPipeError:
        # The reader of a pipe has gone (`| head`): point stdout elsewhere so that closing it stays silent.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        sys.exit(1)


def _failure(error: BaseException, code: int) -> int:
    print(f"sam-mprompt: {advised(error) or 'interrupted'}", file=sys.stderr)  # noqa: T201 - plain, also without rich
    return code
