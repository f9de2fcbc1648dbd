"""Loading and switching adapters against loading a whole checkpoint again: python -m benchmarks.adapters"""

import tempfile
from functools import partial
from itertools import cycle
from pathlib import Path

from safetensors.torch import save_file

import sam_mprompt
from benchmarks.pairs import Result, Spread, alternate, write_row
from sam_mprompt.adapter.folder import write_adapter
from sam_mprompt.models.build import build_counter
from sam_mprompt.models.sam_config import CONFIGS
from sam_mprompt.models.sam_encoder import SamEncoder
from sam_mprompt.recipe.schema import load_recipe
from sam_mprompt.tuning import attach


def main() -> None:
    """Measure on SAM-base with random weights in a file."""
    with tempfile.TemporaryDirectory() as folder:
        root = Path(folder)
        save_file(SamEncoder.random(CONFIGS["vit_b"]).state_dict(), root / "base.safetensors")
        recipe = load_recipe("shb", [f"model.base={root / 'base.safetensors'}"])
        write_adapter(root / "adapter", build_counter(recipe, segmenter=False), recipe, metrics={})
        counter = sam_mprompt.load(root / "adapter", device="cpu")
        numbers, names = iter(range(1_000_000)), cycle(("default", "other"))
        counter.load_adapter(root / "adapter", name="other")

        def switch() -> None:
            name = next(names)
            counter.use(name)
            attach.switch(counter.model.encoder, name)

        seconds = alternate(
            {
                "whole": partial(sam_mprompt.load, root / "adapter", device="cpu"),
                "load": lambda: counter.load_adapter(root / "adapter", name=f"adapter-{next(numbers)}"),
                "switch": switch,
            },
            rounds=5,
        )
    slowest = {name: max(values) for name, values in seconds.items()}
    write_row(
        "adapters",
        [
            Result(
                "loading one more adapter on SAM-base",
                "loading base and adapter again",
                Spread.of(seconds["whole"], seconds["load"]),
                note=f"at most {slowest['load']:.2f} s here; 0.5 s was aimed at.",
            ),
            Result(
                "switching to a loaded adapter",
                "loading base and adapter again",
                Spread.of(seconds["whole"], seconds["switch"]),
                note=f"at most {1000 * slowest['switch']:.1f} ms here; 20 ms was aimed at.",
            ),
        ],
    )


if __name__ == "__main__":
    main()
