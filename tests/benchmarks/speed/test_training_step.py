import pytest

from benchmarks.speed.training_step import WAYS, frozen, step_of


def test_the_usual_way_trains_its_bottlenecks_alone(small):
    encoder = frozen(small, 224)
    names = {name for name, p in encoder.named_parameters() if p.requires_grad}
    assert len(names) == 2 * 2 * 4
    assert all(".down." in name or ".up." in name for name in names)


@pytest.mark.parametrize("way", [way for way in WAYS if way != "compiled"])
def test_every_way_steps_through_the_encoder(small, way, monkeypatch):
    built = []
    monkeypatch.setitem(WAYS, way, lambda *shape, build=WAYS[way]: built.append(build(*shape)) or built[0])
    step = step_of(way, small, 64)
    reached = set()
    for name, parameter in built[0].named_parameters():
        if parameter.requires_grad:
            parameter.register_post_accumulate_grad_hook(lambda _, name=name: reached.add(name))
    step()
    assert reached == {name for name, p in built[0].named_parameters() if p.requires_grad}
    assert all(parameter.grad is None for parameter in built[0].parameters())
