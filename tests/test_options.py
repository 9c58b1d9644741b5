"""Options: their defaults, and what they may be, for callers from Python too."""

from pathlib import Path

import pytest

from foldernet import rooms
from foldernet.option_types import converted
from foldernet.options import ClassifyOptions, PredictOptions, TrainOptions
from foldernet.terminal import UserError


def test_batch_size_and_learning_rate_suit_the_number_of_images():
    chosen = {count: TrainOptions().with_defaults(count) for count in (10, 640, 3000, 10**6)}
    assert [options.batch_size for options in chosen.values()] == [16, 32, 128, 128]
    assert chosen[3000].learning_rate == pytest.approx(0.003)
    assert chosen[640].learning_rate == pytest.approx(0.0015)
    given = TrainOptions(batch_size=7, learning_rate=0.0).with_defaults(3000)
    assert (given.batch_size, given.learning_rate) == (7, 0)


@pytest.mark.parametrize(
    ("given", "told"),
    [
        ({"epochs": 0}, "--epochs 0 is too small; it must be at least 1."),
        ({"epochs": 2.5}, "--epochs 2.5 is not a whole number."),
        ({"epochs": "3"}, "--epochs '3' is not a whole number."),
        ({"image_size": 5000}, "--image-size 5000 is too large; it must be at most 4096."),
        ({"learning_rate": "fast"}, "--learning-rate 'fast' is not a number."),
        ({"learning_rate": float("nan")}, "--learning-rate nan is too small"),
        ({"brightness_range": (-1, 1)}, "--brightness-range -1 is too small"),
        ({"cache": "ram"}, "--cache 'ram' is unknown. Choose from auto, memory, disk, off."),
        ({"optimizer": "adamm"}, "--optimizer 'adamm' is unknown. Choose from adamw, adam"),
        ({"state_minutes": -1}, "--state-minutes -1 is too small"),
    ],
    ids=str,
)
def test_a_value_that_cannot_be_is_a_sentence_for_callers_from_python_too(given, told):
    with pytest.raises(UserError) as error:
        rooms.options_class("classify")(**given)
    assert told in str(error.value)


def test_numbers_of_numpy_are_numbers():
    import numpy as np

    options = TrainOptions(epochs=np.int64(3), learning_rate=np.float32(0.5))
    assert (options.epochs, options.learning_rate) == (3, 0.5)


@pytest.mark.parametrize("mode", rooms.TASKS)
def test_options_from_json_are_those_that_were_written(mode):
    Options = rooms.options_class(mode)
    written = {"data": "pets", "freeze": ["conv*", "bn*"], "weights": "best.keras", "name": None}
    options = Options(**converted(Options, written))
    assert options.data == Path("pets")
    assert options.weights == Path("best.keras")
    assert options.freeze == ("conv*", "bn*")
    assert options.name is None


def test_an_unknown_name_is_told_with_the_nearest_known_one():
    with pytest.raises(UserError, match=r"no option 'epohcs'; did you mean 'epochs'\?"):
        converted(ClassifyOptions, {"epohcs": 3})


def test_a_prediction_needs_an_image():
    with pytest.raises(UserError, match="No image is named"):
        PredictOptions()
