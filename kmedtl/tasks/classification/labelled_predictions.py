"""Predictions and labels of images: a table, checked."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import pandas as pd

from kmedtl.edge.tasks.classification.calibration import log_odds, softmax
from kmedtl.edge.tasks.classification.decoder import decide
from kmedtl.edge.tasks.classification.labels import LabelKind, columns
from kmedtl.errors import UserError
from kmedtl.tasks.classification.foreign_tables import OWN, read_predictions

UNKNOWN_LABELS = ("", "-1", "-1.0", "nan", "NaN", "NA")  # labels that say nothing
PER_FINDING = re.compile(r"(label|logit|probability|decision|threshold|share)_(.+)", re.DOTALL)
Threshold = float | Sequence[float] | None  # for all findings, or one for each
SMALLEST = np.finfo(np.float64).tiny  # a probability of 0 or 1 counts as that far from it where a logit is made of it
ROUNDED = 0.005  # by which each class's probability may miss, as two decimals do
ALIKE = 1e-6  # by which scores differ that are the same but for rounding
YES_NO = {"0": 0, "1": 1, "False": 0, "True": 1}
EXPECTED = (
    "label with logit or probability (one finding), label with logit_NAME or probability_NAME of each class, or "
    "label_NAME with logit_NAME or probability_NAME of each finding"
)


@dataclass(frozen=True)
class LabelledPredictions:
    """N images, F findings.

    Attributes:
        findings: F names; `binary` has one, `multi_class` each class.
        classes: names; of `binary`: without the finding, with it. Otherwise the findings.
        ids, patients: (N,) text.
        targets: (N, F) int8: 1, 0, or −1 where nobody knows; `multi_class`: one 1 a row.
        logits: (N, F) float64, finite.
        probabilities: (N, F) float64, 0–1.
        decisions: (N, F) bool: the finding is called; `multi_class`: one a row.
        groups: whatever else the table knows of the images, a row an image.
        notes: how the table was read, where that is not plain.
    """

    kind: LabelKind
    findings: tuple[str, ...]
    classes: tuple[str, ...]
    ids: np.ndarray
    patients: np.ndarray
    targets: np.ndarray
    logits: np.ndarray
    probabilities: np.ndarray
    decisions: np.ndarray
    groups: pd.DataFrame
    notes: tuple[str, ...] = ()

    @property
    def scores(self) -> np.ndarray:
        """What ranks images, (N, F): logits; of several classes probabilities, as one of their logits means nothing."""
        return self.probabilities if self.kind == "multi_class" else self.logits


def read(path: Path, split: str = "test", threshold: Threshold = None, finding: str = "") -> LabelledPredictions:
    """Read a CSV of predictions; see `from_table`.

    Raises:
        UserError: no such file, no CSV, or what `from_table` refuses.
    """
    table, notes = read_predictions(path, EXPECTED)
    answers = from_table(table, str(path), split, threshold, finding)
    return replace(answers, notes=(*notes, *answers.notes))


def from_table(
    table: pd.DataFrame, source: str, split: str = "test", threshold: Threshold = None, finding: str = ""
) -> LabelledPredictions:
    """Check a table of predictions, a row an image, and return it as answers.

    Columns: `label` (0 or 1, or two names) with `logit`, `probability` (0–1) or both is a `binary` question; `label` (a
    class's name or index) with a score of each class, as `logit_COVID`, is `multi_class`; `label_NAME` with a score of
    each finding is `multi_label`. A probability is taken as it is; a logit that is not there is its log-odds
    (`multi_class`: its logarithm). Where a finding has both, they must order the images alike. `id`, `patient` and
    `split` may be there; every other column is a group.

    A finding is called where `decision` (or `decision_NAME`) says so, else where its probability reaches `threshold`,
    the argument before the column of that name before 0.5. Of several classes the most probable is called, beside its
    `share_NAME` where there are such columns.

    Args:
        source: what the table is called in messages.
        threshold: for all findings, or one for each; of several classes their shares, see `ClassDecoder`.
        split: rows that count, where there is a column `split`; empty: all.
        finding: of two names under `label`, the finding; empty: the second in alphabetical order.

    Raises:
        UserError: columns, scores, labels or ids that cannot be.
    """
    table, notes = _of_split(table, source, split)
    kind, findings = _question(table, source)
    names = {name: columns(name, kind, findings) for name in OWN[3:]}
    labels = names["label"] if kind == "multi_label" else ["label"]
    if kind == "binary":
        classes, targets, choice = _two(table["label"], source, finding)
        findings, notes = classes[1:], [*notes, *choice]
    else:
        classes = findings
        targets = _one_of(table, classes, source) if kind == "multi_class" else _yes_no(table[labels], source)
    known = np.any(targets >= 0, axis=1)
    if not known.all():
        notes.append(f"{(~known).sum()} of {len(known)} images have no known label and are left out.")
        table, targets = table[known], targets[known]
    if not len(table):
        raise UserError(f"{source}: no image has a known label; expected at least one.")
    logits, probabilities = _scores(table, names, kind, source)
    decisions, of_decisions = _decisions(table, names, kind, classes, probabilities, threshold, source)
    patients, ids, of_patients = _who(table, source)
    used = {column for listed in names.values() for column in listed} | set(OWN)
    groups = table.drop(columns=[column for column in table if column in used]).reset_index(drop=True)
    notes += [*of_decisions, *of_patients]
    return LabelledPredictions(
        kind, findings, classes, ids, patients, targets, logits, probabilities, decisions, groups, tuple(notes)
    )


def _of_split(table: pd.DataFrame, source: str, split: str) -> tuple[pd.DataFrame, list[str]]:
    if not len(table):
        raise UserError(f"{source}: no rows; expected a row an image.")
    if "split" not in table or not split:
        return table, []
    chosen = table[table["split"].astype(str) == split]
    if not len(chosen):
        found = ", ".join(map(str, pd.unique(table["split"])[:5]))
        raise UserError(f"{source}: no row of the split '{split}'. Found: {found}; name one by --split.")
    left = len(table) - len(chosen)
    return chosen, [f"{left} rows of other splits than '{split}' are left out."] if left else []


def _question(table: pd.DataFrame, source: str) -> tuple[LabelKind, tuple[str, ...]]:
    """Return what is asked, and the findings that the columns name, in their order."""
    columns = [str(column) for column in table]
    named = [found.groups() for found in map(PER_FINDING.fullmatch, columns) if found]
    labelled = [name for what, name in named if what == "label"]
    scored = list(dict.fromkeys(name for what, name in named if what in ("logit", "probability")))
    if "label" in columns and {"logit", "probability"} & set(columns):
        return "binary", ()
    if "label" in columns and len(scored) > 1:
        return "multi_class", tuple(scored)
    if labelled and set(labelled) <= set(scored):
        return "multi_label", tuple(labelled)
    parted = next((mark for mark in (";", "\t") if mark in columns[0]), "")
    hint = f"; the file parts its columns by {parted!r}, expected commas" if parted and len(columns) == 1 else ""
    raise UserError(f"{source}: expected columns {EXPECTED}. Found: {', '.join(columns[:12]) or 'none'}{hint}.")


def _texts(values: pd.Series) -> pd.Series:
    """Return values as text, whole numbers without a decimal point and nothing as ""."""
    if pd.api.types.is_float_dtype(values):
        values = values.map(lambda value: "" if value != value else f"{value:.15g}")
    return values.astype(str).str.strip()


def _labels(values: pd.Series) -> pd.Series:
    """Return labels as text, where 1.0 is 1: so numbers are written that have gaps among them."""
    return _texts(values).replace(r"^(-?\d+)\.0+$", r"\1", regex=True)


def _coded(values: pd.Series, codes: Mapping[str, int], expected: str, source: str) -> np.ndarray:
    """Return the code of each label, −1 where it says nothing; refuse one that has none."""
    texts = _labels(values)
    found = texts.map(dict.fromkeys(UNKNOWN_LABELS, -1) | dict(codes))
    if found.isna().any():
        row = int(found.isna().argmax())
        raise UserError(
            f"{source}: {_place(texts, row)}, {values.name}: expected {expected}. Received: '{texts.iloc[row]}'."
        )
    return found.to_numpy(np.int8)


def _two(labels: pd.Series, source: str, finding: str) -> tuple[tuple[str, ...], np.ndarray, list[str]]:
    """Return both classes, the finding last, the targets, and notes on the choice."""
    found = sorted(set(pd.unique(_labels(labels))) - set(UNKNOWN_LABELS))
    if not finding and set(found) <= {"0", "1"}:
        classes, notes = ("0", "1"), []
    else:
        if len(found) != 2 or (finding and finding not in found):
            wanted = f"two names under 'label', {finding} among them" if finding else "0 and 1, or two names"
            raise UserError(f"{source}: label: expected {wanted}. Found: {', '.join(found[:5]) or 'none'}.")
        positive = finding or found[1]
        classes = (*(name for name in found if name != positive), positive)
        notes = [] if finding else [f"{positive} counts as the finding; --finding {classes[0]} turns it round."]
    codes = {name: code for code, name in enumerate(classes)}
    return classes, _coded(labels, codes, " or ".join(classes), source)[:, None], notes


def _one_of(table: pd.DataFrame, classes: Sequence[str], source: str) -> np.ndarray:
    """Return one-hot targets of a label that is a class's name, or its index where no class has that name."""
    codes = {str(index): index for index in range(len(classes))} if not _numbered(classes) else {}
    codes |= {name: index for index, name in enumerate(_labels(pd.Series(classes)))}
    label = _coded(table["label"], codes, f"one of {', '.join(classes)}, or its index", source)
    return np.where(label[:, None] < 0, -1, label[:, None] == np.arange(len(classes))).astype(np.int8)


def _numbered(classes: Sequence[str]) -> bool:
    return bool(pd.to_numeric(pd.Series(classes), errors="coerce").notna().any())


def _yes_no(labels: pd.DataFrame, source: str) -> np.ndarray:
    columns = [_coded(labels[name], YES_NO, "1, 0, or -1 where unknown", source) for name in labels]
    return np.stack(columns, axis=1)


def _scores(
    table: pd.DataFrame, names: Mapping[str, list[str]], kind: LabelKind, source: str
) -> tuple[np.ndarray, np.ndarray]:
    """Return logits and probabilities, each made of the other where the table has but one."""
    missing = {what: [name for name in names[what] if name not in table] for what in ("logit", "probability")}
    if missing["logit"] and missing["probability"]:
        absent = (missing["logit"] + missing["probability"])[0]
        raise UserError(
            f"{source}: the column '{absent}' is not there; give logits, or probabilities, of every finding."
        )
    logits = None if missing["logit"] else _numbers(table, names["logit"], source)
    probabilities = None if missing["probability"] else _numbers(table, names["probability"], source)
    if probabilities is None:
        assert logits is not None  # tables without either were refused
        return logits, softmax(logits) if kind == "multi_class" else 0.5 + 0.5 * np.tanh(logits / 2)
    outside = (probabilities < 0) | (probabilities > 1)
    if outside.any():
        row, column = np.argwhere(outside)[0]
        raise UserError(
            f"{source}: {_place(table, row)}, {names['probability'][column]}: expected 0 to 1. Received: "
            f"{probabilities[row, column]}."
        )
    sums = probabilities.sum(axis=1)
    apart = np.abs(sums - 1) > ROUNDED * len(names["probability"]) + 1e-9
    if kind == "multi_class" and apart.any():
        row = int(apart.argmax())
        raise UserError(
            f"{source}: {_place(table, row)}: expected probabilities of the classes that sum to 1. Received: "
            f"{sums[row]:g}; give logits, or label_NAME of each where an image may have several."
        )
    if logits is None:
        logits = log_odds(probabilities, kind, SMALLEST)
    elif kind != "multi_class":  # of several classes a calibration may well reorder the images
        for number, columns_of in enumerate(zip(names["logit"], names["probability"], strict=True)):
            _refuse_other_order(table, logits[:, number], probabilities[:, number], columns_of, source)
    return logits, probabilities


def _refuse_other_order(
    table: pd.DataFrame, logits: np.ndarray, probabilities: np.ndarray, called: tuple[str, str], source: str
) -> None:
    """Refuse two images of which one has the higher logit and the other the higher probability, beyond rounding."""
    order = np.argsort(logits, kind="stable")
    rising, chances = logits[order], probabilities[order]
    below = np.searchsorted(rising, rising - ALIKE * np.maximum(1, np.abs(rising)))  # how many are clearly lower
    highest = np.append(-np.inf, np.maximum.accumulate(chances))[below]
    wrong = highest > chances + ALIKE
    if wrong.any():
        at = int(wrong.argmax())
        lower, higher = int(order[chances[: below[at]].argmax()]), int(order[at])
        raise UserError(
            f"{source}: {called[0]} and {called[1]} order the images differently: {_place(table, higher)} has the "
            f"higher logit ({logits[higher]:g} and {logits[lower]:g}), {_place(table, lower)} the higher probability "
            f"({probabilities[higher]:g} and {probabilities[lower]:g}); remove the column that is wrong."
        )


def _numbers(table: pd.DataFrame, columns: Sequence[str], source: str) -> np.ndarray:
    """Return columns as float64 (N, columns), every one finite."""
    numbers = np.stack([pd.to_numeric(table[name], errors="coerce").to_numpy(np.float64) for name in columns], axis=1)
    if not np.isfinite(numbers).all():
        row, column = np.argwhere(~np.isfinite(numbers))[0]
        received = table[columns[column]].iloc[row]
        raise UserError(
            f"{source}: {_place(table, row)}, {columns[column]}: expected a finite number. Received: '{received}'."
        )
    return numbers


def _decisions(
    table: pd.DataFrame,
    names: Mapping[str, list[str]],
    kind: LabelKind,
    classes: Sequence[str],
    probabilities: np.ndarray,
    threshold: Threshold,
    source: str,
) -> tuple[np.ndarray, list[str]]:
    if kind == "multi_class":
        if all(name in table for name in names["share"]):
            return decide(probabilities / _numbers(table, names["share"], source), ()), []
        return decide(probabilities, (), threshold if isinstance(threshold, Sequence) else ()), []
    if threshold is not None:
        return probabilities >= np.asarray(threshold, np.float64), []
    if all(name in table for name in names["decision"]):
        codes = YES_NO | (dict(zip(classes, (0, 1), strict=True)) if kind == "binary" else {})
        columns = [_coded(table[name], codes, "0 or 1", source) for name in names["decision"]]
        decisions = np.stack(columns, axis=1)
        if (decisions < 0).any():
            row = np.argwhere(decisions < 0)[0][0]
            raise UserError(f"{source}: {_place(table, row)}: no decision; expected 0 or 1, or leave the column out.")
        return decisions == 1, []
    if all(name in table for name in names["threshold"]):
        return probabilities >= _numbers(table, names["threshold"], source), []
    return probabilities >= 0.5, ["No operating point is given: a finding is called from probability 0.5 on."]


def _who(table: pd.DataFrame, source: str) -> tuple[np.ndarray, np.ndarray, list[str]]:
    """Return patients and ids, and a note on those who have none."""
    rows = pd.Series([f"row {row}" for row in table.index + 2], index=table.index)  # as a spreadsheet numbers them
    ids = table["id"].astype(str) if "id" in table else rows
    if ids.duplicated().any():
        raise UserError(f"{source}: the id '{ids[ids.duplicated()].iloc[0]}' is in two rows; remove one.")
    if "patient" not in table:
        note = "No column 'patient': each image counts as a patient of its own, and intervals may be too narrow."
        return rows.to_numpy(object), ids.to_numpy(object), [note]
    patients = _texts(table["patient"])
    nameless = patients.isin(["", "nan"])
    note = f"{nameless.sum()} images name no patient: each counts as a patient of its own."
    return patients.where(~nameless, rows).to_numpy(object), ids.to_numpy(object), [note] if nameless.any() else []


def _place(table: pd.DataFrame | pd.Series, row: int) -> str:
    return f"row {table.index[row] + 2}"
