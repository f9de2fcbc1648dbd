"""What an adapter folder may hold: the names of its files, and how large one may be that comes from strangers."""

from .calibration_file import CALIBRATION
from .counter_file import COUNTER
from .licences_file import LICENCES_FILE
from .scope_file import SCOPE

CONFIG, TENSORS = "adapter_config.json", "adapter_model.safetensors"
RECIPE, METRICS, CARD = "recipe.toml", "metrics.json", "README.md"

PREFIX = "base_model."
"""How the names of peft's tensors start in a file."""

OF_THE_HUB = {"auto_mapping": None, "base_model_name_or_path": None, "revision": None}
"""What a configuration of peft may say of a repository, and ours never do."""

_SMALL = 2**24
"""Bytes; what is read of a JSON file at most."""

_LARGEST_MODEL = 2**32
"""Bytes; the largest SAM encoder, trained as a whole and stored in float32, has 2.6 GB."""

LARGEST: dict[str, int] = {
    **dict.fromkeys((COUNTER, CONFIG, RECIPE, METRICS, CALIBRATION, SCOPE, LICENCES_FILE, CARD), _SMALL),
    TENSORS: _LARGEST_MODEL,
}
"""Most bytes of every file that an adapter can have; there are no others."""
