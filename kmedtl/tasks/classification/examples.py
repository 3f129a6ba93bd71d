"""Between named arrays and labelled predictions, and between these and the columns of predictions.csv."""

from __future__ import annotations

import numpy as np
import pandas as pd

from kmedtl.data.manifest import UNKNOWN
from kmedtl.edge.tasks.classification.calibration import probabilities, uncalibrated
from kmedtl.edge.tasks.classification.decoder import LOGITS, ClassDecoder, decide
from kmedtl.edge.tasks.classification.labels import columns
from kmedtl.edge.tasks.task import Outputs
from kmedtl.tasks.classification.labelled_predictions import LabelledPredictions
from kmedtl.tasks.classification.question import ClassQuestion
from kmedtl.tasks.task import Arrays, Examples, Targets


def plain_decoder(question: ClassQuestion) -> ClassDecoder:
    """Return the decoder of logits as they are, which calls a finding from 0.5 on."""
    findings = len(question.findings)
    thresholds = () if question.labels == "multi_class" else (0.5,) * findings
    return ClassDecoder(question.labels, question.classes, uncalibrated(question.labels, findings), thresholds)


def labelled(examples: Examples, decoder: ClassDecoder) -> LabelledPredictions:
    """Return what evaluation reads: targets and logits with the decoder's probabilities and decisions."""
    logits = np.asarray(examples.outputs[LOGITS], np.float64)
    found = probabilities(logits, decoder.calibration)
    return LabelledPredictions(
        decoder.labels,
        decoder.findings,
        decoder.classes,
        examples.ids,
        examples.patients,
        examples.targets[LOGITS].astype(np.int8),
        logits,
        found,
        decide(found, decoder.thresholds, decoder.shares),
        examples.groups,
    )


def table(question: ClassQuestion, examples: Examples, decoder: ClassDecoder) -> pd.DataFrame:
    """Return the columns `label`, `logit` and `probability`, or one of each for every finding.

    Labels are 0 or 1, of several classes the name, of several findings 1, 0 or −1.
    """
    found = labelled(examples, decoder)
    named = {what: columns(what, question.labels, question.findings) for what in ("label", "logit", "probability")}
    if question.labels == "multi_class":
        labels = {"label": np.array(question.classes, object)[found.targets.argmax(axis=1)]}
    else:
        labels = dict(zip(named["label"], found.targets.astype(int).T, strict=True))
    logits = dict(zip(named["logit"], examples.outputs[LOGITS].T, strict=True))
    return pd.DataFrame(labels | logits | dict(zip(named["probability"], found.probabilities.T, strict=True)))


def read(question: ClassQuestion, predictions: pd.DataFrame, arrays: Arrays) -> tuple[Targets, Outputs]:
    """Return targets and logits of the columns that `table` wrote.

    Raises:
        KeyError, ValueError: they are not as it wrote them.
    """
    logits = predictions[columns("logit", question.labels, question.findings)].to_numpy(np.float64)
    if question.labels == "multi_class":
        names = predictions["label"].astype(str).to_numpy()
        targets = (names[:, None] == np.array(question.classes)).astype(np.float32)
    else:
        targets = predictions[columns("label", question.labels, question.findings)].to_numpy(np.float32)
    if not (np.isin(targets, (UNKNOWN, 0, 1)).all() and np.isfinite(logits).all()):
        raise ValueError("a label or logit that cannot be")
    return {LOGITS: targets}, {LOGITS: logits}
