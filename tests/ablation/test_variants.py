from pathlib import Path

from sam_mprompt.ablation.variants import Ablation, Variant, plan


def test_a_row_may_name_a_recipe_of_its_own(tmp_path: Path) -> None:
    rows = (Variant(label="ours", recipe="shb-lite0-side", set=("train.epochs=3",)), Variant(label="theirs"))
    runs = plan(
        Ablation(title="bases", rows=rows), "shb-scratch", seeds={"ours": 2, "theirs": 1}, settings=(), out=tmp_path
    )
    assert [(run.row.label, run.recipe, run.seed) for run in runs] == [
        ("ours", "shb-lite0-side", 0),
        ("theirs", "shb-scratch", 0),
        ("ours", "shb-lite0-side", 1),
    ]
    assert runs[0].settings == ("train.epochs=3", "train.seed=0")
