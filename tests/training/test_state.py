import json
import re

import pytest
import torch
from safetensors.torch import load_file
from torch import nn

from sam_mprompt.errors import RunError, UsageError
from sam_mprompt.evaluation.metrics import Metrics
from sam_mprompt.tensor_files import read_tensors, write_tensors
from sam_mprompt.training.ema import MovingAverage
from sam_mprompt.training.run import RunFolder
from sam_mprompt.training.state import TrainingProgress, discard_start, load_state, load_weights, save_state


@pytest.fixture
def model():
    return torch.nn.Linear(3, 2)


@pytest.fixture
def optimizer(model):
    made = torch.optim.AdamW(model.parameters(), lr=0.1)
    model(torch.ones(1, 3)).sum().backward()
    made.step()
    return made


@pytest.fixture
def run(tmp_path):
    found = RunFolder(tmp_path / "run")
    found.path.mkdir()
    found.recipe.write_text("")
    found.metrics.write_text("")
    return found


def save(run, model, optimizer, step=7):
    save_state(run, TrainingProgress(step=step, seconds=0.1 + 0.2), model, optimizer, average=None, scaler=None)


def load(run, model, optimizer):
    return load_state(run, model, optimizer, average=None, scaler=None)


def test_a_state_is_read_as_it_was_written(run, model, optimizer):
    save(run, model, optimizer)
    other = torch.nn.Linear(3, 2)
    fresh = torch.optim.AdamW(other.parameters(), lr=0.1)
    assert load(run, other, fresh) == TrainingProgress(step=7, seconds=0.1 + 0.2)
    assert torch.equal(other.weight, model.weight)
    for one, same in zip(other.parameters(), model.parameters(), strict=True):
        assert torch.equal(fresh.state[one]["exp_avg"], optimizer.state[same]["exp_avg"])


@pytest.mark.parametrize("file", ["state.safetensors", "progress.json"])
def test_a_bit_that_the_disk_has_turned_is_refused(run, model, optimizer, file):
    save(run, model, optimizer)
    path = run.state / file
    content = path.read_bytes()
    place = content.index(b"7") if file == "progress.json" else len(content) - 9
    path.write_bytes(content[:place] + bytes([content[place] ^ 1]) + content[place + 1 :])
    with pytest.raises(UsageError, match="changed after it was written"):
        load(run, model, optimizer)
    with pytest.raises(UsageError, match="changed after it was written"):
        load_weights(run, model)


def test_a_state_without_checksums_as_version_0_1_wrote_it_is_read(run, model, optimizer):
    save(run, model, optimizer)
    record = json.loads((run.state / "progress.json").read_text())
    for key in ("sha256", "tensors"):
        del record[key]
    (run.state / "progress.json").write_text(json.dumps(record))
    assert load(run, model, optimizer).step == 7


@pytest.mark.parametrize(
    "content",
    ["", "[]", "null", "{}", '{"progress": 3}', '{"progress": {"step": 1}, "optimizer": {"x": 1}}', "[" * 9000],
)
def test_a_damaged_record_is_refused_in_one_line(run, model, optimizer, content):
    save(run, model, optimizer)
    (run.state / "progress.json").write_text(content)
    with pytest.raises(UsageError, match="holds no readable training state"):
        load(run, model, optimizer)


def test_a_run_that_was_deleted_while_it_was_trained_is_told_at_the_next_save(run, model, optimizer):
    run.recipe.unlink()
    with pytest.raises(RunError) as told:
        save(run, model, optimizer)
    assert str(told.value) == (
        f"'{run.path}' was deleted or moved while it was trained (its recipe.toml is not there): nothing more can be "
        "saved in it."
    )


def test_only_a_first_state_in_which_no_step_was_taken_is_discarded(run, model, optimizer):
    save(run, model, optimizer, step=1)
    discard_start(run)
    assert run.has_state
    save(run, model, optimizer, step=0)
    discard_start(run)
    assert run.is_empty


def test_the_checksum_of_a_record_does_not_depend_on_the_order_of_its_keys(run, model, optimizer):
    save(run, model, optimizer)
    path = run.state / "progress.json"
    record = json.loads(path.read_text())
    assert list(record) != sorted(record)
    path.write_text(json.dumps(record, sort_keys=True))
    assert load(run, model, optimizer).step == 7


def as_version_1(run, change):
    """Turn a state into one of version 0.1, which kept no checksums, and let `change` work on its record."""
    path = run.state / "progress.json"
    record = json.loads(path.read_text())
    del record["sha256"], record["tensors"]
    change(record)
    path.write_text(json.dumps(record))


@pytest.mark.parametrize(
    "change",
    [
        lambda record: record["progress"].update(log_lines="x"),
        lambda record: record["progress"].update(epoch=-1),
        lambda record: record["progress"].update(seconds=[]),
        lambda record: record["progress"].update(best={"images": 1, "mae": "x", "rmse": 1.0, "nae": None}),
        lambda record: record.update(average_updates=float("inf")),
        lambda record: record.update(optimizer={"99.x": 1, "a.b": 2}),
        lambda record: record.update(scaler=3),
    ],
)
def test_a_record_without_checksums_that_cannot_be_is_refused(run, model, optimizer, change):
    save(run, model, optimizer)
    as_version_1(run, change)
    with pytest.raises(UsageError, match="holds no readable training state"):
        load(run, model, optimizer)


def test_what_a_state_claims_is_compared_before_its_contents_are_read(run, model, optimizer, monkeypatch):
    save(run, model, optimizer)

    def read(path, **_):
        raise AssertionError(f"{path} was read")

    monkeypatch.setattr("sam_mprompt.training.state.read_tensors", read)
    larger = torch.nn.Linear(3, 4)
    with pytest.raises(UsageError, match=r"does not fit the recipe: model\.bias and 1 more"):
        load_weights(run, larger)
    with pytest.raises(UsageError, match=r"does not fit the recipe: model\.bias"):
        load(run, larger, torch.optim.AdamW(larger.parameters()))


@pytest.mark.parametrize("name", ["optimizer.0.exp_avg", "optimizer.5.exp_avg"])
def test_what_an_optimizer_kept_of_other_parameters_is_refused(run, model, optimizer, name):
    save(run, model, optimizer)
    tensors = read_tensors(run.state / "state.safetensors") | {name: torch.zeros(7)}
    write_tensors(run.state / "state.safetensors", tensors)
    with pytest.raises(UsageError, match=f"does not fit the recipe: {name}"):
        load(run, model, optimizer)


@pytest.mark.parametrize("draws", [torch.zeros(3), torch.zeros(3, dtype=torch.uint8)])
def test_random_draws_that_are_none_are_refused(run, model, optimizer, draws):
    save(run, model, optimizer)
    record = json.loads((run.state / "progress.json").read_text())
    del record["sha256"], record["tensors"]
    (run.state / "progress.json").write_text(json.dumps(record))
    write_tensors(run.state / "state.safetensors", read_tensors(run.state / "state.safetensors") | {"rng.cpu": draws})
    with pytest.raises(UsageError, match="holds no readable training state"):
        load(run, model, optimizer)


def test_random_draws_go_on_where_the_state_was_saved(run, model, optimizer):
    save(run, model, optimizer)
    expected = torch.rand(5)
    torch.manual_seed(99)
    load(run, model, optimizer)
    assert torch.equal(torch.rand(5), expected)


class Tuned(nn.Module):
    """A frozen part, a trained one, and statistics."""

    def __init__(self):
        super().__init__()
        self.frozen = nn.Linear(3, 3).requires_grad_(False)
        self.trained = nn.Linear(3, 2)
        self.norm = nn.BatchNorm1d(2)

    def forward(self, x):
        return self.norm(self.trained(self.frozen(x)))


def changed(model):
    """Give all of a model other values."""
    with torch.no_grad():
        for tensor in (*model.parameters(), model.norm.running_mean, model.norm.running_var):
            tensor.add_(torch.rand(tensor.shape) + 1)
        model.norm.num_batches_tracked.add_(5)
    return model


def sgd(model):
    return torch.optim.SGD([p for p in model.parameters() if p.requires_grad], lr=0.1, momentum=0.9)


def test_a_state_keeps_what_training_changes_and_not_what_is_frozen(run):
    model = changed(Tuned())
    save(run, model, sgd(model))
    other = Tuned()
    frozen = other.frozen.weight.clone()
    load(run, other, sgd(other))
    kept = {"trained.weight", "trained.bias", *(f"norm.{name}" for name in model.norm.state_dict())}
    for name, tensor in model.state_dict().items():
        assert torch.equal(tensor, other.state_dict()[name]) == (name in kept), name
    assert torch.equal(other.frozen.weight, frozen)
    stored = {name for name in load_file(run.state / "state.safetensors") if name.startswith("model.")}
    assert stored == {f"model.{name}" for name in kept}


def test_the_average_and_its_number_of_updates_come_back(run):
    model = Tuned()
    average = MovingAverage(model, 0.9)
    changed(model)
    for _ in range(3):
        average.update(model)
    save_state(run, TrainingProgress(), model, sgd(model), average=average, scaler=None)
    other = Tuned()
    fresh = MovingAverage(other, 0.9)
    load_state(run, other, sgd(other), average=fresh, scaler=None)
    assert fresh.updates == 3
    assert all(torch.equal(fresh.values[name], value) for name, value in average.values.items())
    assert not torch.equal(fresh.values["trained.weight"], other.trained.weight)
    load_weights(run, other)
    assert torch.equal(other.trained.weight, average.values["trained.weight"])
    assert torch.equal(other.norm.running_var, average.values["norm.running_var"])


def test_weights_without_an_average_are_those_of_the_last_step(run):
    model = changed(Tuned())
    save(run, model, sgd(model))
    other = Tuned()
    load_weights(run, other)
    assert torch.equal(other.trained.weight, model.trained.weight)
    assert torch.equal(other.norm.num_batches_tracked, model.norm.num_batches_tracked)


def test_numbers_in_the_optimizers_state_come_back_beside_its_tensors(run):
    model, other = Tuned(), Tuned()
    optimizer, fresh = sgd(model), sgd(other)
    parameters = [p for p in model.parameters() if p.requires_grad]
    for number, parameter in enumerate(parameters):
        optimizer.state[parameter] = {"momentum_buffer": torch.full_like(parameter, number), "steps.done": number + 3}
    save(run, model, optimizer)
    load(run, other, fresh)
    for number, parameter in enumerate(p for p in other.parameters() if p.requires_grad):
        state = fresh.state[parameter]
        assert state["steps.done"] == number + 3
        assert torch.equal(state["momentum_buffer"], torch.full_like(parameter, number))
    assert fresh.param_groups[0]["lr"] == 0.1


class Scaler:
    """What accelerate scales half precision's gradients with."""

    def __init__(self, **values):
        self.values = values

    def state_dict(self):
        return self.values

    def load_state_dict(self, values):
        self.values = values


@pytest.mark.parametrize(
    ("saved", "after"), [(Scaler(scale=8.0), {"scale": 8.0}), (Scaler(), {"scale": 2.0}), (None, {"scale": 2.0})]
)
def test_the_scale_of_gradients_comes_back_where_there_was_one(run, model, optimizer, saved, after):
    save_state(run, TrainingProgress(), model, optimizer, average=None, scaler=saved)
    scaler = Scaler(scale=2.0)
    load_state(run, model, optimizer, average=None, scaler=scaler)
    assert scaler.values == after
    load(run, model, optimizer)


def test_random_states_of_gpus_come_back_where_there_are_as_many(run, model, optimizer, monkeypatch):
    states, put = [torch.tensor([i], dtype=torch.uint8) for i in range(2)], []
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "get_rng_state_all", lambda: states)
    monkeypatch.setattr(torch.cuda, "set_rng_state_all", lambda given: put.append([int(state) for state in given]))
    save(run, model, optimizer)
    for gpus, expected in ((2, [[0, 1]]), (1, [[0, 1]])):
        monkeypatch.setattr(torch.cuda, "device_count", lambda gpus=gpus: gpus)
        load(run, model, optimizer)
        assert put == expected
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    load(run, model, optimizer)
    assert put == [[0, 1]]


def test_all_of_the_progress_comes_back(run, model, optimizer):
    best = Metrics(3, 1.5, 2.5, None)
    progress = TrainingProgress(4, 2, 11, best, 3, 0.25, 7, 12.5)
    save_state(run, progress, model, optimizer, average=None, scaler=None)
    assert load(run, model, optimizer) == progress


@pytest.mark.parametrize("best", [None, 1.5])
def test_progress_of_version_0_1_finds_its_best_figures_beside_the_adapter(run, model, optimizer, best):
    save(run, model, optimizer)
    path = run.state / "progress.json"
    record = json.loads(path.read_text())
    for key in ("sha256", "tensors"):
        del record[key]
    del record["progress"]["best"]
    record["progress"]["best_mae"] = best
    path.write_text(json.dumps(record))
    run.adapter.mkdir()
    figures = {"images": 3, "mae": 1.5, "rmse": 2.5, "nae": 0.5}
    (run.adapter / "metrics.json").write_text(json.dumps({"val": figures}))
    expected = TrainingProgress(step=7, seconds=0.1 + 0.2, best=Metrics(**figures) if best else None)
    assert load(run, model, optimizer) == expected


@pytest.mark.parametrize("part", ["weight", "optimizer", "average"])
@pytest.mark.parametrize("value", [float("nan"), float("inf")])
def test_a_state_that_is_not_finite_is_refused_with_its_step_and_what_to_change(run, part, value):
    model = Tuned()
    optimizer, average = sgd(model), MovingAverage(model, 0.9)
    optimizer.state[model.trained.weight] = {"momentum_buffer": torch.zeros(2, 3)}
    save_state(run, TrainingProgress(step=1), model, optimizer, average=average, scaler=None)
    tensor, name = {
        "weight": (model.trained.bias, r"model\.trained\.bias"),
        "optimizer": (optimizer.state[model.trained.weight]["momentum_buffer"], r"optimizer\.0\.momentum_buffer"),
        "average": (average.values["norm.bias"], r"average\.norm\.bias"),
    }[part]
    with torch.no_grad():
        tensor.view(-1)[0] = value
    said = rf"^Step 8 left NaN or infinity in {name} \(1 tensors\): the state before it is kept\. Lower train\.lr or"
    with pytest.raises(RunError, match=said) as told:
        save_state(run, TrainingProgress(step=8), model, optimizer, average=average, scaler=None)
    assert told.value.about == "diverged"
    assert load_state(run, model, optimizer, average=average, scaler=None).step == 1


@pytest.mark.parametrize(
    ("change", "why"),
    [
        (lambda record: record.pop("tensors"), "was changed"),
        (lambda record: record.pop("sha256"), "progress.json has lost a checksum"),
        (lambda record: record["progress"].update(step=8), "progress.json was changed after it was written"),
    ],
)
def test_a_record_that_does_not_fit_its_checksums_is_refused(run, model, optimizer, change, why):
    save(run, model, optimizer)
    path = run.state / "progress.json"
    record = json.loads(path.read_text())
    change(record)
    path.write_text(json.dumps(record))
    with pytest.raises(UsageError, match=rf"^'.*state' holds no readable training state \(.*{why}.*\)\.$") as told:
        load(run, model, optimizer)
    assert told.value.about == "damaged state"


def test_a_record_that_is_no_object_says_so(run, model, optimizer):
    save(run, model, optimizer)
    (run.state / "progress.json").write_text("[]")
    with pytest.raises(UsageError, match=r"progress\.json' should hold a JSON object: got list"):
        load(run, model, optimizer)


def test_a_record_with_a_key_twice_is_refused_with_a_checksum_and_without(run, model, optimizer):
    save(run, model, optimizer)
    path = run.state / "progress.json"
    path.write_text(path.read_text().replace('"step"', '"step": 1,\n"step"'))
    with pytest.raises(UsageError, match=r"no readable training state \(.*the key 'step' stands twice"):
        load(run, model, optimizer)


@pytest.mark.parametrize("key", ["progress", "optimizer", "average_updates", "scaler"])
def test_a_record_without_a_part_is_damaged_and_changes_nothing(run, model, optimizer, key):
    save(run, model, optimizer)
    path = run.state / "progress.json"
    record = json.loads(path.read_text())
    for gone in ("sha256", "tensors", key):
        del record[gone]
    path.write_text(json.dumps(record))
    other = nn.Linear(3, 2)
    before = other.weight.clone()
    with pytest.raises(UsageError, match=rf"holds no readable training state \(KeyError: '{key}'\)"):
        load(run, other, torch.optim.AdamW(other.parameters()))
    assert torch.equal(other.weight, before)


@pytest.mark.parametrize(
    ("other", "said"),
    [
        (nn.Linear(3, 4), "bias and 1 more tensors differ"),
        (nn.Linear(3, 2, bias=False), "bias and 0 more tensors differ"),
        (nn.Sequential(nn.Linear(3, 2)), r"0\.bias and 3 more tensors differ"),
    ],
)
def test_a_state_of_another_model_is_refused_and_changes_nothing(run, model, optimizer, other, said):
    save(run, model, optimizer)
    before = [parameter.clone() for parameter in other.parameters()]
    why = rf"does not fit the recipe: (model\.)?{said}\. Go on with the run's own recipe\.toml"
    with pytest.raises(UsageError, match=rf"^The state in '.*state' {why}"):
        load_weights(run, other)
    assert all(torch.equal(now, old) for now, old in zip(other.parameters(), before, strict=True))


def test_a_first_state_is_kept_where_it_cannot_be_read_and_beside_an_adapter(run, model, optimizer):
    discard_start(run)
    save(run, model, optimizer, step=0)
    (run.state / "progress.json").write_text("{}")
    discard_start(run)
    assert run.has_state
    save(run, model, optimizer, step=0)
    run.adapter.mkdir()
    discard_start(run)
    assert run.has_state


def test_a_state_replaces_the_last_and_its_record_can_be_read_by_people(run, model, optimizer):
    save(run, model, optimizer, step=1)
    save(run, model, optimizer, step=2)
    assert {path.name for path in run.state.iterdir()} == {"state.safetensors", "progress.json"}
    text = (run.state / "progress.json").read_text()
    assert json.loads(text)["progress"]["step"] == 2
    assert text.startswith('{\n "progress"')
    assert load(run, model, optimizer).step == 2


def test_what_an_optimizer_kept_before_it_was_loaded_is_gone(run, model, optimizer):
    fresh = torch.optim.AdamW(model.parameters(), lr=0.1)
    save(run, model, fresh)
    assert optimizer.state
    load(run, model, optimizer)
    assert not optimizer.state


@pytest.mark.parametrize(
    ("content", "why"), [("", "Expecting value"), ("[]", "should hold a JSON object"), ("{}", "KeyError")]
)
def test_a_damaged_state_is_named_by_its_folder_with_the_reason(run, model, optimizer, content, why):
    save(run, model, optimizer)
    (run.state / "progress.json").write_text(content)
    said = rf"^'{re.escape(str(run.state))}' holds no readable training state \(.*{why}.*\)\.$"
    with pytest.raises(UsageError, match=said):
        load(run, model, optimizer)


def test_a_state_that_does_not_fit_is_named_by_its_folder(run):
    model, wide = Tuned(), Tuned()
    wide.trained = nn.Linear(3, 4)
    average = MovingAverage(model, 0.9)
    save_state(run, TrainingProgress(), model, sgd(model), average=average, scaler=None)
    said = rf"^The state in '{re.escape(str(run.state))}' does not fit the recipe: "
    with pytest.raises(UsageError, match=said):
        load_state(run, wide, sgd(wide), average=None, scaler=None)
    with pytest.raises(UsageError, match=said):
        load_state(run, model, sgd(model), average=MovingAverage(wide, 0.9), scaler=None)
    with pytest.raises(UsageError, match=said):
        load_weights(run, wide)


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (
            {"epoch": -1},
            "expected epoch, batch, step and log_lines as whole numbers from 0, got (-1, 0, 7, 0)",
        ),
        ({"seconds": "x"}, "expected numbers for seconds and the best figures"),
    ],
)
def test_a_progress_that_cannot_be_says_what_was_expected(run, model, optimizer, change, said):
    save(run, model, optimizer)
    as_version_1(run, lambda record: record["progress"].update(change))
    with pytest.raises(UsageError) as told:
        load(run, model, optimizer)
    assert str(told.value) == f"'{run.state}' holds no readable training state (ValueError: {said})."


def test_what_a_scale_of_gradients_cannot_be_made_of_is_a_damaged_state(run, model, optimizer):
    save(run, model, optimizer)
    as_version_1(run, lambda record: record.update(scaler={"scale": 2.0}))
    scaler = torch.amp.GradScaler("cpu")
    with pytest.raises(UsageError) as told:
        load_state(run, model, optimizer, average=None, scaler=scaler)
    assert str(told.value) == f"'{run.state}' holds no readable training state (KeyError: 'growth_factor')."


def test_the_means_of_an_epoch_are_of_its_own_batches_alone():
    progress = TrainingProgress()
    for losses, mean in (((1.0, 3.0), 2.0), ((5.0,), 5.0), ((2.0, 4.0, 9.0), 5.0)):
        for loss in losses:
            progress.add({"loss": loss})
        assert progress.means() == {"loss": mean}
    assert progress.means() == {}


def _turned(path, place):
    content = bytearray(path.read_bytes())
    content[place] ^= 1
    path.write_bytes(content)


def _garbled(record):
    record.write_text(record.read_text()[:40])


@pytest.mark.parametrize(
    "damage",
    [
        lambda state: _turned(state / "state.safetensors", -9),
        lambda state: _turned(state / "state.safetensors", 0),
        # a name in the header: what is left looks like the state of another recipe
        lambda state: _turned(
            state / "state.safetensors", (state / "state.safetensors").read_bytes().index(b"model.weight")
        ),
        lambda state: _garbled(state / "progress.json"),
        lambda state: _turned(state / "progress.json", (state / "progress.json").read_bytes().index(b'"step": 2') + 8),
        lambda state: (state / "progress.json").unlink(),
        lambda state: (state / "state.safetensors").unlink(),
    ],
    ids=["contents", "length of the header", "a name", "record", "a number in the record", "no record", "no contents"],
)
def test_where_the_disk_damages_a_state_the_one_before_is_gone_on_from_and_that_is_said(run, model, optimizer, damage):
    save(run, model, optimizer, step=1)
    old = {name: tensor.clone() for name, tensor in model.state_dict().items()}
    with torch.no_grad():
        model.weight += 1
    save(run, model, optimizer, step=2)
    damage(run.state)
    heard = []
    progress = load_state(run, model, optimizer, average=None, scaler=None, say=heard.append)
    assert progress.step == 1
    assert all(torch.equal(tensor, old[name]) for name, tensor in model.state_dict().items())
    assert heard == [f"The disk has damaged '{run.state}'; the state before it is whole: going on from step 1."]


def test_a_name_that_the_disk_has_changed_beside_a_record_that_it_has_is_damage(run, model, optimizer):
    save(run, model, optimizer, step=1)
    save(run, model, optimizer, step=2)
    tensors = run.state / "state.safetensors"
    _turned(tensors, tensors.read_bytes().index(b"model.weight"))
    _garbled(run.state / "progress.json")
    assert load(run, model, optimizer).step == 1


def test_a_damaged_state_with_nothing_whole_before_it_is_refused_for_its_own_damage(run, model, optimizer):
    save(run, model, optimizer, step=1)
    save(run, model, optimizer, step=2)
    for state in (run.state, run.state_before):
        _turned(state / "state.safetensors", -9)
    with pytest.raises(UsageError, match=re.escape(f"'{run.state}' holds no readable")):
        load(run, model, optimizer)


def test_a_whole_state_of_another_recipe_is_refused_though_there_is_one_before_it(run, model, optimizer):
    save(run, model, optimizer, step=1)
    wide = nn.Linear(3, 4)
    save(run, wide, sgd(wide), step=2)
    with pytest.raises(UsageError, match=re.escape(f"The state in '{run.state}' does not fit the recipe")):
        load(run, model, optimizer)


def test_a_state_of_version_0_1_of_another_recipe_is_not_taken_for_damage(run, model, optimizer):
    save(run, model, optimizer, step=1)
    wide = nn.Linear(3, 4)
    save(run, wide, sgd(wide), step=2)
    record = json.loads((run.state / "progress.json").read_text())
    (run.state / "progress.json").write_text(
        json.dumps({key: value for key, value in record.items() if key not in ("sha256", "tensors")})
    )
    with pytest.raises(UsageError, match=re.escape(f"The state in '{run.state}' does not fit the recipe")):
        load(run, model, optimizer)


@pytest.mark.parametrize("file", ["state.safetensors", "progress.json"])
def test_a_state_without_one_of_its_files_is_damaged_and_named(run, model, optimizer, file):
    save(run, model, optimizer)
    (run.state / file).unlink()
    said = rf"^'{re.escape(str(run.state))}' holds no readable training state \("
    with pytest.raises(UsageError, match=said):
        load(run, model, optimizer)
    with pytest.raises(UsageError, match=said):
        load_weights(run, model)
