"""Loading and switching adapters against loading a whole checkpoint again: python -m benchmarks.speed.adapters"""

import tempfile
from functools import partial
from itertools import cycle
from pathlib import Path

from safetensors.torch import save_file

from benchmarks.speed.pairs import Result, Spread, alternate
from benchmarks.speed.table import write_row
from sam_mprompt.adapter.folder import AdapterFolder
from sam_mprompt.counting.counter import load
from sam_mprompt.models.build import build_counter
from sam_mprompt.models.sam_config import CONFIGS
from sam_mprompt.models.sam_encoder import SamEncoder
from sam_mprompt.recipe.schema import load_recipe
from sam_mprompt.tuning.adapters import switch


def written(root: Path, config: str) -> Path:
    """Write a base with random weights and an adapter of it into a folder; return the adapter's."""
    base, adapter = root / "base.safetensors", root / "adapter"
    save_file(SamEncoder.random(CONFIGS[config]).state_dict(), base)
    recipe = load_recipe("shb", [f"model.base={base}"])
    AdapterFolder.of(adapter, build_counter(recipe.model, recipe.tuning, segmenter=False), recipe, metrics={}).write()
    return adapter


def measure(config: str = "vit_b", rounds: int = 5) -> list[Result]:
    """Measure on a base with random weights in a file."""
    with tempfile.TemporaryDirectory() as folder:
        adapter = written(Path(folder), config)
        counter = load(adapter, device="cpu")
        numbers, names = iter(range(1_000_000)), cycle(("default", "other"))
        counter.load_adapter(adapter, name="other")

        def change() -> None:
            name = next(names)
            counter.use(name)
            switch(counter.model.encoder, name)

        seconds = alternate(
            {
                "whole": partial(load, adapter, device="cpu"),
                "load": lambda: counter.load_adapter(adapter, name=f"adapter-{next(numbers)}"),
                "switch": change,
            },
            rounds=rounds,
        )
    notes = {
        "load": f"at most {max(seconds['load']):.2f} s here; 0.5 s was aimed at.",
        "switch": f"at most {1000 * max(seconds['switch']):.1f} ms here; 20 ms was aimed at.",
    }
    return [
        Result(what, "loading base and adapter again", Spread.of(seconds["whole"], seconds[name]), note=notes[name])
        for name, what in (
            ("load", "loading one more adapter on SAM-base"),
            ("switch", "switching to a loaded adapter"),
        )
    ]


if __name__ == "__main__":
    write_row("adapters", measure())
