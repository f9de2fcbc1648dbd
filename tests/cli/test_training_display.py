import io

from rich.console import Console

from sam_mprompt.cli.training_display import TrainingDisplay


def shown(*, terminal, width=100):
    screen = io.StringIO()
    return screen, TrainingDisplay(Console(file=screen, force_terminal=terminal, width=width))


def test_a_terminal_sees_progress_rates_terms_and_validation():
    screen, display = shown(terminal=True)
    with display:
        display.batch(0, 8, {})
        display.batch(1, 8, {"epoch": 1, "lr": 1e-4, "images_per_s": 3.0, "loss": 0.5, "density": 0.25})
        display.epoch({"epoch": 1, "val_mae": 12.5, "val_rmse": 20.0})
    assert all(word in screen.getvalue() for word in ("ETA", "1/8", "images_per_s", "0.0001", "density", "12.5"))


def test_elsewhere_an_epoch_is_one_plain_line():
    screen, display = shown(terminal=False, width=40)
    with display:
        display.progress("encoding images", 1, 3)
        display.batch(1, 8, {"loss": 0.5})
        display.epoch({"epoch": 1, "loss": 0.5, "val_mae": None, "val_rmse": 20.0})
    assert screen.getvalue() == "epoch 1 · loss 0.5 · val_rmse 20\n"


def test_a_preparations_bar_gives_way_to_what_comes_after_it():
    screen, display = shown(terminal=True)
    with display:
        display.progress("fetching sam_vit_b", 5_000_000, 10_000_000, in_bytes=True)
        display.progress("encoding images", 1, 3)
        display.say("train: [6] images")
        display.batch(0, 8, {})
    text = screen.getvalue()
    assert "fetching sam_vit_b" in text
    assert "MB" in text
    assert text.index("encoding images") < text.index("train: [6] images") < text.rindex("batches")


def test_trainings_one_after_the_other_each_have_a_display_of_their_own():
    screen, display = shown(terminal=True)
    with display:
        display.batch(7, 8, {"loss": 0.5})
        display.end()
        display.say("next")
        display.batch(0, 4, {})
    first, second = screen.getvalue().split("next")
    assert "7/8" in first
    assert "0/4" in second
    assert "loss" not in second
