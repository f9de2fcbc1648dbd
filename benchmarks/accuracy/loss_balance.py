"""Which loss term moves what regressor and segmenter share.

    python -m benchmarks.accuracy.loss_balance RUN ... --data DIR

For each run of a recipe with a segmenter, at the weights that its state keeps: the gradient of every weighted term of
Eq. 4 on the trained parameters that both heads read (all but the heads' own), its norm relative to L_den's and the
cosine between the two. A term whose gradient is small does little; one at right angles helps with nothing that L_den
wants. Means over batches of the training split; nothing is trained. Prints a table. Crops go through the encoder one by
one, also where training cut them out of cached features of the whole image.

DIR is the dataset's folder, for recipes that need one.
"""

from itertools import islice
from pathlib import Path

import torch
from torch import Tensor, nn
from torch.utils.data import DataLoader

from benchmarks.pages import parser
from sam_mprompt.data.dataset import CropDataset, EpochBatches, collate
from sam_mprompt.data.sources import data_root, open_split
from sam_mprompt.losses import MutualPromptLoss
from sam_mprompt.training.run import RunFolder
from sam_mprompt.training.trained import TrainedRun, load_run

_BATCHES = 12
_HEADS = ("regressor.", "segmenter.")


def gradients(run: TrainedRun, data: Path | None) -> dict[str, tuple[float, float]]:
    """Return by term its gradient's norm over L_den's, and its cosine with L_den's; with the online prompt in place."""
    recipe, counter = run.recipe, run.counter.train()
    loss = MutualPromptLoss(recipe.loss, stride=counter.stride)
    weights = {"density": recipe.loss.density, "segmentation": recipe.loss.segmentation, "context": recipe.loss.context}
    shared = [p for name, p in counter.named_parameters() if p.requires_grad and not name.startswith(_HEADS)]
    root = data_root(recipe.data, data)
    source = open_split(recipe, "train", root).source
    seed, points = recipe.train.seed, recipe.loss.reads_points
    crops = CropDataset(source, recipe.data, recipe.targets, seed=seed, stride=counter.stride, points=points)
    order = EpochBatches(len(source), recipe.train.batch_size, seed=0)
    found: dict[str, list[Tensor]] = {name: [] for name in weights}
    for batch in islice(DataLoader(crops, batch_sampler=order, collate_fn=collate), _BATCHES):
        output = counter(counter.normalise(batch.images, batch.sizes))
        terms = loss(output.density, output.mask_logits, batch.targets, epoch=recipe.loss.kappa, counts=output.counts)
        flat = {name: _flat(terms[name] * weight, shared) for name, weight in weights.items() if name in terms}
        base = flat["density"]
        for name, part in flat.items():
            found[name].append(torch.stack([part.norm() / base.norm(), torch.cosine_similarity(part, base, dim=0)]))
    means = {name: torch.stack(pairs).mean(dim=0).tolist() for name, pairs in found.items() if pairs}
    return {name: (norm, cosine) for name, (norm, cosine) in means.items()}


def _flat(term: Tensor, parameters: list[nn.Parameter]) -> Tensor:
    parts = torch.autograd.grad(term, parameters, retain_graph=True, materialize_grads=True)
    return torch.cat([part.flatten() for part in parts])


def main() -> None:
    """Print a line per run."""
    arguments = parser(__doc__)
    arguments.add_argument("runs", nargs="+", type=Path)
    arguments.add_argument("--data", type=Path, help="the dataset's folder")
    options = arguments.parse_args()
    print("| run | segmentation / density | cosine | context / density | cosine |\n|---|---|---|---|---|")
    for run in options.runs:
        found = gradients(load_run(RunFolder(run), device=torch.device("cpu")), options.data)
        pairs = [found.get(name, (0.0, 0.0)) for name in ("segmentation", "context")]
        cells = [f"{value:.2f}" for pair in pairs for value in pair]
        print(f"| {run.name} | " + " | ".join(cells) + " |", flush=True)


if __name__ == "__main__":
    main()
