"""Where the images of a run come from, and how they are read and divided."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import PurePath
from typing import Any, Literal

from kmedtl.errors import UserError, expect
from kmedtl.images.marks import LONGEST, is_colour, is_name
from kmedtl.images.reading import Aspect, Reading, Window
from kmedtl.recipe.stage import Preset


def last_part(path: str) -> str:
    """Return what may be shown of a path or source: the last part, as folders above may name people or projects."""
    return PurePath(path).name if PurePath(path).name and not path.startswith("tfds:") else path


@dataclass(frozen=True)
class Data:
    """Where the images come from and how they are read and divided.

    Attributes:
        source: `phantom[:PATIENTS]` (synthetic films), or likewise `phantom_ct`, `phantom_liver` or `phantom_brain`
            (synthetic volumes) or `phantom_views` (two views of a thorax), a folder of class folders, a CSV or Parquet
            manifest, an `.npz` in MedMNIST's layout, or `tfds:NAME[/CONFIG]`.
        labels: a CSV with a label (or a column a finding) for each SOPInstanceUID, SeriesInstanceUID, StudyInstanceUID,
            PatientID or path; the source is then a folder of any depth, such as a DICOM archive.
        unlabelled: a further source, of images whose labels are not asked, that stages of an `objective` other than
            `supervised` learn from as well; it is read as the first is. Whoever is in validation or test is left out of
            it, and every picture of them (`kmedtl.runs.unlabelled`). It may be the same source as the first.
        columns: kmedtl's names of columns → the table's, such as `{path: image_id, label: dx, patient: lesion_id}`;
            empty: as a known data set has them, or by their usual names. Of the phantom `{label: grade}` alone counts.
        classes: class names, the finding last; empty: the source's own, in alphabetical order. One name alone makes
            that finding of a multi-label source a yes-or-no question.
        uncertain: what a label of −1 (CheXpert) becomes; `ignore` leaves it out of the loss.
        patient_pattern: regular expression over a file's name, or else its path below the source; its first matching
            group (or the whole match) is the patient. A manifest's column or a DICOM PatientID goes before it; without
            any of them each image counts as a patient of its own.
        same_patients: ids that differ only in spelling (case, blanks, invisible characters, Unicode form, leading
            zeros, a trailing `.0`) are taken as one patient; false: as different people.
        keep_ids: write patient ids as they are; else as pseudonyms (`kmedtl.data.pseudonyms`).
        size: side of the square that the model sees, in pixels.
        channels: 1 (grayscale) or 3 (RGB).
        aspect: `stretch` fills the square; `keep` makes the image's longer side `size` and centres it on black.
        window: of images of more than 8 bits; the default is a DICOM file's own, else the range of an image's values;
            of a volume without numbers here the range from its percentile 0.5 to 99.5.
        pixel_offset: what was added to the values of such images, other than DICOM, before they were stored: 32768
            where Hounsfield units lie in an unsigned 16-bit PNG.
        frames: of multi-frame DICOM images: `middle`, `all` (each an image of its own) or a number from 0 on.
        series: whether DICOM files are `images`, or slices of `volumes`, which their SeriesInstanceUID tells apart;
            `auto`: volumes where every image of the source says where in the patient it lies, with five files a series
            or more, labelled alike (`kmedtl.data.sources.series_rows`).
        neighbours: of slices of volumes: how many on each side the model sees beside the slice, as channels in their
            order, 0 or 1; 1 takes channels: 3.
        slices: how the answers for the slices of a volume become one, where a task answers for a volume as a whole:
            `mean` of their outputs; `attention`, their mean by weights that the network learns to give them (Ilse et
            al., 2018); or `max`, the largest of each; slices of background have no say. See `kmedtl.edge.pooling`.
        views: images of one patient that are answered together, as one examination, whichever of them there are: `[t1,
            t2]` of a folder (`CLASS/EXAM/t1.png`, or names that end in `_t1`) or of a table with columns `examination`
            and `view`; `{t1: COLUMN, t2: COLUMN}` of a table with a row an examination and a column of paths a view, in
            which an empty cell is a missing image. See `kmedtl.data.sources.examinations`.
        structures: name → what marks it in masks: a pixel's value, such as 255; a colour, such as "#ff0000"; or a
            pattern of mask files' names, such as `*_lung*`, of which every pixel above 0 counts. Files that fit no
            pattern go by the values; of DICOM Segmentations values are the numbers of segments, and patterns may also
            be of their labels. Empty: whatever is above 0 is one structure, `foreground`.
        missing_masks: of images without a mask: `refuse`; `empty`, as if nothing were marked in them; `leave_out`: they
            are not used, or beside other tasks used for these alone.
        soft_masks: of masks whose borders are blurred by scaling or JPEG: `refuse`, or `threshold`: a pixel counts from
            half of a structure's value on, or to the nearest of the named values.
        patch: side in pixels of the squares that a segmentation is trained on, cut from images of `size`, while the
            trained model answers on whole images; 0: it is trained on whole images too.
        patches: squares cut of each training image, once; every second one around a pixel of a structure, where the
            image shows any.
        validation, test: fractions of the images, taken by whole patients.
        val_as_test: where the source gives a validation part and no test, that part is the test, and validation is
            taken from the training part; else the test is taken from it.
        folds: cross-validation with that many patient-disjoint parts (0: none), or `site`: each site is left out once.
        domain: the column that names what `domains: adversarial` of a stage aligns, such as the scanner.
        batch_size: images a training step.
        augment: a preset of `kmedtl.data.augment`.
        max_unreadable: fraction of the files that may be unreadable before a run is refused.
        max_poor: fraction of a class's images that may be constant, almost constant, saturated or clipped before a run
            is refused.
        copies: of images that show the same picture and have the same label `keep` all, always in one split, or `drop`
            all but the first, so that none counts twice.
        allow_mismatch: train although the images do not suit the recipe, as photographs read in gray.
        allow_leakage: train although the source's own splits share patients or images; the report then says so.
        limit: at most about this many images, by whole patients and stratified; None: all.
        train_limit: at most about this many of the training images, by whole patients and stratified, while validation
            and test stay as they are; None: all. A smaller limit takes a part of what a larger one takes.
    """

    source: str = "phantom"
    labels: str = ""
    unlabelled: str = ""
    columns: Mapping[str, str] = field(default_factory=dict)
    classes: tuple[str, ...] = ()
    uncertain: Literal["ignore", "ones", "zeros"] = "ignore"
    patient_pattern: str = ""
    same_patients: bool = True
    keep_ids: bool = False
    size: int = 224
    channels: int = 3
    window: Window = field(default_factory=Window)
    pixel_offset: float = 0.0
    aspect: Aspect = "stretch"
    frames: int | Literal["middle", "all"] = "middle"
    series: Literal["auto", "images", "volumes"] = "auto"
    neighbours: int = 0
    slices: Literal["mean", "attention", "max"] = "mean"
    views: Mapping[str, str] | tuple[str, ...] = ()
    structures: Mapping[str, Any] = field(default_factory=dict)
    missing_masks: Literal["refuse", "empty", "leave_out"] = "refuse"
    soft_masks: Literal["refuse", "threshold"] = "refuse"
    patch: int = 0
    patches: int = 8
    validation: float = 0.15
    test: float = 0.15
    val_as_test: bool = False
    folds: int | Literal["site"] = 0
    domain: str = "site"
    batch_size: int = 32
    augment: Preset = "xray"
    max_unreadable: float = 0.01
    max_poor: float = 0.05
    copies: Literal["keep", "drop"] = "keep"
    allow_mismatch: bool = False
    allow_leakage: bool = False
    limit: int | None = None
    train_limit: int | None = None

    @property
    def reading(self) -> Reading:
        stacked = self.neighbours
        return Reading(self.size, self.channels, self.window, self.pixel_offset, self.aspect, neighbours=stacked)

    def __post_init__(self) -> None:
        expect(self.source != "", "data.source", "phantom, a folder, a file or tfds:NAME", self.source)
        expect(len(set(self.classes)) == len(self.classes), "data.classes", "distinct names", self.classes)
        expect(32 <= self.size <= 2048, "data.size", "32 to 2048 pixels", self.size)
        fits = self.patch == 0 or 32 <= self.patch <= self.size
        expect(fits, "data.patch", f"32 to data.size={self.size} pixels, or 0 for whole images", self.patch)
        expect(self.patches >= 1, "data.patches", "at least 1", self.patches)
        expect(self.channels in (1, 3), "data.channels", "1 or 3", self.channels)
        stacks = self.neighbours == 0 or (self.neighbours == 1 and self.channels == 3)
        expect(stacks, "data.neighbours", "0, or 1 with data.channels=3", self.neighbours)
        expect(0 < self.validation < 1, "data.validation", "a fraction between 0 and 1", self.validation)
        expect(0 < self.test < 1, "data.test", "a fraction between 0 and 1", self.test)
        folds, frames = self.folds, self.frames
        expect(folds == "site" or folds == 0 or 2 <= folds <= 100, "data.folds", "2 to 100, 0 or site", folds)
        expect(isinstance(frames, str) or frames >= 0, "data.frames", "middle, all or 0 and more", frames)
        names = [name.strip().casefold() for name in self.views]
        distinct = len(set(names)) == len(names) != 1
        expect(distinct, "data.views", "two names or more that differ, case aside, or none", list(self.views))
        for name in self.views:
            expect(is_name(name), "data.views", f"names of letters, digits, _ and -, {LONGEST} at most", name)
        for name, mark in self.structures.items():
            _check_structure(name, mark)
        for what, values in (("names", map(str.casefold, self.structures)), ("marks", self.structures.values())):
            distinct = len(set(values)) == len(self.structures)
            expect(distinct, "data.structures", f"{what} that differ, case aside", dict(self.structures))
        kept = self.validation + self.test
        expect(kept < 0.9, "data.validation + data.test", "less than 0.9, the rest trains", kept)
        expect(self.domain != "", "data.domain", "the name of a column", self.domain)
        expect(self.batch_size >= 1, "data.batch_size", "at least 1", self.batch_size)
        for setting in ("max_unreadable", "max_poor"):
            expect(0 <= getattr(self, setting) <= 1, f"data.{setting}", "a fraction", getattr(self, setting))
        for setting in ("limit", "train_limit"):
            value = getattr(self, setting)
            expect(value is None or value >= 1, f"data.{setting}", "at least 1, or null", value)
        try:
            re.compile(self.patient_pattern)
        except re.error as error:
            raise UserError(
                f"data.patient_pattern: expected a regular expression ({error}). Received: {self.patient_pattern!r}."
            ) from None


def _check_structure(name: str, mark: object) -> None:
    """Refuse what cannot mark a structure in masks: anything may be written, so that each is told what to write."""
    setting = f"data.structures.{name}"
    expect(is_name(name), setting, f"a name of letters, digits, _ and -, {LONGEST} at most", name)
    if isinstance(mark, int) and not isinstance(mark, bool):
        expect(0 <= mark < 2**31, setting, "a pixel's value, 0 to 2^31 - 1", mark)
        return
    marks = 'a whole number (a pixel\'s value, 255), a colour ("#ff0000") or a pattern of names ("*_lung*")'
    expect(isinstance(mark, str), setting, marks, mark)
    is_number = re.fullmatch(r"\s*(#.*|-?[0-9.]+)?\s*", str(mark)) is not None
    expect(is_colour(str(mark)) or not is_number, setting, marks, mark)
