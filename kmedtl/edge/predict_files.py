"""The command `predict`, whatever runs the model: files in, answers and what explains them out."""

from __future__ import annotations

import argparse
import os
import re
import sys
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import replace
from functools import cache, partial
from importlib.util import find_spec
from itertools import count
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from kmedtl.edge.examinations import Examination, examinations
from kmedtl.edge.given_fields import Given, given_fields
from kmedtl.edge.inputs import gathered
from kmedtl.edge.model_info import ModelInfo
from kmedtl.edge.output_formats import WRITERS
from kmedtl.edge.predictor import ImageResult, Model, Prediction, predict_files
from kmedtl.edge.tasks.task import VolumeLabels
from kmedtl.errors import UserError
from kmedtl.images.file_kinds import is_dicom, stem_of
from kmedtl.images.pixels import UnreadableImageError
from kmedtl.images.slices import blank_volume, is_volume
from kmedtl.system.disk import room_on
from kmedtl.system.printable import shown

LONGEST = 200  # bytes of a name; file systems take 255
NUMBERED = re.compile(r"([0-9]{4,9})_")  # how the names of masks and heat maps begin
Picture = Callable[[], np.ndarray]
Step = Callable[[Prediction, str, Picture], Prediction]  # answer, where the file lies, its heat map → answer


def answer(model: Model, options: argparse.Namespace) -> int:
    """Print the answers of `model` to the images that `options` (of `kmedtl.edge.cli.add_predict_options`) names.

    Returns 2 where a file could not be read, else 0: an answer that is marked as out of distribution is an answer.

    Raises:
        UserError: as of `gathered` and `given_fields`; a folder cannot be made; a DICOM object is asked for without
            highdicom, or of a model that says nothing of itself; masks are asked of one that answers with none.
    """
    answered: list[Prediction] = []
    given = given_fields(options.fields, model.fields)
    views = model.info.views if model.info else ()
    if views:
        _refuse_pictures(options)
    if options.window:
        model = _by_window(model, options)
    steps = [make(Path(folder), model) for make, folder in _wanted(options) if folder]
    takes_volumes = model.info is not None and model.info.takes_volumes
    with _places(options, takes_volumes, views) as places:
        predictions = _kept(_predictions(model, places, given, steps), answered)
        with _written(options.out) as write:
            for text in WRITERS[options.format](predictions, model.info):
                write(text)
    _tell_where(options, answered)
    if model.info and model.info.rejected:
        print(f"A REJECTED update, use the run that it was made of: {shown(model.info.rejected)}", file=sys.stderr)
    if model.info and model.info.synthetic:
        print("Trained on synthetic images: the answers say nothing about patients.", file=sys.stderr)
    return 2 if any(prediction.error for prediction in answered) else 0


def _places(
    options: argparse.Namespace, volumes: bool, views: Sequence[str]
) -> AbstractContextManager[Mapping[str, str | Examination]]:
    if views:
        return nullcontext(examinations(options.images, options.files_from, views))
    return gathered(options.images, options.files_from, volumes)


def _refuse_pictures(options: argparse.Namespace) -> None:
    for option in ("window", "explain", "dicom_report"):
        if getattr(options, option):
            raise UserError(f"--{option.replace('_', '-')}: not of examinations of several images; leave it out.")


def _by_window(model: Model, options: argparse.Namespace) -> Model:
    from kmedtl.edge.sliding_window import by_window

    for option in ("explain", "dicom_report"):
        if getattr(options, option):
            raise UserError(f"--{option.replace('_', '-')}: a heat map for each window takes too long; leave one out.")
    return by_window(model)


@contextmanager
def _written(out: Path | None) -> Iterator[Callable[[str], object]]:
    """Yield what writes a text to the terminal or, whole or not at all, to a new file.

    Raises:
        UserError: the file exists, or cannot be made.
    """
    if out is None:
        yield partial(print, end="", flush=True)
        return
    aside = out.with_name(f".{out.name}.unfinished")
    if os.path.lexists(out):
        raise UserError(f"{out}: exists already; choose another --out or remove it.")
    try:
        with room_on(out, "make room, or choose another --out"), aside.open("w", encoding="utf-8", newline="") as file:
            yield file.write
        aside.replace(out)
    except OSError as error:
        raise UserError(f"{out}: cannot be written ({error.strerror}); choose another --out.") from None
    finally:
        aside.unlink(missing_ok=True)


def _tell_where(options: argparse.Namespace, answered: Sequence[Prediction]) -> None:
    """Say on stderr what was written where, so that stdout holds the answers alone."""
    if options.out:
        print(f"Answers: {shown(options.out)}", file=sys.stderr)
    counts = Counter(
        name
        for prediction in answered
        for name in (*(prediction.fields_missing or ()), *(prediction.fields_unseen or ()))
    )
    if counts:
        told = ", ".join(f"{name} of {count}" for name, count in counts.items())
        print(
            f"Fields that nothing is known of, of {len(answered)} images: {shown(told)}; see --fields.", file=sys.stderr
        )
    pictures = sum(prediction.explanation is not None for prediction in answered)
    reports = sum(prediction.dicom_report is not None for prediction in answered)
    if options.explain:
        print(f"Heat maps: {pictures} in {shown(options.explain)}", file=sys.stderr)
    if options.masks:
        masks = sum(len(prediction.masks or ()) for prediction in answered)
        print(f"Masks: {masks} in {shown(options.masks)}", file=sys.stderr)
    if options.dicom_seg:
        segmentations = sum(prediction.dicom_seg is not None for prediction in answered)
        print(f"DICOM segmentations: {segmentations} in {shown(options.dicom_seg)}", file=sys.stderr)
    if options.dicom_report:
        print(f"DICOM reports: {reports} in {shown(options.dicom_report)}", file=sys.stderr)


def _wanted(options: argparse.Namespace) -> list[tuple[Callable[[Path, Model], Step], Path | None]]:
    return [
        (_masks, options.masks),
        (_explanations, options.explain),
        (_dicom_segs, options.dicom_seg),
        (_dicom_reports, options.dicom_report),
    ]


def _predictions(
    model: Model, places: Mapping[str, str | Examination], given: Given, steps: list[Step]
) -> Iterator[Prediction]:
    found = predict_files(model, list(places.values()), given)
    for (name, place), seen in zip(places.items(), found, strict=True):
        named = replace(seen, prediction=replace(seen.prediction, image=name))
        yield _told(model, named, place, steps) if isinstance(place, str) else named.prediction


def _told(model: Model, seen: ImageResult, place: str, steps: list[Step]) -> Prediction:
    prediction = seen.prediction
    if prediction.error is None and steps:
        from kmedtl.edge.heat_map import heat_map  # a tenth of the time in which a plain answer is there

        picture = cache(partial(heat_map, model, seen))  # made where a step asks for it, and once
        for step in steps:
            prediction = step(prediction, place, picture)
    return prediction


def _masks(folder: Path, model: Model) -> Step:
    """Return what writes the masks of an answer into `folder`, a PNG of 0 and 255 a structure, in the file's size.

    Of a volume it is a NIfTI file of the structures' numbers, on the voxels of the volume's own file.
    """
    info, masks_of = _with_masks(model, "--masks")
    _make(folder)
    numbers = _free_numbers(folder)

    def step(prediction: Prediction, place: str, picture: Picture) -> Prediction:
        start = f"{next(numbers):04d}_{_short(stem_of(Path(place)))}"
        if is_volume(place):
            return replace(prediction, masks=(_write_labels(prediction, place, folder / f"{start}.nii.gz", info),))
        paths = []
        for structure, mask in masks_of(prediction.answer).items():
            paths.append(folder / f"{start}_{structure}.png")
            with room_on(folder, "make room, or name another folder"):
                Image.fromarray(mask).save(paths[-1])
        return replace(prediction, masks=tuple(map(str, paths)))

    return step


def _write_labels(prediction: Prediction, place: str, path: Path, info: ModelInfo) -> str:
    from kmedtl.images.nifti_write import write_nifti  # nibabel is slow to import

    with room_on(path.parent, "make room, or name another folder"):
        write_nifti(_labels(prediction, info).voxels, blank_volume(place), path)
    return str(path)


def _labels(prediction: Prediction, info: ModelInfo) -> VolumeLabels:
    assert info.task.labels is not None  # as of every model that answers volumes with masks
    return info.task.labels(prediction.answer)


def _with_masks(model: Model, option: str) -> tuple[ModelInfo, Callable[[Any], Mapping[str, np.ndarray]]]:
    """Return what a model says of itself, and what makes masks of its answers.

    Raises:
        UserError: its answers are none.
    """
    info = model.info
    if info is None or info.task.masks is None:
        raise UserError(f"{option}: expected a model of a segmentation; the answers of this one are no masks.")
    return info, info.task.masks


def _explanations(folder: Path, model: Model) -> Step:
    """Return what writes a heat map into `folder` as a PNG, numbered in the order of the answers."""
    _make(folder)
    numbers = _free_numbers(folder)

    def step(prediction: Prediction, place: str, picture: Picture) -> Prediction:
        if is_volume(place):
            print(f"{shown(prediction.image)}: no heat map, being a volume.", file=sys.stderr)
            return prediction
        path = folder / f"{next(numbers):04d}_{_short(Path(place).stem)}.png"
        with room_on(folder, "make room, or name another folder"):
            Image.fromarray(picture()).save(path)
        return replace(prediction, explanation=str(path))

    return step


def _free_numbers(folder: Path) -> Iterator[int]:
    """Return numbers for the names of files, from behind those that a folder holds: none is ever overwritten."""
    taken = [int(found[1]) for path in folder.iterdir() if (found := NUMBERED.match(path.name))]
    return count(max(taken, default=0) + 1)


def _short(name: str) -> str:
    """Return the beginning of a name, so that with what is put around it no file system finds it too long."""
    return name.encode(errors="surrogateescape")[:LONGEST].decode(errors="ignore")


def _dicom_segs(folder: Path, model: Model) -> Step:
    """Return what writes the masks of each DICOM file's answer into `folder`, as one DICOM Segmentation."""
    info, masks_of = _with_masks(model, "--dicom-seg")
    _check_highdicom("--dicom-seg")
    from kmedtl.edge import segmentation_object  # slow to import, and seldom wanted

    _make(folder)

    def add(prediction: Prediction, place: Path, picture: Picture) -> Prediction:
        if place.is_dir():
            made = segmentation_object.write_volume(place, _labels(prediction, info), info, folder)
        else:
            made = segmentation_object.write(place, masks_of(prediction.answer), info, folder)
        return replace(prediction, dicom_seg=made)

    return _for_a_study(add, "DICOM segmentation", of_series=True)


def _dicom_reports(folder: Path, model: Model) -> Step:
    """Return what writes a structured report and a secondary capture of each DICOM file into `folder`."""
    info = model.info
    if info is None:
        raise UserError("--dicom-report: expected a model with kmedtl's metadata; raw outputs are no report.")
    _check_highdicom("--dicom-report")
    from kmedtl.edge import structured_report  # slow to import, and seldom wanted

    _make(folder)

    def add(prediction: Prediction, place: Path, picture: Picture) -> Prediction:
        return replace(prediction, dicom_report=structured_report.write(place, prediction, info, picture(), folder))

    return _for_a_study(add, "DICOM report")


def _check_highdicom(option: str) -> None:
    if find_spec("highdicom") is None:
        raise UserError(f"{option}: needs the package highdicom: pip install highdicom")


def _for_a_study(add: Callable[[Prediction, Path, Picture], Prediction], what: str, of_series: bool = False) -> Step:
    """Return the step that adds to answers for DICOM files what a PACS takes, and says why there is none for others.

    Args:
        of_series: folders, each a series, are answered as well.
    """

    def step(prediction: Prediction, place: str, picture: Picture) -> Prediction:
        try:
            if not ((of_series and Path(place).is_dir()) or is_dicom(Path(place))):
                raise UnreadableImageError("no DICOM file, so there is no study to report to")
            return add(prediction, Path(place), picture)
        except UnreadableImageError as error:
            print(f"{shown(prediction.image)}: no {what}: {shown(error)}.", file=sys.stderr)
            return prediction

    return step


def _make(folder: Path) -> None:
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise UserError(f"{folder}: expected a folder that can be written to ({error.strerror}).") from None


def _kept(predictions: Iterator[Prediction], answered: list[Prediction]) -> Iterator[Prediction]:
    for prediction in predictions:
        answered.append(prediction)
        yield prediction
