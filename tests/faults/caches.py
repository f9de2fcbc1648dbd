"""A cache of features that is small enough for tests."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch

from sam_mprompt.data.sources import open_split
from sam_mprompt.models.build import build_counter
from sam_mprompt.recipe.schema import load_recipe
from sam_mprompt.training.feature_cache import FeatureCache, build_cache


def features(tiny_recipe: Path, crowd_folder: Path) -> Callable[..., FeatureCache]:
    """Return what fills a cache of six images' features in a folder, in a few milliseconds each."""
    recipe = load_recipe(tiny_recipe, ["tuning.method=side", "data.cache=features", "data.jitter=0", "loss.kappa=1"])
    built = build_counter(recipe.model, recipe.tuning, segmenter=False)
    source = open_split(recipe, "train", crowd_folder).source

    def fill(folder: Path, **options: Any) -> FeatureCache:
        return build_cache(
            built.counter.eval(),
            source,
            built.base.fingerprint,
            data=recipe.data.model_copy(update={"cache_root": str(folder / "features")}),
            model=recipe.model,
            stop_before=recipe.tuning.first_block,
            device=torch.device("cpu"),
            say=options.pop("say", lambda _line: None),
            **options,
        )

    return fill
