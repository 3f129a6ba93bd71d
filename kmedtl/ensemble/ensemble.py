"""Runs that vote: made one from what each said of the same images, and judged as a run is. Imports no TensorFlow."""

from __future__ import annotations

import shutil
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

import kmedtl
from kmedtl import recipe as recipes
from kmedtl.edge import model_info
from kmedtl.edge.model_info import ModelInfo
from kmedtl.edge.tasks.classification.labels import columns
from kmedtl.ensemble import page
from kmedtl.ensemble.combine import Combination, Method, combine, fit, member_predictions, out_of_fold
from kmedtl.ensemble.member_comparison import MemberComparison, member_comparisons
from kmedtl.ensemble.members import VOTES, Member, answers, open_members
from kmedtl.files.csv_tables import write_csv
from kmedtl.recipe import Recipe
from kmedtl.runs import run_folder
from kmedtl.tasks.classification import evaluation as judgements
from kmedtl.tasks.classification import summary as summaries
from kmedtl.tasks.classification.evaluation import Judgement, Settled, judge, settle
from kmedtl.tasks.classification.labelled_predictions import LabelledPredictions
from kmedtl.tasks.classification.prediction_table import calibrated


@dataclass(frozen=True)
class Ensemble:
    """Runs that vote, and what the test says of them.

    Attributes:
        recipe: of the first run, under a name that says the method; it tells how the ensemble is judged.
        predictions: as of a run; a logit is what the members say together.
        test: the test's answers, decided at the operating points of `settled`.
        member_comparisons: each member beside the ensemble, on the same test images.
    """

    members: tuple[Member, ...]
    combination: Combination
    recipe: Recipe
    info: ModelInfo
    predictions: pd.DataFrame
    settled: Settled
    judgement: Judgement
    test: LabelledPredictions
    member_comparisons: tuple[MemberComparison, ...]

    @property
    def notice(self) -> str:
        return next((member.notice for member in self.members if member.notice), "")


def ensemble(folders: Sequence[Path], method: Method) -> Ensemble:
    """Let runs vote.

    Validation chooses the weights, the calibration and the operating point, as the first run's recipe asks; the test
    only judges. Where weights are chosen, the validation logits are each from weights chosen without that patient.

    Raises:
        UserError: runs that cannot be judged together, see `kmedtl.ensemble.members.open_members`.
    """
    members = open_members(folders)
    first = members[0]
    recipe = replace(first.recipe, name=f"{first.recipe.name}-{method}")
    combination, table = _voted(members, method, recipe.seed)
    settled = settle(answers(table, first.info, "val"), recipe.evaluation, recipe.seed)
    info = replace(
        first.info,
        calibration=settled.calibration,
        thresholds=settled.thresholds,
        recipe=recipe.name,
        kmedtl=kmedtl.__version__,
        synthetic=any(member.info.synthetic for member in members),
        out_of_distribution=None,  # each member has its own; the table holds what most of them say
        metrics={},
        parity={},
    )
    predictions = calibrated(table, info)
    test = answers(predictions, info, "test")
    judgement = judge(test, settled, recipe.evaluation, recipe.seed)
    beside = member_comparisons(members, test, recipe.evaluation.ordered)
    return Ensemble(members, combination, recipe, info, predictions, settled, judgement, test, beside)


def _voted(members: Sequence[Member], method: Method, seed: int) -> tuple[Combination, pd.DataFrame]:
    """Return how the members were combined, and the table of predictions but for its probabilities."""
    first = members[0]
    kind, findings = first.info.kind, first.info.findings
    said = member_predictions([run.probabilities for run in members], [run.info.thresholds for run in members], kind)
    targets, validation = first.targets, (first.predictions["split"] == "val").to_numpy()
    patients = first.predictions.loc[validation, "patient"].to_numpy()
    combination = fit(method, said.of(validation), targets[validation])
    logits = combine(combination, said)
    logits[validation] = out_of_fold(method, said.of(validation), targets[validation], patients, seed)
    table = first.predictions.drop(columns=columns("probability", kind, findings))
    table = table.assign(**dict(zip(columns("logit", kind, findings), logits.T, strict=True)))
    unlike = [run.predictions["unlike_training"].to_numpy() for run in members if "unlike_training" in run.predictions]
    return combination, table.assign(unlike_training=(np.mean(unlike, axis=0) > 0.5).astype(int)) if unlike else table


def write(made: Ensemble, folder: Path) -> None:
    """Write what a run folder holds, but for models: `ensemble.json` says which runs have them."""
    recipes.write(made.recipe, folder / "recipe.yaml")
    write_csv(made.predictions, folder / "predictions.csv")
    shutil.copyfile(made.members[0].folder / "manifest.csv", folder / "manifest.csv")
    write_csv(_history(made.members), folder / "history.csv")
    run_folder.write_json(folder / "metrics.json", _metrics(made))
    run_folder.write_json(folder / VOTES, _votes(made))
    model_info.attach(made.info, folder)
    page.write(
        made.recipe,
        made.combination.method,
        made.member_comparisons,
        made.test,
        made.settled,
        made.judgement,
        made.notice,
        folder,
    )


def summary(made: Ensemble, folder: Path) -> list[str]:
    """Return the lines that a person reads in the terminal."""
    metrics = made.judgement.metrics
    return [
        f"{made.combination.method} of {len(made.members)} runs: {metrics.count} test images of {metrics.patients} "
        "patients; 95 % intervals in brackets",
        *summaries.lines(metrics),
        *(
            f"  Operating point: {finding} from probability {point.threshold:.3f} on ({point.rule}), by validation"
            for finding, point in zip(made.info.findings, made.settled.points, strict=False)
        ),
        *summaries.group_lines(made.judgement.groups),
        "",
        *page.lines(made.member_comparisons),
        "",
        *([made.notice] if made.notice else []),
        "Research software; no clinical use is claimed.",
        f"Run folder: {folder}",
        f"Report:     {folder / 'report.html'}",
    ]


def _history(members: Sequence[Member]) -> pd.DataFrame:
    """Return the epochs of all members, since the ensemble cost them all; of runs that trained none, no rows."""
    tables = []
    for member in members:
        file = member.folder / "history.csv"
        if file.read_text(encoding="utf-8").strip():
            tables.append(pd.read_csv(file).assign(member=str(member.folder)))
    return pd.concat(tables, ignore_index=True) if tables else pd.DataFrame()


def _metrics(made: Ensemble) -> dict[str, Any]:
    marking = {"synthetic": True, "notice": made.notice} if made.notice else {"synthetic": False}
    return {
        **marking,
        "classes": list(made.info.classes),
        **judgements.to_dict(made.settled, made.judgement),
        "ensemble": {**_votes(made), "standings": [asdict(standing) for standing in made.member_comparisons]},
    }


def _votes(made: Ensemble) -> Mapping[str, Any]:
    members = [str(member.folder.resolve()) for member in made.members]
    return {**asdict(made.combination), "members": members, "kmedtl": kmedtl.__version__}
