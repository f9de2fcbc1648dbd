"""SamEncoder against segment_anything's ImageEncoderViT: time, peak memory and difference, side by side.

    python -m benchmarks.encoder                       # a small encoder, 1024 x 1024, inference
    python -m benchmarks.encoder --model vit_b         # SAM ViT-B
    python -m benchmarks.encoder --train --size 448    # forward and backward through frozen weights, at a crop's size

Weights are random with positions far from zero. Times come from one process that alternates between the two (A B A B,
minimum and median of the rounds). Memory is the peak of a process that ran only one of them, minus its weights.
"""

import argparse
import multiprocessing
import os
import statistics
import time
from collections.abc import Callable
from functools import partial
from typing import Any

from benchmarks.pairs import peak_bytes

NAMES = ("official", "ours")


def build(name: str, options: argparse.Namespace) -> Any:
    """Return one of the two encoders, both with the same weights and tables made for the image size."""
    import torch
    from segment_anything.modeling import ImageEncoderViT

    from sam_mprompt.models.sam_config import CONFIGS, SamConfig
    from sam_mprompt.models.sam_encoder import SamEncoder

    config = CONFIGS[options.model]
    torch.manual_seed(0)
    official = ImageEncoderViT(
        img_size=options.size,
        embed_dim=config.dim,
        depth=config.depth,
        num_heads=config.heads,
        norm_layer=partial(torch.nn.LayerNorm, eps=1e-6),
        use_rel_pos=True,
        window_size=config.window,
        global_attn_indexes=config.global_blocks,
    )
    for key, parameter in official.named_parameters():
        if "pos" in key:
            torch.nn.init.normal_(parameter, std=0.1)
    if name == "official":
        return official.eval().requires_grad_(False)
    with torch.device("meta"):  # so that only one copy of the weights ever counts
        encoder = SamEncoder(SamConfig.from_tensors(official.state_dict()))
    encoder.load_state_dict(official.state_dict(), assign=True)
    return encoder.eval().requires_grad_(False)


def step(encoder: Any, options: argparse.Namespace) -> Callable[[], Any]:
    """Return a function that runs the encoder once on random images."""
    import torch

    torch.set_num_threads(options.threads)
    shape = (options.batch, 3, options.size, options.size)
    images = torch.randn(shape, generator=torch.Generator().manual_seed(1)).requires_grad_(options.train)

    def run() -> Any:
        if not options.train:
            with torch.inference_mode():
                return encoder(images)
        images.grad = None
        encoder(images).pow(3).mean().backward()  # the last norm fixes lower moments: they have no gradient
        return images.grad

    return run


def measure_memory(name: str, options: argparse.Namespace) -> int:
    """Run one encoder once in this process and return how far its peak rose above the loaded weights."""
    run = step(build(name, options), options)
    before = peak_bytes()
    run()
    return peak_bytes() - before


def measure_time(options: argparse.Namespace) -> tuple[dict[str, list[float]], float]:
    """Alternate between the two and return the seconds of every round and the relative difference of the results."""
    runs = {name: step(build(name, options), options) for name in NAMES}
    results = [run() for run in runs.values()]
    seconds: dict[str, list[float]] = {name: [] for name in NAMES}
    for _ in range(options.rounds):
        for name, run in runs.items():
            start = time.perf_counter()
            run()
            seconds[name].append(time.perf_counter() - start)
    return seconds, float((results[0] - results[1]).abs().max() / results[0].abs().max())


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", choices=("tiny", "vit_b", "vit_l", "vit_h"), default="tiny")
    parser.add_argument("--size", type=int, default=1024, help="pixels, a multiple of 16")
    parser.add_argument("--batch", type=int, default=1)
    parser.add_argument("--train", action="store_true", help="forward and backward, gradient to the images")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--threads", type=int, default=os.cpu_count())
    options = parser.parse_args()

    context = multiprocessing.get_context("spawn")
    with context.Pool(1, maxtasksperchild=1) as fresh_process:  # a new process for every task
        memory = {name: fresh_process.apply(measure_memory, (name, options)) for name in NAMES}
        seconds, difference = fresh_process.apply(measure_time, (options,))

    what = "forward and backward" if options.train else "inference"
    print(f"{options.model}, {what}, batch {options.batch}, {options.size} x {options.size}, {options.threads} threads")
    print(f"{'':10}{'min s':>9}{'median s':>10}{'peak MB':>10}")
    for name in NAMES:
        times = seconds[name]
        print(f"{name:10}{min(times):9.3f}{statistics.median(times):10.3f}{memory[name] / 1e6:10.0f}")
    official, ours = (min(seconds[name]) for name in NAMES)
    print(f"ours / official: time {ours / official:.2f}, memory {memory['ours'] / memory['official']:.2f}")
    print(f"largest difference: {difference:.1e} of the largest {'gradient' if options.train else 'feature'}")


if __name__ == "__main__":
    main()
