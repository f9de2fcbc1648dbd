"""The table of what is trained of the encoder: one class a way of tuning, told apart by `method`."""

from typing import Annotated, Any, Literal

from pydantic import Field

from .section import Section, default_tag

PeftMethod = Literal[
    "adamss", "beft", "boft", "c3a", "deft", "delora", "dora", "fourierft", "frod", "glora", "hira", "hra", "ia3",
    "lily", "ln_tuning", "loha", "lokr", "lora", "miss", "osf", "peanut", "psoft", "pvera", "randlora", "road",
    "shira", "supertuning", "tinylora", "vera", "waveft",
]  # fmt: skip
"""Every method of peft that fits an image encoder; a test compares them with peft's own tables."""

BARE = ("none", "side", "full")
"""Methods that put nothing into the encoder."""

UNSUITED = {
    **dict.fromkeys(("adaption_prompt", "poly", "shadow", "trainable_tokens"), "it is made for language models"),
    **dict.fromkeys(("gralora", "oft"), "it cannot read SAM's features, which are (B, H, W, C)"),
    **dict.fromkeys(("unilora", "vblora"), "it cannot start as the base"),
    "adalora": "the training loop would have to step its rank schedule",
}
"""Methods of peft that were tried and cannot be used, and why."""

Placement = tuple[Literal["attention", "mlp"], ...]
Block = Annotated[int, Field(ge=0, le=1024)]
Width = Annotated[int, Field(ge=1, le=8192)]


class Inside(Section):
    """What methods that work inside the encoder's blocks share."""

    placement: Placement = Field(("attention", "mlp"), min_length=1, description="sub-layers that are adapted")
    blocks: Literal["all"] | Annotated[tuple[Block, ...], Field(min_length=1)] = Field(
        "all", description="encoder blocks that are adapted, counted from 0"
    )

    @property
    def first_block(self) -> int | None:
        """The first block that is adapted, counted from 0, or None when the whole encoder stays as it is."""
        return 0 if self.blocks == "all" else min(self.blocks)


class Prompts(Inside):
    """The paper's prompt modules on a frozen encoder."""

    method: Literal["prompt"] = Field("prompt", description="what is trained: 'prompt', the paper's modules")
    bottleneck: Width = Field(192, description="width of a prompt module")
    modules_to_save: tuple[str, ...] = Field(
        (), description="further modules of the encoder, trained whole and stored in the adapter"
    )

    @property
    def peft_options(self) -> dict[str, Any]:
        """The method's settings by the names of its peft configuration."""
        whole = {"modules_to_save": list(self.modules_to_save)} if self.modules_to_save else {}
        return {"bottleneck": self.bottleneck, **whole}


class Peft(Inside):
    """Any peft method on a frozen encoder."""

    method: PeftMethod = Field(description="what is trained: the name of a peft method")
    options: dict[str, str | int | float | bool | list[str] | list[int]] = Field(
        default_factory=dict, description="the method's options, by peft's own names"
    )

    @property
    def peft_options(self) -> dict[str, Any]:
        """The method's settings by the names of its peft configuration."""
        return dict(self.options)


class Side(Section):
    """A network beside the frozen encoder that reads several of its depths."""

    method: Literal["side"] = Field(description="what is trained: 'side', a network beside the encoder")
    bottleneck: Width = Field(192, description="width of the side network")

    @property
    def first_block(self) -> int | None:
        """None: the whole encoder stays as it is."""
        return None


class Frozen(Section):
    """The encoder as it is; only what stands on it trains."""

    method: Literal["none"] = Field(description="what is trained: 'none', the encoder stays as it is")

    @property
    def first_block(self) -> int | None:
        """None: the whole encoder stays as it is."""
        return None


class Full(Section):
    """All of the encoder trains, as in the paper's native recipes."""

    method: Literal["full"] = Field(description="what is trained: 'full', all of the encoder")

    @property
    def first_block(self) -> int | None:
        """0: everything trains."""
        return 0


Tuning = Annotated[
    Prompts | Side | Frozen | Full | Peft, Field(discriminator="method"), default_tag("method", "prompt")
]
