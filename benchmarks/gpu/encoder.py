"""SAM's encoder on a GPU: four libraries, two precisions, compiled or not, and our ways to attend."""

from functools import partial

import torch
from torch import Tensor, nn

from benchmarks.gpu.attention import WAYS
from benchmarks.gpu.setting import Setting, Step, Timed, compare, timed_steps
from benchmarks.speed.pairs import Result, Spread
from benchmarks.speed.sam_encoders import LIBRARIES, features_of, official
from sam_mprompt.models.sam_attention import Attention
from sam_mprompt.models.sam_config import SamConfig

RIVALS = tuple(name for name in LIBRARIES if name != "ours")
OURS = ("as it is", *WAYS)


def attending(encoder: nn.Module, way: str) -> nn.Module:
    """Let our encoder attend in one of its ways: "as it is", or one of `WAYS`."""
    for module in encoder.modules():
        if isinstance(module, Attention) and way in WAYS:
            module.attend = WAYS[way]  # type: ignore[method-assign]
    return encoder


def compiled(encoder: nn.Module, setting: Setting) -> nn.Module:
    """Compile an encoder of any of the four libraries, block by block, so that equal blocks share a translation."""
    lists = (m for name, m in encoder.named_modules() if name.rpartition(".")[2] in ("blocks", "layers"))
    for block in next(lists).children():
        block.compile(dynamic=False, backend=setting.compiler)
    return encoder


def built(name: str, setting: Setting, side: int) -> nn.Module:
    """Return a library's encoder, or ours attending in the way of that name, on the device and frozen."""
    with torch.device(setting.device):
        library = LIBRARIES.get(name, LIBRARIES["ours"])
        encoder = attending(library(setting.config, side), name)
    return encoder.to(setting.device).eval().requires_grad_(False)


def inference(encoder: nn.Module, images: Tensor, setting: Setting, *, mixed: bool = True) -> Step:
    """Return a function that encodes the images."""

    def step() -> None:
        with torch.inference_mode(), setting.autocast(mixed):
            features_of(encoder(images))

    return step


def products(config: SamConfig, side: int, batch: int) -> float:
    """Return the multiply-adds of the encoder as SAM defines it, padded windows included, whoever computes it."""
    from torch.utils.flop_counter import FlopCounterMode

    with torch.device("meta"):
        encoder, image = official(config, side), torch.empty(1, 3, side, side)
    with FlopCounterMode(display=False) as flops:
        encoder(image)
    return batch * flops.get_total_flops() / 2


def rows(setting: Setting, side: int, batch: int) -> list[Result]:
    """Compare one size in bfloat16 and in float32, and compiled where the setting says so."""
    images = torch.randn(batch, 3, side, side, device=setting.device)
    names = (*RIVALS, *OURS)
    found: list[Result] = []
    what = f"encoder, {side} px, batch {batch}"
    work = products(setting.config, side, batch)
    for precision, mixed, rounds in (("bfloat16", True, setting.rounds), ("float32", False, min(3, setting.rounds))):
        encoders = {name: built(name, setting, side) for name in names}
        steps = {name: inference(encoder, images, setting, mixed=mixed) for name, encoder in encoders.items()}
        timed = timed_steps(setting, steps, rounds=rounds)
        found += _against_all(timed, setting, f"{what}, {precision}", precision, work, names)
        if mixed:
            peaks = {name: setting.peak(steps[name]) for name in timed.seconds}
            least = min((name for name in OURS if name in peaks), key=peaks.__getitem__)
            found += [
                Result(f"{what}, {precision}: peak memory, {least}", name, Spread.once(peaks[name] / peaks[least]))
                for name in peaks
                if name != least
            ]
        del encoders, steps
        setting.clear()
    if (side, batch) in setting.compiled:
        found += compiled_rows(setting, side, batch, images, work)
    return found


def compiled_rows(setting: Setting, side: int, batch: int, images: Tensor, work: float) -> list[Result]:
    """Compare the same encoders with their blocks compiled, in autocast and with weights that are bfloat16."""
    names = (*RIVALS, *OURS)
    steps = {name: inference(compiled(built(name, setting, side), setting), images, setting) for name in names}
    for name in ("segment_anything", "as it is"):
        encoder = compiled(built(name, setting, side), setting).to(torch.bfloat16)
        steps[f"{name}, bfloat16 weights"] = inference(encoder, images.bfloat16(), setting, mixed=False)
    timed = timed_steps(setting, steps)
    what = f"encoder, {side} px, batch {batch}, bfloat16, compiled"
    found = _against_all(timed, setting, what, "bfloat16", work, tuple(steps))
    setting.clear()
    return found


def _against_all(
    timed: Timed, setting: Setting, what: str, precision: str, work: float, names: tuple[str, ...]
) -> list[Result]:
    """Hold the fastest of our ways against every other way, and tell what share of the limit it reaches."""
    ours = [name for name in timed.seconds if name.split(",")[0] in OURS]
    if not ours:
        return []
    best = min(ours, key=timed.median)
    share = work / timed.median(best) / setting.rates[precision]
    others = {name: name for name in names if name != best}
    found = compare(timed, best, others, f"{what}: ours, {best}", share=share)
    return found + [
        Result(f"{what}: {name}", why, Spread.once(float("nan")), note=why) for name, why in timed.failed.items()
    ]


def parts(setting: Setting) -> dict[str, Step]:
    """Return every measurement by name, those that matter most first."""
    cells = [(side, batch) for side in setting.sides for batch in setting.batches]
    order = sorted(cells, key=lambda cell: cell not in setting.compiled)
    return {f"encoder-{side}-{batch}": partial(rows, setting, side, batch) for side, batch in order}
