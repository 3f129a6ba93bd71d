"""Labelled and unlabelled images in one step: what a batch holds, and what its loss is."""

from types import SimpleNamespace

import numpy as np
import pytest

from kmedtl.edge.tasks.classification.decoder import LOGITS
from kmedtl.finetune.unlabelled_steps import EpochOfBoth, LossOfBoth
from kmedtl.tasks.classification.losses import cross_entropy
from kmedtl.tasks.classification.network import SOFT
from tests.models import question_of

RANDOM = np.random.default_rng(0)


def kept(images, views, first):
    """Return activations as `cache` keeps them: of image i in view v they are i + v / 10, from `first` on."""
    each = first + np.arange(images) + np.arange(views)[:, None] / 10
    targets = np.broadcast_to(first + np.arange(images), (views, images))[..., None]
    return SimpleNamespace(arrays=[each[..., None]], targets={LOGITS: targets}, weights=np.ones((views, images)))


def epoch_of(labelled=5, unlabelled=30, seed=1, views=2, **more):
    return EpochOfBoth(kept(labelled, 3, 0), kept(unlabelled, 3, 100), 8, seed, views, **more)


@pytest.mark.parametrize(("labelled", "unlabelled"), [(5, 30), (30, 5), (16, 16)])
def test_an_epoch_visits_all_and_its_batches_are_full(labelled, unlabelled):
    epoch = epoch_of(labelled, unlabelled)
    assert epoch.counts == [min(8, labelled), min(8, unlabelled)]
    visits = np.concatenate([epoch[number][1][LOGITS].ravel() for number in range(len(epoch))])
    assert {len(epoch[number][1][LOGITS]) for number in range(len(epoch))} == {sum(epoch.counts)}
    counts = np.bincount(visits.astype(int), minlength=100 + unlabelled)
    for images in (counts[:labelled], counts[100:]):
        assert images.min() >= 1
        assert images.max() - images.min() <= 1


def test_the_labelled_come_first_and_two_views_differ():
    epoch = epoch_of()
    (first, second), targets = epoch[2]
    assert (targets[LOGITS][:5] < 100).all()
    assert (targets[LOGITS][5:] >= 100).all()
    assert targets[LOGITS][:5, 0].astype(int).tolist() == epoch.rows(2).tolist()
    for view in (first, second):
        assert np.floor(view + 1e-4) == pytest.approx(targets[LOGITS])
    assert (np.abs(first - second) > 0.05).all()


def test_an_epoch_follows_from_its_seed():
    def draws(random, labelled, unlabelled):
        return (random.random(labelled + unlabelled),)

    batches = [epoch_of(seed=seed, draws=draws)[1][0] for seed in (1, 1, 2)]
    assert all(np.array_equal(one, other) for one, other in zip(batches[0], batches[1], strict=True))
    assert not any(np.array_equal(one, other) for one, other in zip(batches[0], batches[2], strict=True))


@pytest.mark.parametrize("kind", ["binary", "multi_class", "multi_label"])
def test_the_loss_is_that_of_the_labelled_and_a_multiple_of_that_of_the_others(kind):
    width = 1 if kind == "binary" else 3
    targets, logits = RANDOM.dirichlet([1] * 4, 7)[:, :width].astype(np.float32), RANDOM.normal(size=(7, width))
    loss, logits = cross_entropy(kind), logits.astype(np.float32)
    both = LossOfBoth(loss, 3, loss, 0.25)
    expected = float(loss(targets[:3], logits[:3])) + 0.25 * float(loss(targets[3:], logits[3:]))
    assert float(both(targets, logits)) == pytest.approx(expected, rel=1e-5)


def test_sharpened_probabilities_are_powers_beside_their_alternatives():
    classes = {LOGITS: np.array([[0.5, 0.3, 0.2]], np.float32)}
    squares = np.array([[0.25, 0.09, 0.04]]) / 0.38
    found = SOFT.sharpened(question_of("multi_class", 3), classes, 0.5)[LOGITS].numpy()
    assert found == pytest.approx(squares, abs=1e-5)
    findings = {LOGITS: np.array([[0.8, 0.5, 0.1]], np.float32)}
    found = SOFT.sharpened(question_of("multi_label", 3), findings, 0.5)[LOGITS].numpy()
    assert found == pytest.approx(np.array([[0.64 / 0.68, 0.5, 0.01 / 0.82]]), abs=1e-5)
    assert SOFT.sharpened(question_of("multi_label", 3), findings, 1.0)[LOGITS].numpy() == pytest.approx(
        findings[LOGITS], abs=1e-5
    )
