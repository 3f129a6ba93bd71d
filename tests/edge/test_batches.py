"""Images that go through a model together are answered as each by itself, in order, beside what is known of it."""

from dataclasses import replace

import numpy as np
import pytest
from PIL import Image

from kmedtl.edge.batches import batches, one_ahead
from kmedtl.edge.examinations import Examination
from kmedtl.edge.fields import NumberField
from kmedtl.edge.predictor import Model, predict_files
from kmedtl.edge.tasks.classification.decoder import LOGITS
from tests.edge.conftest import SIZE


@pytest.mark.parametrize(("count", "sizes"), [(0, []), (3, [3]), (4, [4]), (9, [4, 4, 1])])
def test_batches_hold_all_items_in_order(count, sizes):
    found = list(batches(range(count), 4))
    assert [len(batch) for batch in found] == sizes
    assert [item for batch in found for item in batch] == list(range(count))


def test_the_next_item_is_fetched_before_the_present_one_is_done():
    fetched = []

    def fetch():
        for number in range(3):
            fetched.append(number)
            yield number

    coming = one_ahead(fetch())
    assert next(coming) == 0
    assert list(coming) == [1, 2]
    assert fetched == [0, 1, 2]


def test_an_error_while_fetching_is_raised():
    def fetch():
        yield 1
        raise OSError("gone")

    with pytest.raises(OSError, match="gone"):
        list(one_ahead(fetch()))


def test_each_image_keeps_its_fields_though_others_are_unreadable_or_examinations(info, tmp_path):
    """The model answers with the field alone, so that a shifted row would show."""
    fields = (NumberField("age", 0.0, 1.0),)
    model = Model(lambda images, given: {LOGITS: given[:, :1]}, info.reading, replace(info, fields=fields))
    places, ages = [], []
    for number in range(40):
        place = tmp_path / f"{number}.png"
        Image.new("L", (SIZE, SIZE), number).save(place)
        if number % 7 == 3:
            place.write_bytes(b"")
        places.append(Examination(f"e{number}", {}) if number in (5, 21) else str(place))
        ages.append({"age": f"{number / 10}"})
    found = [seen.prediction for seen in predict_files(model, places, lambda names: ages)]
    assert [one.image for one in found] == [f"e{n}" if n in (5, 21) else places[n] for n in range(40)]
    for number, one in enumerate(found):
        if number % 7 == 3 or number in (5, 21):
            assert one.error
        else:
            (expected,) = info.task.decode({LOGITS: np.array([[number / 10]], np.float32)}, info.decoder)
            assert one.answer == expected
