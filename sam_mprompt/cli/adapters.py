"""`adapters`: list, show and verify trained adapters, and push one to Hugging Face's Hub."""

import json
from typing import TYPE_CHECKING, Annotated, Any, cast

import typer

from ..errors import UsageError
from .advice import advised
from .ui import AsJson, Base, messages, print_json, print_table, print_text, say, table

if TYPE_CHECKING:
    from ..deploy.exported import ExportedCounter

adapters = typer.Typer(help="List, show, verify and push trained adapters.", no_args_is_help=True)


Named = Annotated[str, typer.Argument(metavar="ADAPTER", help="Folder, name, or hf://OWNER/NAME@REVISION.")]


@adapters.command("list", epilog="Example: `sam-mprompt adapters list --json`")
def list_adapters(as_json: AsJson = False) -> None:
    """List the adapters of ./runs, ./adapters, those that ship with sam-mprompt, and those fetched from the Hub."""
    from ..adapter.counter_file import read_counter_file
    from ..adapter.find import known_adapters
    from ..adapter.hub import cached_adapters

    rows = []
    for name, path in (known_adapters() | cached_adapters()).items():
        try:
            info = read_counter_file(path)
            rows.append({"name": name, "path": str(path), "base": info.base, "dtype": info.dtype, "fault": ""})
        except UsageError as error:
            rows.append({"name": name, "path": str(path), "base": "", "dtype": "", "fault": advised(error)})
    if as_json:
        print_json(rows)
        return
    shown = table("name", "base", "dtype", "path", "fault")
    for row in rows:
        shown.add_row(row["name"], row["base"], row["dtype"], row["path"], row["fault"])
    if rows:
        print_table(shown)
    else:
        typer.echo("No adapters yet: train one with 'sam-mprompt finetune --recipe NAME'.")


@adapters.command("show", epilog="Example: `sam-mprompt adapters show runs/shb`")
def show_adapter(
    adapter: Annotated[
        str, typer.Argument(metavar="ADAPTER", help="Folder, name, hf://OWNER/NAME@REVISION, or exported file.")
    ],
    as_json: AsJson = False,
) -> None:
    """Show what an adapter or an exported file is: base, geometry, parameters or precision, figures."""
    described = _facts(adapter)
    if as_json:
        print_json(described)
        return
    shown = table("key", "value")
    for key, value in described.items():
        shown.add_row(key, value if isinstance(value, str) else json.dumps(value))
    print_table(shown)


def _facts(adapter: str) -> dict[str, Any]:
    from ..deploy.load import is_exported, load

    if is_exported(adapter):
        return cast("ExportedCounter", load(adapter, device="cpu")).facts()
    from ..adapter.find import find_adapter
    from ..adapter.folder import AdapterFolder
    from ..adapter.loading import check_folder

    folder = AdapterFolder.read(find_adapter(adapter))
    check_folder(folder)
    return folder.facts()


@adapters.command("verify", epilog="Example: `sam-mprompt adapters verify adapters/shb --base sam_vit_b`")
def verify_adapter(
    adapter: Named,
    base: Base = None,
) -> None:
    """Check every file, checksum, key and shape of an adapter, and that it fits its base."""
    from ..adapter.find import find_adapter
    from ..adapter.folder import AdapterFolder
    from ..adapter.loading import load_adapter

    folder = AdapterFolder.read(find_adapter(adapter))
    built = load_adapter(folder, base)
    print_text(f"{folder.path}: intact, fits base {built.base.name} ({built.base.fingerprint})")


@adapters.command("push", epilog="Example: `sam-mprompt adapters push runs/shb hf://me/shb --license cc-by-nc-4.0`")
def push_adapter(
    adapter: Named,
    to: Annotated[
        str, typer.Argument(metavar="hf://OWNER/NAME", help="Repository; hf://OWNER/NAME@BRANCH is a branch.")
    ],
    licence: Annotated[
        str | None, typer.Option("--license", metavar="ID", help="The adapter's licence, as the Hub calls it.")
    ] = None,
    datasets: Annotated[
        list[str] | None,
        typer.Option("--dataset", metavar="OWNER/NAME", help="Dataset of the Hub that trained it; repeatable."),
    ] = None,
    public: Annotated[
        bool, typer.Option("--public", help="Let everybody see it; a new repository is private.")
    ] = False,
) -> None:
    """Write an adapter and its card into a repository on Hugging Face's Hub, in one commit.

    The repository is made, private, where there is none. Log in with `hf auth login` first, or set $HF_TOKEN.
    """
    from ..adapter.find import find_adapter
    from ..adapter.folder import AdapterFolder
    from ..adapter.push import push

    folder = AdapterFolder.read(find_adapter(adapter))
    if licence is None:
        known = folder.known_licences
        told = ", ".join(
            f"that of its {what} is {name}" for what, name in (("base", known.base), ("images", known.data)) if name
        )
        raise UsageError(
            f"Expected a licence of the adapter; {told or 'those of base and images are not known'}.",
            about="hub licence",
        )
    pushed = push(folder, to, licence=licence, datasets=datasets or (), public=public)
    for line in pushed.cautions:
        say(messages(), line)
    seen = "private" if pushed.private else "public"
    print_text(f"{pushed.repo.address}  {pushed.size / 1e6:.2f} MB  {seen}")
