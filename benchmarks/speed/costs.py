"""What the paper's backbones cost here, beside its Table 3: python -m benchmarks.speed.costs writes costs.md."""

from benchmarks.pages import table, write_page
from sam_mprompt.evaluation.cost import measure_cost
from sam_mprompt.recipe.schema import load_recipe

_SIZE = (224, 224)
_BACKBONES = (
    # name, recipe, --set, the paper's parameters in M and multiply-adds in G
    ("SAM-base", "sha", (), 7.7, 13.5),
    ("HRNet-W40, stem stride 1", "sha-hrnet", (), 33.1, 62.1),
    ("HRNet-W40, stem stride 2", "sha-hrnet", ("model.stem_stride=2", "model.density_stride=4"), None, None),
    ("VGG19", "sha-vgg19", (), 12.6, 19.3),
    ("Swin-S", "sha-swin", (), 7.4, 11.6),
)
_HEAD = """# Costs

Written by `python -m benchmarks.speed.costs`; do not edit. Counted, not timed: parameters and multiply-adds of one
224x224 image, as `sam-mprompt describe RECIPE` counts them (matrix products, convolutions and attention), in
the state of training, with the segmenter. The paper's Table 3 calls multiply-adds "GFLOPs"; its parameters are
the learnable ones.
"""
_COLUMNS = (
    *("backbone", "trainable M", "paper", "in adapter M", "all M"),
    *("encoder G", "prompt modules G", "both heads G", "sum G", "paper"),
)
_TAIL = """Where we differ, as far as the paper says enough to tell:

- **SAM-base**: the trainable parameters agree (7.10 M in the prompt modules and two heads). Our multiply-adds
  are those of the whole ViT-B with its neck at 14x14 tokens; the paper's 13.5 G are fewer than SAM's encoder
  alone has, so it counts something else (perhaps without attention's products or some of the blocks).
- **HRNet-W40**: all four branches joined, as the paper's features; with a stem stride of 1 the multiply-adds
  agree within a few percent. The paper's 33.1 M parameters are fewer than four stages of W40 have: it truncates
  HRNet at stage 4, without saying where in it.
- **VGG19**: up to conv4_4. Encoder and two heads are {vgg:.1f} M; a third head of 0.68 M and 0.53 G would give
  the paper's 12.6 M and 19.3 G.
- **Swin**: the paper does not name the size. Swin-S with modules of width 192 has 6.9 M trainable parameters in
  its blocks; ours joins its four levels, which makes the heads larger.
"""


def page() -> tuple[str, str, str]:
    """Return the parts of the page: what it says, its table, and where we differ."""
    rows, vgg = [], 0.0
    for name, recipe, settings, paper_parameters, paper_macs in _BACKBONES:
        loaded = load_recipe(recipe, settings)
        cost = measure_cost(loaded.model, loaded.tuning, _SIZE, segmenter=loaded.loss.segmentation > 0)
        parts = {part.name: part for part in cost.parts}
        trainable, stored, total = (
            sum(getattr(part, key) for part in parts.values()) / 1e6 for key in ("trainable", "stored", "total")
        )
        macs = {key: part.macs / 1e9 for key, part in parts.items()}
        adapter, heads = macs.get("encoder adapter", 0.0), macs["regressor"] + macs["segmenter"]
        cells = [name, f"{trainable:.2f}", _paper(paper_parameters), f"{stored:.2f}", f"{total:.1f}"]
        cells += [f"{macs['encoder']:.1f}", f"{adapter:.2f}", f"{heads:.2f}", f"{sum(macs.values()):.1f}"]
        rows.append([*cells, _paper(paper_macs)])
        vgg = total if name == "VGG19" else vgg
    return _HEAD, table(_COLUMNS, rows), _TAIL.format(vgg=vgg)


def _paper(figure: float | None) -> str:
    return "" if figure is None else f"{figure:.1f}"


if __name__ == "__main__":
    write_page("costs", *page())
