"""The GPU path, switch by switch: python -m benchmarks.speed.gpu

    python -m benchmarks.speed.gpu                # on a machine with a GPU; its rows join benchmarks/speed.md
    python -m benchmarks.speed.gpu --miniature    # a tiny encoder on the CPU: shows that it runs, measures nothing

SAM-base with random weights in bfloat16 autocast unless a row says otherwise. Memory is what the GPU's allocator held
at its peak above the weights.
"""

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial

import torch
from torch import Tensor, nn

from benchmarks.pages import parser
from benchmarks.speed.pairs import Result, Spread, alternate
from benchmarks.speed.sam_encoders import LIBRARIES, features_of, ours
from benchmarks.speed.table import show, write_row
from benchmarks.speed.training_step import frozen
from sam_mprompt.models.acceleration import (
    channels_last,
    compile_encoder,
    enable_gradient_checkpointing,
    use_flex_attention,
)
from sam_mprompt.models.counter import CrowdCounter
from sam_mprompt.models.sam_config import CONFIGS, SamConfig
from sam_mprompt.recipe.schema import load_recipe
from sam_mprompt.tuning.attach import attach

Step = Callable[[], None]


@dataclass(frozen=True)
class Setting:
    """What is measured: where, which encoder, inference sizes and batches, and how often."""

    device: torch.device
    config: SamConfig
    sides: tuple[int, ...]
    batches: tuple[int, ...]
    crop: int
    rounds: int
    flex: bool

    def autocast(self, on: bool = True) -> torch.autocast:
        """Return bfloat16 autocast, or none."""
        return torch.autocast(self.device.type, torch.bfloat16, enabled=on)

    def finish(self) -> None:
        """Wait until the device has done its work."""
        if self.device.type == "cuda":
            torch.cuda.synchronize(self.device)

    def peak(self, step: Step) -> float:
        """Return the bytes by which memory rises in a step; 1 on a CPU, which has no such count."""
        if self.device.type != "cuda":
            step()
            return 1.0
        torch.cuda.empty_cache()
        torch.cuda.reset_peak_memory_stats(self.device)
        before = torch.cuda.memory_allocated(self.device)
        step()
        return float(torch.cuda.max_memory_allocated(self.device) - before)


def inference(encoder: nn.Module, images: Tensor, setting: Setting, *, bf16: bool = True) -> Step:
    """Return a function that encodes the images and waits for the result."""
    encoder.to(setting.device).eval().requires_grad_(False)

    def step() -> None:
        with torch.inference_mode(), setting.autocast(bf16):
            features_of(encoder(images))
        setting.finish()

    return step


def compiled(encoder: nn.Module, *, flex: bool = False) -> nn.Module:
    """Return an encoder whose blocks are compiled, after FlexAttention was switched on in them where asked for."""
    if flex:
        use_flex_attention(encoder)
    compile_encoder(encoder)
    return encoder


def encoder_rows(setting: Setting, side: int, batch: int) -> list[Result]:
    """Compare one size: libraries with ours, then our switches one after the other."""
    images = torch.randn(batch, 3, side, side, device=setting.device)
    steps = {name: inference(build(setting.config, side), images, setting) for name, build in LIBRARIES.items()}
    steps["float32"] = inference(ours(setting.config, side), images, setting, bf16=False)
    steps["compiled"] = inference(compiled(ours(setting.config, side)), images, setting)
    if setting.flex:
        steps["flex"] = inference(compiled(ours(setting.config, side), flex=True), images, setting)
    seconds = alternate(steps, rounds=setting.rounds)
    what = f"GPU: encoder, {side} px, batch {batch}"
    rows = [Result(what, name, Spread.of(seconds[name], seconds["ours"])) for name in LIBRARIES if name != "ours"]
    rows.append(Result(f"{what}, bfloat16", "float32", Spread.of(seconds["float32"], seconds["ours"])))
    rows.append(Result(f"{what}, compiled", "not compiled", Spread.of(seconds["ours"], seconds["compiled"])))
    if setting.flex:
        rows.append(Result(f"{what}, FlexAttention", "compiled", Spread.of(seconds["compiled"], seconds["flex"])))
    peaks = {name: setting.peak(step) for name, step in steps.items()}
    for name, better in (("segment_anything", "ours"), ("ours", "compiled"), ("compiled", "flex")):
        if better in peaks:
            ratio = peaks[name] / peaks[better]
            rows.append(Result(f"{what}, peak memory of {better}", name, Spread.once(ratio)))
    return rows


def training(encoder: nn.Module, images: Tensor, setting: Setting) -> Step:
    """Return a function that goes forward and backward, as an adapter is trained."""
    encoder.to(setting.device).train()

    def step() -> None:
        with setting.autocast():
            loss = features_of(encoder(images)).float().pow(3).mean()
        loss.backward()
        encoder.zero_grad()
        setting.finish()

    return step


def training_rows(setting: Setting) -> list[Result]:
    """Compare a training step's time and memory."""
    batch = setting.batches[-1]
    images = torch.randn(batch, 3, setting.crop, setting.crop, device=setting.device)

    def prompted() -> nn.Module:
        return attach(ours(setting.config, setting.crop), "prompt")

    recomputed = prompted()
    enable_gradient_checkpointing(recomputed)
    steps = {
        "usual": training(frozen(setting.config, setting.crop), images, setting),
        "ours": training(prompted(), images, setting),
        "recomputed": training(recomputed, images, setting),
        "compiled": training(compiled(prompted()), images, setting),
    }
    if setting.flex:
        steps["flex"] = training(compiled(prompted(), flex=True), images, setting)
    seconds = alternate(steps, rounds=setting.rounds)
    peaks = {name: setting.peak(step) for name, step in steps.items()}
    what = f"GPU: training step with prompt modules, {setting.crop} px, batch {batch}"
    rows = []
    for name in steps.keys() - {"usual"}:
        against = "usual" if name == "ours" else "ours"
        ratio = peaks[against] / peaks[name]
        rows += [
            Result(f"{what}: {name}", against, Spread.of(seconds[against], seconds[name])),
            Result(f"{what}: peak memory of {name}", against, Spread.once(ratio)),
        ]
    return sorted(rows, key=lambda row: row.what)


def head_row(setting: Setting) -> Result:
    """Compare the heads' convolutions in both layouts."""
    images = torch.randn(setting.batches[-1], 3, setting.crop, setting.crop, device=setting.device)
    model = load_recipe("sha").model
    steps = {}
    for layout in ("contiguous", "channels last"):
        counter = CrowdCounter(ours(setting.config, setting.crop), model, segmenter=True).to(setting.device)
        if layout == "channels last":
            channels_last(counter)
        with torch.no_grad():
            encoded = counter.encode(images)
        steps[layout] = partial(_heads, counter, images, encoded, setting)
    seconds = alternate(steps, rounds=setting.rounds)
    return Result("GPU: both heads, channels last", "contiguous", Spread.of(*(seconds[layout] for layout in steps)))


def _heads(counter: CrowdCounter, images: Tensor, encoded: list[Tensor], setting: Setting) -> None:
    with setting.autocast():
        output = counter(images, encoded)
        assert output.mask_logits is not None
        (output.density.mean() + output.mask_logits.mean()).backward()
    counter.zero_grad()
    setting.finish()


def copy_row(setting: Setting) -> Result:
    """Compare how batches of images reach the device."""
    side, batch = setting.sides[-1], setting.batches[-1]
    images = torch.zeros(batch, 3, side, side)
    pinned = images.pin_memory() if setting.device.type == "cuda" else images

    def copy(source: Tensor, *, wait: bool) -> None:
        source.to(setting.device, non_blocking=not wait)
        setting.finish()

    steps = {"plain": partial(copy, images, wait=True), "pinned": partial(copy, pinned, wait=False)}
    seconds = alternate(steps, rounds=setting.rounds)
    return Result("GPU: a batch of images to the device, pinned", "pageable", Spread.of(*seconds.values()))


def measure(setting: Setting) -> list[Result]:
    """Return all rows."""
    rows = [row for batch in setting.batches for side in setting.sides for row in encoder_rows(setting, side, batch)]
    return [*rows, *training_rows(setting), head_row(setting), copy_row(setting)]


def miniature() -> Setting:
    """Return a setting that a CPU goes through in a minute; FlexAttention does not compile there."""
    config = SamConfig(embed_dim=32, depth=2, num_heads=2, global_attn_indexes=(1,), out_channels=16)
    return Setting(torch.device("cpu"), config, sides=(224,), batches=(1,), crop=224, rounds=1, flex=False)


def main() -> None:
    """Measure, and keep the rows where there is a GPU."""
    arguments = parser(__doc__)
    arguments.add_argument("--miniature", action="store_true", help="run everything once on the CPU, and keep nothing")
    options = arguments.parse_args()
    if options.miniature:
        show(measure(miniature()))
        return
    if not torch.cuda.is_available():
        arguments.error(
            "no GPU found (torch.cuda.is_available() is false). --miniature goes through the script without one."
        )
    device = torch.device("cuda")
    full = Setting(device, CONFIGS["vit_b"], sides=(448, 896, 1024), batches=(1, 4), crop=448, rounds=10, flex=True)
    write_row("gpu", measure(full), machine=torch.cuda.get_device_name(device))


if __name__ == "__main__":
    main()
