import json
from dataclasses import asdict, replace

import numpy as np
import pytest

from kmedtl.config import build
from kmedtl.edge.out_of_distribution import Layout, OutOfDistribution, encoded, thumbnails
from kmedtl.errors import UserError

# Of three features: half-way along the first two is the mean, their difference the only direction, the third is noise.
MEAN = np.array([0.5, 0.5, 0.0])
DIRECTION = np.array([[1.0, -1.0, 0.0]]) / np.sqrt(2)
KNOWN = OutOfDistribution(encoded(MEAN), encoded(DIRECTION), variances=(0.25,), residual=0.01, threshold=2.0)
IMAGES = np.random.default_rng(0).integers(0, 256, (20, 32, 48, 1), dtype=np.uint8)
LAYOUT = Layout(encoded(thumbnails(IMAGES[:1])), 0.5)


def test_the_score_is_the_mahalanobis_distance_of_the_direction_of_the_features():
    covariance = 0.25 * DIRECTION.T @ DIRECTION + 0.01 * (np.eye(3) - DIRECTION.T @ DIRECTION)
    features = np.random.default_rng(0).normal(0, 1, (20, 3))
    centred = features / np.linalg.norm(features, axis=1, keepdims=True) - MEAN
    expected = np.einsum("ni,ij,nj->n", centred, np.linalg.inv(covariance), centred) / 3
    assert KNOWN.score(features) == pytest.approx(expected, rel=1e-2)  # components are float16
    assert KNOWN.score(7 * features) == pytest.approx(KNOWN.score(features))
    assert (KNOWN.unlike(features, IMAGES) == (KNOWN.score(features) > 2)).all()
    assert np.isfinite(KNOWN.score(np.zeros((1, 3)))).all()


def test_a_document_reads_back_equal():
    for known in (KNOWN, replace(KNOWN, layout=LAYOUT)):
        assert build(OutOfDistribution, json.loads(json.dumps(asdict(known)))) == known


def test_likeness_is_the_correlation_of_thumbnails():
    cells = IMAGES[:, :, :, 0].reshape(20, 16, 2, 16, 3).mean((2, 4)).reshape(20, -1)
    expected = [np.corrcoef(cells[0], row)[0, 1] for row in cells]
    assert LAYOUT.likeness(IMAGES) == pytest.approx(expected, abs=1e-3)
    assert LAYOUT.likeness(255 - IMAGES) == pytest.approx(-np.array(expected), abs=1e-3)
    assert LAYOUT.likeness(np.full((1, 20, 33, 3), 9, np.uint8)) == [0]
    assert LAYOUT.likeness(np.repeat(IMAGES[:1, :, :, :], 3, axis=3)) == pytest.approx(1, abs=1e-3)
    alike = np.repeat(MEAN[None], 20, axis=0)
    assert (replace(KNOWN, layout=LAYOUT, threshold=9.0).unlike(alike, IMAGES) == (LAYOUT.likeness(IMAGES) < 0.5)).all()


@pytest.mark.parametrize(
    ("change", "word"),
    [
        ({"mean": "not base64!"}, "base64"),
        ({"mean": 1.0}, "text"),
        ({"mean": encoded(np.array([0.5]))}, "more numbers"),
        ({"mean": encoded(np.array([np.nan, 0.5, 0.0]))}, "finite"),
        ({"components": encoded(np.ones(4))}, "3 numbers"),
        ({"variances": []}, "above 0"),
        ({"variances": [0.0]}, "above 0"),
        ({"variances": [True]}, "a number"),
        ({"variances": 0.25}, "list"),
        ({"residual": float("nan")}, "above 0"),
        ({"threshold": "2"}, "a number"),
        ({"extra": 1}, "no such setting"),
        ({"layout": {"typical": encoded(np.ones(4)), "least": 0.5}}, "256 numbers"),
        ({"layout": {"typical": encoded(np.ones(256)), "least": float("nan")}}, "finite"),
        ({"layout": {"typical": encoded(np.ones(256))}}, "no default"),
    ],
)
def test_a_damaged_document_is_refused_in_one_line(change, word):
    with pytest.raises(UserError, match=word) as error:
        build(OutOfDistribution, json.loads(json.dumps(asdict(KNOWN))) | change, text_as_number=False)
    assert "\n" not in str(error.value)


def test_features_of_another_width_are_refused():
    with pytest.raises(UserError, match="3 for each image"):
        KNOWN.score(np.zeros((2, 4)))
