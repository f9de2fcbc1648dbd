import torch

from benchmarks.accuracy import conv_prompt
from sam_mprompt.recipe.schema import load_recipe
from sam_mprompt.training import setup


def built():
    recipe = load_recipe("shb-lite0-full", ["tuning.method=none", "model.pretrained=false"])
    torch.manual_seed(0)
    return setup.build_counter(recipe.model, recipe.tuning, segmenter=True).counter.eval()


def test_modules_stand_behind_each_block_train_alone_in_the_frozen_base_and_add_nothing_at_first():
    bare = built()
    with conv_prompt.prompted(4):
        counter = built()
    images = torch.rand(1, 3, 224, 224)
    torch.testing.assert_close(counter.encoder(images), bare.encoder(images), rtol=0, atol=0)
    trained = {name for name, parameter in counter.encoder.named_parameters() if parameter.requires_grad}
    blocks = {name.partition(".prompt.")[0] for name in trained}
    assert len(blocks) == 11  # up to stride 16
    assert all(".prompt." in name for name in trained)
    module = next(module for module in counter.modules() if isinstance(module, conv_prompt.ConvPrompt))
    torch.nn.init.ones_(module.up.bias)
    assert not torch.equal(counter.encoder(images)[0], bare.encoder(images)[0])


def test_the_page_has_a_row_a_run(monkeypatch):
    written = []
    monkeypatch.setattr(conv_prompt, "write_page", lambda name, *parts: written.append((name, parts[-1])))
    conv_prompt.page([conv_prompt.Record(0, 0, 4, 540_000, 28.5, 0.147, 402), conv_prompt.Record(32, 1, 4, 1, 2, 3, 4)])
    (name, table), lines = written[0], written[0][1].splitlines()
    assert name == "conv_prompt"
    assert "| none | 0 | 4 | 0.54 M | 28.50 | 0.147 | 402 |" in table
    assert "| 32 wide | 1 |" in lines[-1]
