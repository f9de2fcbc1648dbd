import torch
from small_encoders import small_sam

from sam_mprompt.tuning.frozen import checksums


def test_checksums_are_of_the_moment_they_are_taken_and_see_a_single_bit():
    encoder = small_sam()
    before = checksums(encoder)
    assert before.keys() == dict(encoder.state_dict()).keys()
    assert checksums(encoder) == before
    weight = encoder.blocks[0].attn.qkv.weight
    with torch.no_grad():
        weight.view(torch.int32)[0, 0] ^= 1
    after = checksums(encoder)
    assert [name for name in before if before[name] != after[name]] == ["blocks.0.attn.qkv.weight"]
