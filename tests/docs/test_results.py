"""What README and results page say of accuracy is what the committed records give."""

import re
from collections.abc import Callable, Sequence
from statistics import mean

import pytest
from docs_pages import IN_A_CHECKOUT, ROOT

from benchmarks.accuracy.experiments import experiments
from benchmarks.accuracy.pairs import by_seed, differences, pairs
from sam_mprompt.ablation.records import Record, read_records

pytestmark = pytest.mark.skipif(not IN_A_CHECKOUT, reason="the figures are compared with the checkout's records")


@pytest.fixture(scope="module")
def results() -> str:
    return _words(ROOT / "docs" / "results.md")


def _words(page) -> str:
    return " ".join(page.read_text(encoding="utf-8").split())


def _records(name: str) -> list[Record]:
    return next(read_records(experiment.records) for experiment in experiments() if experiment.name == name)


def _mean(records: Sequence[Record], row: str, of: Callable[[Record], float | None]) -> float:
    return mean(value for record in records if record.row == row and (value := of(record)) is not None)


def _gains(found: Sequence[tuple[Record, Record]], of: str) -> list[float]:
    """What prompts take off an error, in percent of it, pair by pair."""
    both = [(getattr(prompted, of), getattr(alone, of)) for prompted, alone in found]
    return [100 * (1 - a / b) for a, b in both if a is not None and b is not None]


def test_what_the_base_is_worth_is_what_records_give(results):
    below = {
        name: 1 - _mean(records, "frozen sam-tiny", mae) / _mean(records, "frozen random", mae)
        for name in ("bases-crowd", "bases-shb-tiny-prompt-bare", "bases-shb-tiny-prompt")
        for records, mae in [(_records(name), lambda record: record.val_mae)]
    }
    whole, alone, with_stem = (f"{100 * share:.0f} %" for share in below.values())
    assert f"`sam-tiny` are {whole} below the same on frozen random weights in validation MAE" in results
    assert f"they are {alone} below where the heads see the encoder alone, and {with_stem} where a stem" in results


@pytest.mark.parametrize("page", ["README.md", "docs/results.md"])
@pytest.mark.parametrize(
    ("recipe", "experiment", "row"),
    [
        ("shb-tiny-side-long", "table2-shb-tiny-side-long", "all"),
        ("shb-scratch", "whole-shb-scratch", "as committed"),
        ("shb-lite0-full", "whole-shb-lite0-full", "as committed"),
        ("sha-lite0-full", "whole-sha-lite0-full", "as committed"),
    ],
)
def test_test_errors_of_a_recipe_are_those_of_its_records(page, recipe, experiment, row):
    found = sorted(record.test_mae for record in _records(experiment) if record.row == row)
    said = " and ".join(f"{mae:.1f}" for mae in found)
    assert re.search(rf"`{recipe}`.{{0,150}}{re.escape(said)}", _words(ROOT / page))


def test_gains_by_prompts_are_those_of_the_pairs_of_records(results):
    of_kind = {"procedural crowds": [], "on photographs": []}
    for experiment in experiments():
        units = by_seed(pairs(read_records(experiment.records)))
        of_kind["on photographs" if experiment.data else "procedural crowds"] += units
    val, nae = (differences(of_kind["procedural crowds"], of) for of in ("val_mae", "val_nae"))
    better = [sum(difference < 0 for difference in found) for found in (val, nae)]
    assert (
        f"on procedural crowds {better[0]} of {len(val)} are better with prompts in MAE on validation, by "
        f"{-mean(val):.1f} % on average, and {better[1]} of {len(nae)} in NAE, by {-mean(nae):.0f} %"
    ) in results
    real, test = (differences(of_kind["on photographs"], of) for of in ("val_mae", "test_mae"))
    better = [sum(difference < 0 for difference in found) for found in (real, test)]
    assert (
        f"On photographs {better[0]} of {len(real)} are in MAE on validation, by {-mean(real):.1f} %, and "
        f"{better[1]} of {len(test)} on test, by {-mean(test):.1f} %"
    ) in results
    assert (
        f"Prompts gain {-mean(val):.1f} % on procedural crowds and {-mean(real):.1f} % on photographs (validation; "
        f"{-mean(test):.1f} % on test)"
    ) in _words(ROOT / "README.md")


def test_gains_of_single_recipes_are_those_of_their_pairs(results):
    gain = {
        (name, of): mean(_gains(pairs(_records(name)), of))
        for name in ("demo-crowd", "whole-shb-scratch", "table2-sha-tiny-prompt", "table2-crowd")
        for of in ("val_mae", "val_nae", "test_mae")
        if _gains(pairs(_records(name)), of)
    }
    demo = f"take {gain['demo-crowd', 'val_mae']:.0f} % off validation MAE and {gain['demo-crowd', 'val_nae']:.0f} %"
    assert demo in results
    scratch = [f"{gain['whole-shb-scratch', of]:.0f} %" for of in ("val_mae", "test_mae")]
    assert f"`shb-scratch` gains {scratch[0]} in MAE on validation and {scratch[1]} on test after 120 epochs" in results
    assert {round(gain["table2-sha-tiny-prompt", of]) for of in ("val_mae", "test_mae")} == {1}
    assert "`sha-tiny-prompt` 1 % on both, with each of three seeds" in results
    by_adam = [
        pair for pair in pairs(_records("strength-crowd")) if pair[0].row == "all, AdamW"
    ]  # the demo's own stem and rate
    assert f"MAE gains {mean(_gains(by_adam, 'val_mae')):.0f} % by AdamW (three seeds" in results
    assert len(by_adam) == 3
    assert abs(gain["table2-crowd", "val_mae"]) < 1  # "and nothing by Muon"


def test_bases_at_equal_seconds_are_what_records_give(results):
    records = _records("photographs-shb-scratch")
    cells = {
        "lite0 frozen, side network": "frozen | a side network",
        "lite0, everything trains": "the same | everything",
        "sam-tiny frozen, side network": "the bundled `sam-tiny`, frozen | a side network and a stem",
        "sam-tiny-distilled frozen, side network": "beside a teacher](paper.md#the-bundled-base), frozen | the same",
        "from scratch": "none (`shb-scratch`) | everything",
        "lite0, everything trains, random weights": "random weights | everything",
    }
    assert {record.row for record in records} == set(cells)
    for row, cell in cells.items():
        assert sorted(record.seed for record in records if record.row == row) == [0, 1, 2]
        assert f"{cell} | {_mean(records, row, lambda record: record.test_mae):.1f} |" in results
    minutes = [mean(record.seconds for record in records if record.row == row) / 60 for row in cells]
    assert (round(min(minutes)), round(max(minutes))) == (5, 8)
    assert "After five to eight minutes on one thread" in results
