"""Reports of every kind of question, made of random answers: nothing is trained."""

from dataclasses import replace
from functools import cache

import numpy as np

from kmedtl.audit.audit import Audit
from kmedtl.audit.shortcuts import Shortcut
from kmedtl.data.manifest import Manifest, from_rows
from kmedtl.edge.model_info import ModelInfo
from kmedtl.evaluate.confidence import Estimate
from kmedtl.export.parity import Parity
from kmedtl.recipe import Evaluation, Recipe
from kmedtl.report.content import Report
from kmedtl.tasks.classification.evaluation import judge, settle
from kmedtl.tasks.classification.prediction_table import answers_of, calibrated, predictions_of

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
def report_of(kind, classes=None, source="films", images=160) -> Report:
    """A report on random images that a random model judges better than chance."""
    manifest = _manifest(kind, classes or KINDS[kind], source, images)
    random, table = np.random.default_rng(1), manifest.table
    logits = 2.0 * manifest.targets(table) - 1 + random.normal(0, 1.5, (images, len(manifest.findings)))
    predictions = predictions_of(logits, table, manifest, ["sex"])
    settled = settle(answers_of(predictions, manifest, "val"), EVALUATION, 0)
    info = ModelInfo(
        manifest.classes, kind, 64, 1, settled.calibration, settled.thresholds, "lungs", source, 7, False, "1.0"
    )
    test = answers_of(calibrated(predictions, info), manifest, "test", settled.thresholds)
    return Report(
        recipe=Recipe("lungs", schedule="untrained", evaluation=EVALUATION),
        manifest=manifest,
        audit=_audit(manifest),
        trained=None,
        test=test,
        info=info,
        settled=settled,
        judgement=judge(test, settled, EVALUATION, 0),
        parity=(Parity("model.keras", 14.2, 0.9, 0.0, 0.0, 0.0, 0.0),),
        environment=ENVIRONMENT,
    )


def without_positives(report) -> Report:
    """The same report, where no test image has the finding."""
    test = replace(report.test, targets=np.zeros_like(report.test.targets))
    return replace(report, test=test, judgement=judge(test, report.settled, EVALUATION, 0))


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
