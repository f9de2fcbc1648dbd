"""What configurations of strangers may ask for."""

import re
import time

import peft
import pytest
from small_encoders import small_sam

from sam_mprompt.errors import UsageError
from sam_mprompt.tuning.asked import check_config, check_pattern
from sam_mprompt.tuning.attach import add_adapter
from sam_mprompt.tuning.prompt_tuner import EVERY_SUBLAYER, PromptConfig
from sam_mprompt.tuning.selection import target_modules

_FOR_EVER = 10
"""Seconds of CPU: what is refused takes milliseconds, what could take for ever takes minutes, whatever else runs."""

NAMES = [name for name, _ in small_sam().named_modules()]
LONG = [f"backbone.stages_{i % 4}.blocks.{i}.attn.proj" for i in range(400)]


@pytest.mark.parametrize(
    "pattern",
    [
        EVERY_SUBLAYER,
        r".*\.mlp\.[^.]+",
        r".*blocks\.\d+\.(attn|mlp).*",
        r"(?:blocks\.0|blocks\.1)\.(?:attn\.qkv|mlp\.lin1)",
        "blocks.0.attn",
        r"^.*[02468]\.attn$",
        r"blocks\.\d{1,2}\.attn",
    ],
)
def test_patterns_that_name_modules_are_taken(pattern):
    check_pattern(pattern, NAMES)
    check_pattern(pattern, LONG)


def test_what_this_project_writes_is_taken():
    for method in ("prompt", "lora", "ia3", "ln_tuning"):
        for blocks in ("all", (0,)):
            check_pattern(target_modules(small_sam(), method, ("attention", "mlp"), blocks), NAMES)


@pytest.mark.parametrize(
    "pattern",
    [
        "(([a-z0-9._]+)+)+X",
        "(a*)*",
        "(?:a|a)*X",
        "(a|b){9}",
        ".?" * 40 + "X",
        "(?:.|.)?" * 30 + "X",
        ".*" * 6 + "X",
        r"(a)\1",
        "(?=.*)x",
        "(?i)blocks",
        "(?P<n>a)",
        "a**",
        "*",
        "((",
        "))",
        "[z-a]",
        "\\",
        "x" * 100_000,
    ],
)
def test_patterns_that_could_take_for_ever_are_refused_at_once(pattern):
    started = time.process_time()
    with pytest.raises(
        UsageError, match=r"^target_modules: expected names of modules, or a regular expression"
    ) as said:
        check_pattern(pattern, LONG)
    assert time.process_time() - started < _FOR_EVER
    assert len(str(said.value)) < 300


def test_the_slowest_pattern_that_is_taken_is_matched_in_a_moment():
    pattern = ".*.*.*X"
    check_pattern(pattern, LONG)
    started = time.process_time()
    assert not any(re.fullmatch(pattern, name) for name in LONG)
    assert time.process_time() - started < _FOR_EVER


@pytest.mark.parametrize(
    ("config", "said"),
    [
        (PromptConfig(bottleneck=10**9), "bottleneck: expected numbers up to"),
        (PromptConfig(bottleneck=10**4000), "bottleneck: expected numbers up to"),
        (PromptConfig(modules_to_save=["nekc"]), r"no module 'nekc'\. Did you mean 'neck'"),
        (PromptConfig(modules_to_save=["(a+)+X"]), r"modules_to_save: expected names of modules, got \(a\+\)\+X"),
        (peft.LoraConfig(r=10**9, target_modules=["qkv"]), "r: expected numbers up to"),
        (peft.LoraConfig(rank_pattern={"(a+)+X": 2}, target_modules=["qkv"]), "rank_pattern: expected names"),
        (peft.LoraConfig(exclude_modules="(a+)+X", target_modules=["qkv"]), "exclude_modules: expected names"),
        (
            peft.LoraConfig(megatron_config={"a": 1}, megatron_core="megatron.this", target_modules=["qkv"]),
            "megatron_config: expected none, as it may name code or files",
        ),
        (peft.LoraConfig(eva_config={"rho": 2.0}, target_modules=["qkv"]), "eva_config: expected none"),
        (
            peft.LoraConfig(layers_pattern="(a+)+X", layers_to_transform=[0], target_modules=["qkv"]),
            "layers_pattern: expected names",
        ),
    ],
)
def test_what_no_encoder_needs_is_refused_before_anything_is_built(config, said):
    with pytest.raises(UsageError, match=said):
        check_config(config, NAMES)
    with pytest.raises(UsageError, match=said):
        add_adapter(small_sam(), config)


def test_seeds_may_be_any_number():
    check_config(peft.VeraConfig(projection_prng_key=2**40, target_modules=["qkv"]), NAMES)
