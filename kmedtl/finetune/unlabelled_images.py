"""Which images without labels a stage learns from, and what they are answered before it begins."""

from __future__ import annotations

from dataclasses import replace

import keras
import numpy as np

from kmedtl.data.pipeline import Pipeline
from kmedtl.edge.out_of_distribution import Layout
from kmedtl.edge.shapes import FEATURES
from kmedtl.edge.tasks.task import Outputs
from kmedtl.errors import UserError
from kmedtl.finetune.deepening import validation_examples
from kmedtl.finetune.job import TrainingJob
from kmedtl.finetune.stage_data import predict_outputs
from kmedtl.heads.build import penultimate
from kmedtl.recipe import Stage
from kmedtl.statistics.out_of_distribution import fit, fit_layout
from kmedtl.system.progress import progress

KNOWN_IMAGES = 1000  # of training, that tell what kind of image the model knows


def like_training(job: TrainingJob, stage: Stage) -> Pipeline:
    """Return the images without labels that are of the kind of the training images, by the model as it is.

    The test is the one that a finished model has of every image (`kmedtl.statistics.out_of_distribution`): it is fitted
    to features and layout of training images, and lets 99 % of the validation images pass.

    Raises:
        UserError: none of them is.
    """
    images, *_ = _asked(job, stage)
    return images


def answered(job: TrainingJob, stage: Stage) -> Pipeline:
    """Return the images of `like_training` with the model's answers as targets.

    They are probabilities, calibrated on validation by the method that the recipe names.
    """
    images, validated, found = _asked(job, stage)
    task = job.task
    assert task.vote is not None  # as `check_objectives` sees to
    assert task.vote.teach is not None
    decoder = task.fit_decoder(job.question, job.evaluation, validation_examples(job, validated), job.seed).decoder
    return replace(images, targets=task.vote.teach(job.question, found, decoder, 1.0))


def _asked(job: TrainingJob, stage: Stage) -> tuple[Pipeline, Outputs, Outputs]:
    """Return the images that are like those of training, and the outputs of validation and of them."""
    images = job.unlabelled
    assert images is not None  # as `check_objectives` sees to
    rows = np.random.default_rng(job.seed).permutation(len(job.data["train"].table))[:KNOWN_IMAGES]
    training, validation = job.data["train"].of(np.sort(rows)), job.data["val"]
    model = keras.Model(job.model.inputs, {**job.model.output, FEATURES: penultimate(job.model)})
    outputs = [dict(predict_outputs(model, part)) for part in (training, validation)]
    features = [found.pop(FEATURES) for found in outputs]
    known, layout = fit(features[0], features[1]), fit_layout(training.pixels(), validation.pixels())
    found, likeness = _looked_at(model, images, layout, stage)
    unlike = (known.score(found.pop(FEATURES)) > known.threshold) | (likeness < layout.least)
    left, total = int((~unlike).sum()), len(unlike)
    if not left:
        raise UserError(
            f"stage {stage.name}: expected unlabelled images of the kind of the training images. Received: {total} of "
            "another kind; see that both are read alike, or leave data.unlabelled out."
        )
    job.log(f"Stage {stage.name}: learns from {left} unlabelled images; {total - left} are unlike those of training.")
    kept = {name: array[~unlike] for name, array in found.items()}
    return images.of(np.flatnonzero(~unlike)), outputs[1], kept


def _looked_at(
    model: keras.Model, images: Pipeline, layout: Layout, stage: Stage
) -> tuple[dict[str, np.ndarray], np.ndarray]:
    """Return the outputs for images, in the table's order, and how alike their layout is to training's, float (N,)."""
    outputs, likeness = [], []
    batches = images.images().as_numpy_iterator()
    for batch in progress(batches, f"Stage {stage.name}: unlabelled images", images.steps, unit="batch"):
        outputs.append(model.predict_on_batch(batch))
        likeness.append(layout.likeness(batch.astype(np.uint8)))
    return {name: np.concatenate([one[name] for one in outputs]) for name in outputs[0]}, np.concatenate(likeness)
