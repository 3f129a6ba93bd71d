"""Classifiers and what belongs to them, made in a line for tests."""

from __future__ import annotations

from dataclasses import replace

import keras
import numpy as np
import pandas as pd

from kmedtl.data.pipeline import Pipeline
from kmedtl.edge.model_info import ModelInfo
from kmedtl.edge.tasks.classification.calibration import Calibration, uncalibrated
from kmedtl.edge.tasks.classification.decoder import LOGITS, ClassDecoder
from kmedtl.edge.tasks.classification.labels import LabelKind, findings_of
from kmedtl.finetune.job import TrainingJob
from kmedtl.finetune.stage_data import predict_outputs
from kmedtl.heads.build import build_model
from kmedtl.recipe import Backbone, Head, Training
from kmedtl.tasks import TASKS
from kmedtl.tasks.classification.network import outputs
from kmedtl.tasks.classification.question import ClassQuestion
from kmedtl.tasks.task import Examples

WHICH = (LOGITS, 0)  # what explanations explain


def question_of(kind: LabelKind = "binary", findings: int = 1) -> ClassQuestion:
    """Return a question with classes called A, B, …"""
    count = 2 if kind == "binary" else findings
    return ClassQuestion(kind, tuple(chr(ord("A") + number) for number in range(count)))


def build_classifier(backbone: Backbone, head: Head, size: int, channels: int, findings: int) -> keras.Model:
    """Return a new classifier of so many findings."""
    question = question_of("binary" if findings == 1 else "multi_label", findings)
    return build_model(backbone, head, size, channels, lambda features: outputs(question, features))


def job_of(model, blocks, data, preset, training=None, seed=1, kind="binary", distilled=False, **more) -> TrainingJob:
    """Return a training job of a classification."""
    findings = model.output[LOGITS].shape[-1]
    asked = question_of(kind, findings) if kind != "binary" or findings == 1 else question_of("multi_label", findings)
    settings = training or Training()
    return TrainingJob(model, blocks, data, preset, settings, seed, TASKS["classification"], asked, distilled, **more)


def predict_logits(model: keras.Model, pipeline: Pipeline) -> np.ndarray:
    """Return logits (N, findings)."""
    return predict_outputs(model, pipeline)[LOGITS]


def decoder_of(kind: LabelKind, classes, calibration: Calibration | None = None, thresholds=None) -> ClassDecoder:
    """Return a decoder; without a calibration of logits as they are, without thresholds at 0.5."""
    count = len(findings_of(kind, classes))
    points = () if kind == "multi_class" else (0.5,) * count
    return ClassDecoder(
        kind,
        tuple(classes),
        calibration or uncalibrated(kind, count),
        points if thresholds is None else tuple(thresholds),
    )


def examples_of(targets, logits, patients=None, groups=None) -> Examples:
    """Return examples of images called 0, 1, …; without patients each is of another."""
    ids = np.array([str(number) for number in range(len(logits))], object)
    owners = ids if patients is None else np.asarray(patients).astype(str).astype(object)
    table = pd.DataFrame(index=range(len(logits))) if groups is None else groups
    return Examples(ids, owners, {LOGITS: np.asarray(targets, np.float32)}, {LOGITS: np.asarray(logits)}, table)


def info_of(decoder: ClassDecoder, size: int = 32, channels: int = 1, **more) -> ModelInfo:
    """Return what a model of synthetic tests says of itself."""
    told = {"recipe": "recipe", "source": "source", "seed": 7, "synthetic": False, "kmedtl": "0"}
    return ModelInfo(decoder, size, channels, **(told | more))


def labels_of(manifest):
    """Return what makes targets of a part of a manifest's table, as `pipelines` takes it."""
    return lambda part: {LOGITS: manifest.targets(part)}


def double(pipeline: Pipeline) -> Pipeline:
    """Return a pipeline whose one finding is there twice."""
    return replace(pipeline, targets={LOGITS: np.repeat(pipeline.targets[LOGITS], 2, axis=1)})
