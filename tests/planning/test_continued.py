"""Going on from an adapter with other photographs: what stays, and what follows from them."""

import pytest

from sam_mprompt.adapter.folder import AdapterFolder
from sam_mprompt.errors import UsageError
from sam_mprompt.planning.continued import continued
from sam_mprompt.planning.timing import Timing
from sam_mprompt.resources import bundled

DEMO = bundled("adapters") / "demo"


def going_on(photos, laptop, minutes=2.0, **options):
    timed = []

    def timer(recipe, root):
        timed.append((recipe, root))
        return Timing(step=1.0, image=0.5)

    own = AdapterFolder.read(DEMO).recipe
    made = continued(own, DEMO, photos, minutes=minutes, machine=laptop, timer=timer, **options)
    assert [root for _, root in timed] == [photos]
    assert timed[0][0].model == made.model
    return own, made


def test_the_network_and_its_losses_stay_and_its_weights_are_the_start(photos, laptop):
    own, made = going_on(photos, laptop)
    assert made.train.init_from == str(DEMO)
    assert (made.model, made.tuning, made.infer) == (own.model, own.tuning, own.infer)
    assert made.loss.model_copy(update={"kappa": own.loss.kappa}) == own.loss
    assert (made.data.min_side, made.data.scale, made.data.crop) == (own.data.min_side, own.data.scale, own.data.crop)
    assert (made.data.format, made.name) == ("points", "my-photos")
    assert made.targets.pseudo_mask == "points"  # as the heads have no boxes


def test_epochs_folds_and_batches_follow_from_photographs_and_minutes(photos, laptop):
    _, made = going_on(photos, laptop)
    assert (made.train.batch_size, made.train.folds) == (6, 3)
    # 0.9 of 120 s without counting six photographs once, at a second an epoch and two and a half trainings
    assert made.train.epochs == int((0.9 * 120 - 6 * 0.5) / 2.5)
    _, longer = going_on(photos, laptop, minutes=4.0)
    assert longer.train.epochs > 1.9 * made.train.epochs


def test_what_is_given_decides(photos, laptop):
    _, made = going_on(photos, laptop, overrides=("train.epochs=3", "train.lr=0.5"), base="another")
    assert (made.train.epochs, made.train.lr, made.model.base) == (3, 0.5, "another")


@pytest.mark.parametrize("minutes", [0, -1, 1441, float("nan")])
def test_minutes_that_are_none_are_refused(photos, laptop, minutes):
    with pytest.raises(UsageError, match="at most 1440 minutes"):
        continued(AdapterFolder.read(DEMO).recipe, DEMO, photos, minutes=minutes, machine=laptop, timer=None)
