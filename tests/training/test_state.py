import json

import pytest
import torch

from sam_mprompt.errors import RunError, UsageError
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
    with pytest.raises(RunError, match="deleted or moved"):
        save(run, model, optimizer)


def test_only_a_first_state_in_which_no_step_was_taken_is_discarded(run, model, optimizer):
    save(run, model, optimizer, step=1)
    discard_start(run)
    assert run.has_state
    save(run, model, optimizer, step=0)
    discard_start(run)
    assert run.is_empty


def test_random_draws_go_on_where_the_state_was_saved(run, model, optimizer):
    save(run, model, optimizer)
    expected = torch.rand(5)
    torch.manual_seed(99)
    load(run, model, optimizer)
    assert torch.equal(torch.rand(5), expected)
