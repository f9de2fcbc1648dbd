"""What the tests of the measurements share."""

import pytest

from sam_mprompt.models.sam_config import SamConfig


@pytest.fixture
def small():
    """A shape of SAM's encoder that every library builds in no time."""
    return SamConfig(embed_dim=32, depth=2, num_heads=2, global_attn_indexes=(1,), out_channels=16)
