"""Reports of every kind of question, made of random answers: nothing is trained."""

from dataclasses import replace
from functools import cache

import numpy as np

from kmedtl.audit.audit import Audit
from kmedtl.audit.shortcuts import Shortcut
from kmedtl.data.manifest import Manifest, from_rows
from kmedtl.edge.tasks.classification.decoder import LOGITS
from kmedtl.export.parity import Parity
from kmedtl.recipe import Evaluation, Recipe
from kmedtl.runs.result import Result
from kmedtl.statistics.confidence import Estimate
from kmedtl.tasks.classification.drift import TITLES
from kmedtl.tasks.classification.evaluation import evaluate, fit_decoder
from kmedtl.tasks.classification.examples import table as predictions_table
from kmedtl.tasks.classification.question import ClassQuestion
from kmedtl.tasks.task import Examples
from tests.models import info_of

KINDS = {
    "binary": ("NORMAL", "PNEUMONIA"),
    "multi_class": ("cyst", "scar", "tumour"),
    "multi_label": ("oedema", "effusion", "fracture"),
}
EVALUATION = Evaluation(resamples=100, groups=("sex",), prevalence=0.1)
ENVIRONMENT = {
    "began": "2026-11-26T17:58:03+01:00",
    "seconds": 185.4,
    "resumed": False,
    "python": "3.12.0",
    "git": None,
    "host": {"cores": 2, "gpus": []},
}


@cache
def report_of(kind, classes=None, source="films", images=160) -> Result:
    """A result on random images that a random model judges better than chance."""
    manifest = _manifest(kind, classes or KINDS[kind], source, images)
    random, table = np.random.default_rng(1), manifest.table
    logits = 2.0 * manifest.targets(table) - 1 + random.normal(0, 1.5, (images, len(manifest.findings)))
    ids, patients = (table[name].to_numpy(object) for name in ("id", "patient"))
    examples = Examples(ids, patients, {LOGITS: manifest.targets(table)}, {LOGITS: logits}, table[["sex"]])
    question = ClassQuestion(kind, manifest.classes)
    parts = {split: examples.of(np.flatnonzero(table["split"] == split)) for split in ("val", "test")}
    fit = fit_decoder(question, EVALUATION, parts["val"], 0)
    predictions = table[["id", "patient", "split"]].join(predictions_table(question, examples, fit.decoder))
    return Result(
        recipe=Recipe("lungs", schedule="untrained", evaluation=EVALUATION),
        question=question,
        manifest=manifest,
        audit=_audit(manifest),
        trained=None,
        predictions=predictions[predictions["split"] != "train"].assign(unlike_training=0),
        info=info_of(fit.decoder, 64, recipe="lungs", source=source),
        fit=fit,
        evaluation=evaluate(question, EVALUATION, parts["test"], fit, 0),
        parity=(Parity("model.keras", 14.2, "auc", 0.9, Estimate(0.0, 0.0, 0.0, ""), dict.fromkeys(TITLES, 0.0)),),
        tiles=(),
        samples=(),
        environment=ENVIRONMENT,
    )


def figures_of(report) -> list:
    """The figures of the whole test, then those of each finding, where there are several."""
    return [report.evaluation.estimates, *report.evaluation.details.metrics.by_finding.values()]


def without_positives(report) -> Result:
    """The same result, where no test image has the finding."""
    test = report.evaluation.details.test
    targets = {LOGITS: np.zeros_like(test.targets)}
    examples = Examples(test.ids, test.patients, targets, {LOGITS: test.logits}, test.groups)
    return replace(report, evaluation=evaluate(report.question, EVALUATION, examples, report.fit, 0))


def _manifest(kind, classes, source, images) -> Manifest:
    random, rows = np.random.default_rng(0), []
    for number in range(images):
        row = {
            "id": f"{number}.png",
            "path": f"/{number}.png",
            "patient": f"p{number // 2}",
            "sex": "FM"[number % 4 // 2],
        }
        row |= {"split": ("test", "val", "train")[number // 2 % 3]}
        if kind == "multi_label":
            row |= {name: float(random.choice([0, 1, -1], p=[0.6, 0.35, 0.05])) for name in classes}
        else:
            row |= {"label": classes[random.integers(len(classes))]}
        rows.append(row)
    return from_rows(rows, classes, source, multi_label=kind == "multi_label")


def _audit(manifest) -> Audit:
    count, members = len(manifest.table), manifest.members(manifest.table)
    counts = {name: int(rows.sum()) for name, rows in members.items()}
    shortcut = Shortcut("frame", manifest.findings[0], Estimate(0.5, 0.4, 0.6, "DeLong"))
    none = dict.fromkeys(("ignored", "masks", "unlabelled", "set_aside", "more_pages"), 0)
    listed = dict.fromkeys(("duplicates", "near_duplicates", "conflicts", "leaks", "burned_in"), ())
    tables = {name: {} for name in ("unreadable", "poor", "splits", "sites", "sizes", "modes", "bits")}
    numbers = dict.fromkeys(("found", "listed", "used"), count)
    return Audit(
        manifest.source_name, False, **none, **numbers, **listed, **tables, images=counts, patients=counts,
        shortcuts=(shortcut,), warnings=(f"{manifest.classes[0]} is rare.",),
    )  # fmt: skip
