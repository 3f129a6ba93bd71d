import numpy as np

from kmedtl.explain.gallery import explained
from kmedtl.tasks.classification.cases import cases
from tests.explain.conftest import planted
from tests.models import decoder_of, examples_of, question_of


def test_images_that_are_hidden_are_no_cases(finder):
    images, targets, _ = planted(12, seed=1)
    examples = examples_of(targets[:, None], np.linspace(-2, 2, 12)[:, None])
    decoder = decoder_of("binary", ("dark", "bright"))
    hidden = set(examples.ids[::3])
    found = explained(finder, lambda seen: cases(question_of(), seen, decoder, 4), examples, images, "grad_cam", hidden)
    assert len(found) == 8  # every other one
    assert not hidden & {tile.id for tile in found}
