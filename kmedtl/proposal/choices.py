"""From what is known of a source to a recipe, a reason for each choice, and what could not be known."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

from kmedtl.data.manifest import SPLITS, are_numbers
from kmedtl.data.mask_kinds import kinds_of_masks
from kmedtl.errors import UserError, nearest
from kmedtl.proposal.facts import SourceFacts, patients_by_class
from kmedtl.recipe import (
    Classification,
    Data,
    Evaluation,
    Head,
    Multi,
    Ordinal,
    Recipe,
    Regression,
    Segmentation,
    Stage,
)
from kmedtl.recipe.stage import Preset

FEW = 300  # images; fewer see more epochs, in smaller batches
SMALL_TEST = 60  # patients; of fewer, a test of a seventh says next to nothing
IMBALANCE = 4  # times as many images as the rarest class has, from which on rare ones count more
GRADES = 3
GRADED = ("grade", "aptos", "retinopathy", "severity", "kellgren", "birads")
GROUPS = ("sex", "age", "site", "patientsex", "patientage")
STRIDE, LEAST = 32, 64  # sizes are multiples of it, from the least on
# What a name in the source gives away → the preset; the first that fits.
NAMED: tuple[tuple[tuple[str, ...], Preset], ...] = (
    (("retina", "fundus", "vessel", "drive", "retinopathy", "glaucoma"), "retina"),
    (("skin", "derm", "isic", "ham10000", "melanoma", "nevus", "bcc"), "skin"),
    (("histo", "tissue", "cell", "blood", "nuclei", "bccd", "malaria", "smear", "stain"), "histology"),
    (("ultrasound", "busi", "echo", "sonograph"), "ultrasound"),
    (("mri", "brain", "glioma", "meningioma", "hippocampus"), "mri"),
    (("xray", "x-ray", "cxr", "chest", "thorax", "pneumonia", "film"), "xray"),
)
MODALITIES: dict[str, Preset] = {
    "CR": "xray", "DX": "xray", "MG": "xray", "RF": "xray", "XA": "xray", "MR": "mri", "US": "ultrasound",
    "SM": "histology", "GM": "histology", "OP": "retina", "OPT": "retina", "XC": "skin",
}  # fmt: skip


@dataclass
class Proposal:
    """Settings that differ from the defaults, collected with a reason each.

    Attributes:
        reasons: path of a setting → why.
        unknown: sentences on what the source does not say.
    """

    data: dict[str, Any] = field(default_factory=dict)
    reasons: dict[str, str] = field(default_factory=dict)
    unknown: list[str] = field(default_factory=list)

    def choose(self, name: str, value: Any, reason: str) -> None:
        """Set a setting of `data`."""
        self.data[name] = value
        self.reasons[f"data.{name}"] = reason


def propose(name: str, data: Data, facts: SourceFacts, target: str = "") -> tuple[Recipe, Proposal]:
    """Return a recipe called `name` for what is known, and what it was chosen by.

    Args:
        data: how the source is named and read.
        target: the column of a number to be predicted; empty: whatever the source offers.

    Raises:
        UserError: the source answers no question, or several columns of numbers alone; a class or all images are of
            fewer patients than there are splits.
    """
    _refuse_too_few(facts)
    chosen = Proposal({"source": data.source, **({"labels": data.labels} if data.labels else {})})
    task = _task(facts, target, chosen)
    has_map = task.needs == "map"
    _images(facts, has_map, chosen)
    _masks(facts, has_map, chosen)
    _division(facts, chosen)
    groups = _groups(facts)
    if groups:
        chosen.reasons["evaluation.groups"] = "figures for each of these as well: the source has the columns"
    recipe = Recipe(
        name,
        task=task,
        data=Data(**chosen.data),
        head=Head("unet") if has_map else Head(),
        stages=_stages(facts, has_map),
        evaluation=Evaluation(groups=groups),
    )
    if has_map:
        chosen.reasons["head"] = "masks need a decoder"
    chosen.reasons["stages"] = _why_stages(facts)
    return recipe, chosen


def _refuse_too_few(facts: SourceFacts) -> None:
    """Refuse what no run can divide into training, validation and test.

    Raises:
        UserError: the first class of too few patients.
    """
    for name, patients in patients_by_class(facts.manifest).items():
        if patients < len(SPLITS):
            of_class = f" of the class '{name}'" if name else ""
            raise UserError(
                f"{facts.manifest.source}: expected {len(SPLITS)} patients or more{of_class}, one for each of "
                f"{', '.join(SPLITS)}. Received: {patients}. Are its folders series or patients rather than classes? "
                "Give --labels."
            )


def _task(facts: SourceFacts, target: str, chosen: Proposal) -> Any:
    """Return what is asked.

    Raises:
        UserError: nothing can be.
    """
    manifest = facts.manifest
    if target:
        if target not in manifest.table:
            raise UserError(f"--target {target}: no such column. {nearest(target, map(str, manifest.table))}")
        chosen.reasons["task"] = "the number that was asked for"
        return Regression(target)
    if facts.masked and manifest.classes:
        chosen.reasons["task"] = "the images have masks and classes, so both are asked; keep one of them for that alone"
        return Multi({"mask": Segmentation(), "class": Classification()})
    if facts.masked:
        chosen.reasons["task"] = f"{facts.masked} of {facts.images} images have a mask"
        return Segmentation()
    if manifest.classes:
        return _classes(facts, chosen)
    if len(facts.numbers) == 1:
        chosen.reasons["task"] = f"no classes and no masks, but one column of numbers: {facts.numbers[0]}"
        return Regression(facts.numbers[0])
    columns = (
        f"columns with numbers are {', '.join(facts.numbers)}: name one by --target"
        if facts.numbers
        else ("give class folders, masks, or a table by --labels")
    )
    raise UserError(f"{manifest.source}: its images have no classes and no masks, so nothing can be asked; {columns}.")


def _classes(facts: SourceFacts, chosen: Proposal) -> Classification | Ordinal:
    manifest, listed = facts.manifest, ", ".join(f"{name} {count}" for name, count in facts.counts.items())
    if manifest.multi_label:
        chosen.reasons["task"] = f"several findings an image: {listed}"
    elif len(manifest.classes) >= GRADES and are_numbers(manifest.classes):
        word = _named(facts, GRADED)
        if word:
            chosen.reasons["task"] = f"classes that are numbers, and named like grades: '{word}': {listed}"
            return Ordinal()
        chosen.reasons["task"] = f"classes: {listed}"
        chosen.unknown.append(
            "Whether the numbers of the classes are grades in order; if so, say task: {kind: ordinal}."
        )
    else:
        chosen.reasons["task"] = f"classes: {listed}"
    if len(manifest.classes) == 2 and not manifest.multi_label:
        chosen.choose("classes", manifest.classes, "the finding last")
        chosen.unknown.append(
            f"Which of the two classes is the finding: {manifest.classes[-1]} was taken; exchange them in data.classes "
            "if it is the other."
        )
    return Classification()


def _images(facts: SourceFacts, has_map: bool, chosen: Proposal) -> None:
    """Choose how images are read and varied."""
    if not facts.coloured:
        chosen.choose("channels", 1, "the images are gray")
    least = int(min(192 if has_map else 224, max(LEAST, STRIDE * round(facts.side / STRIDE))))
    if least != Data.size:
        why = f"their longer side has {facts.side:g} pixels" if least < 192 else "masks of this size train in minutes"
        chosen.choose("size", least, why)
    if has_map:
        chosen.choose("aspect", "keep", "shapes are measured, so nothing is stretched")
    preset, why = _preset(facts)
    chosen.choose("augment", preset, why)
    small = facts.images < FEW
    if has_map or small:
        size = (4 if small else 8) if has_map else 8
        chosen.choose("batch_size", size, f"{facts.images} images" + (" with masks" if has_map else ""))
    if facts.deep:
        chosen.unknown.append(
            f"How {facts.deep} of the images looked at, which have more than 8 bits, are to be seen: they are seen "
            "through the window that a DICOM file names, else from their smallest to their largest value; see "
            "data.window."
        )


def _preset(facts: SourceFacts) -> tuple[Preset, str]:
    """Return an augmentation that suits the images, and by what it was chosen."""
    known = max(facts.modalities, key=lambda name: facts.modalities[name], default="")
    if known in MODALITIES:
        return MODALITIES[known], f"DICOM modality {known}"
    for words, preset in NAMED:
        word = _named(facts, words)
        if word:
            return preset, f"'{word}' is in the name of the source, a class or an image"
    if facts.coloured:
        return "retina", "coloured; what they show is not known, so they are varied little: see docs/data.md"
    return "xray", "gray; what they show is not known, so they are neither flipped nor turned: see docs/data.md"


def _named(facts: SourceFacts, words: Sequence[str]) -> str | None:
    """Return the first of some words that is in the name of the source, of a class or of its first image."""
    manifest = facts.manifest
    names = " ".join([manifest.source_name, *manifest.classes, *manifest.table["id"].astype(str).head(1)]).lower()
    return next((word for word in words if word in names), None)


def _masks(facts: SourceFacts, has_map: bool, chosen: Proposal) -> None:
    """Choose how masks are read, and what becomes of images without one."""
    if not has_map:
        return
    if facts.soft:
        chosen.choose("soft_masks", "threshold", "the borders of the masks are blurred")
    without = facts.images - facts.masked
    if without and facts.bare and without == sum(facts.counts[name] for name in facts.bare):
        named = ", ".join(facts.bare)
        chosen.choose("missing_masks", "empty", f"no image of {named} has a mask, so nothing is to be marked there")
    elif without:
        chosen.choose("missing_masks", "leave_out", f"{without} images have no mask")
        chosen.unknown.append(
            f"Whether the {without} images without a mask show nothing: they do not count for masks; if they do show "
            "nothing, say data.missing_masks=empty."
        )
    kinds = kinds_of_masks(facts.manifest.table)
    if kinds:
        chosen.choose("structures", kinds, "the images have masks of several kinds; take out those you do not ask for")
    chosen.unknown.append(
        f"Which values of the masks mean what: whatever is above 0 is {'the structure' if kinds else 'one structure'}; "
        "see data.structures."
    )


def _division(facts: SourceFacts, chosen: Proposal) -> None:
    """Choose by whom images are divided, and between a test and folds."""
    if facts.pattern:
        chosen.choose(
            "patient_pattern",
            facts.pattern,
            f"a guess by the names of the files: {facts.images} images of {facts.patients} patients",
        )
        chosen.unknown.append(
            "Whether the names of the files tell the patients: data.patient_pattern is a guess; if it finds something "
            "else, images of one person may lie in training and test. Correct it, or give a column 'patient'."
        )
    if not facts.manifest.patients_known:
        chosen.unknown.append(
            "Who the patients are: each image counts as one, so images of one person may lie in training and test; "
            "give a column 'patient', or data.patient_pattern."
        )
    if facts.splits:
        kept = ", ".join(name for name in SPLITS if name in facts.splits)
        chosen.reasons["data.source"] = f"its own splits are kept: {kept}"
    elif facts.patients < SMALL_TEST and min(facts.counts.values(), default=SMALL_TEST) >= 10:
        chosen.choose("folds", 5, f"{facts.patients} patients: one test of a seventh of them would say next to nothing")


def _stages(facts: SourceFacts, has_map: bool) -> tuple[Stage, ...]:
    weights: Literal["none", "balanced"] = "balanced" if _are_rare(facts) else "none"
    more = 3 if facts.images < FEW else 1
    if has_map:
        return (
            Stage("decoder", "head", 4 * more, 2e-3, class_weights=weights),
            Stage("deeper", "last:6", 6 * more, 5e-4, class_weights=weights),
        )
    return (
        Stage("head", "head", 6 * more, 3e-3, class_weights=weights),
        Stage("last blocks", "last:2", 3 * more, 3e-4, class_weights=weights),
        Stage("deeper", "last:3", 2 * more, 1e-4, class_weights=weights),
    )


def _why_stages(facts: SourceFacts) -> str:
    why = "the new part on frozen features, then the last blocks of the backbone"
    if facts.images < FEW:
        why += f"; three times the epochs, as there are {facts.images} images"
    if _are_rare(facts):
        (rarest, few), *_, (commonest, many) = sorted(facts.counts.items(), key=lambda item: item[1])
        why += f"; balanced, since {rarest} has {few} images and {commonest} {many}"
    return why


def _are_rare(facts: SourceFacts) -> bool:
    """Tell whether the commonest class has so many more images than the rarest that rare ones should count more."""
    counts = facts.counts.values()
    return bool(counts) and max(counts) > IMBALANCE * max(min(counts), 1)


def _groups(facts: SourceFacts) -> tuple[str, ...]:
    """Return the columns whose values can be judged apart."""
    table = facts.manifest.table
    there = [name for name in table if str(name).lower() in GROUPS]
    return tuple(str(name) for name in there if table[name].astype(str).str.strip().replace("", None).nunique() > 1)
