"""What a model file says about itself: one JSON document that travels inside every exported file.

A `.tflite` carries it as a zip at its end (it stays a valid model), a `.keras` as one more member of the archive, an
`.onnx` among its metadata, a SavedModel folder under `assets.extra/`, a run folder beside the models.
"""

from __future__ import annotations

import json
import math
import shutil
import zipfile
import zlib
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, fields
from pathlib import Path
from typing import IO, Any

from kmedtl import config
from kmedtl.edge.adaptation.lineage import Adaptation
from kmedtl.edge.adaptation.reference import Reference
from kmedtl.edge.fields import Fields
from kmedtl.edge.out_of_distribution import OutOfDistribution
from kmedtl.edge.pooling import Pooling
from kmedtl.edge.tasks import Decoder, edge_task_of
from kmedtl.edge.tasks.task import EdgeTask
from kmedtl.edge.updates import UpdateRecord
from kmedtl.errors import UserError, expect
from kmedtl.images.reading import Aspect, Reading, Window

MEMBER = "kmedtl.json"
VERSION = 3
LARGEST = 4_000_000  # bytes of a document; that of the widest backbone has 400,000
LARGEST_SIZE = 8192  # pixels a side
VALUE_RANGE, NORMALISATION = (0.0, 255.0), "inside the model"  # of every model that kmedtl writes
INTENDED_USE = "Research only. Not a medical device; no clinical use is claimed."


@dataclass(frozen=True)
class ModelInfo:
    """How to feed a model and how to read its answer.

    Attributes:
        decoder: how the model's outputs become answers: what is asked, and what validation chose.
        size, channels: of the image that the model takes, values 0–255.
        window: which part of the range of images of more than 8 bits the model saw.
        pixel_offset: what was added to the values of such images, other than DICOM, before they were stored.
        aspect: whether images were stretched to the square, or kept their aspect ratio.
        recipe, source, seed: where the model comes from.
        synthetic: True where it never saw a real image.
        kmedtl: version that wrote it.
        out_of_distribution: what tells images of another kind; None: nothing does.
        value_range: of the pixels that the model takes.
        normalisation: where they become what the backbone wants.
        recipe_hash, data_hash: SHA-256 of the recipe, and of which image is in which split.
        metrics: of this file on the test images: figure → (value, low, high), 95 % intervals.
        made: how the file was made, where there was a choice.
        parity: how the file differs from the trained model on the test images; see `kmedtl.export.parity.Parity`.
        weights: the card of the imported weights that the training began with; empty: there were none. See
            `kmedtl.backbones.weights_card.WeightsCard`.
        fields: what the model takes beside an image, in the order of its input `fields`; empty: the image alone.
        neighbours: of slices of volumes: how many on each side are channels of the image that the model takes.
        slices: how the outputs for the slices of a volume become those that the decoder is of, see
            `kmedtl.edge.pooling`; "": it is of images, or of whole volumes as `EdgeTask.of_volume` answers them.
        views: names of the images of an examination in the order of the outputs, which are then as
            `kmedtl.edge.pooling.contributions` takes them; empty: each image or volume is answered by itself.
        validation: how validation looked to this file, which tells another hospital's images; None: nothing tells them.
        adapted: what `kmedtl adapt` did, the latest last; empty: the decoder is as validation chose it.
        updated: what `kmedtl update` did, the latest last; empty: the training began with no run.

    Raises:
        UserError: a value that no model has, or values that contradict each other.
    """

    decoder: Decoder
    size: int
    channels: int
    recipe: str
    source: str
    seed: int
    synthetic: bool
    kmedtl: str
    window: Window = field(default_factory=Window)
    pixel_offset: float = 0.0
    aspect: Aspect = "stretch"
    out_of_distribution: OutOfDistribution | None = None
    value_range: tuple[float, float] = VALUE_RANGE
    normalisation: str = NORMALISATION
    recipe_hash: str = ""
    data_hash: str = ""
    metrics: Mapping[str, tuple[float, ...]] = field(default_factory=dict)
    made: str = ""
    parity: Mapping[str, Any] = field(default_factory=dict)
    intended_use: str = INTENDED_USE
    version: int = VERSION
    weights: Mapping[str, Any] = field(default_factory=dict)
    fields: Fields = ()
    neighbours: int = 0
    slices: Pooling = ""
    views: tuple[str, ...] = ()
    validation: Reference | None = None
    adapted: tuple[Adaptation, ...] = ()
    updated: tuple[UpdateRecord, ...] = ()

    def __post_init__(self) -> None:
        expect(1 <= self.size <= LARGEST_SIZE, "size", f"1 to {LARGEST_SIZE} pixels", self.size)
        expect(self.channels in (1, 3), "channels", "1 or 3", self.channels)
        stacks = self.neighbours == 0 or (self.neighbours == 1 and self.channels == 3)
        expect(stacks, "neighbours", "0, or 1 of 3 channels", self.neighbours)
        expect(0 <= self.seed < 2**31, "seed", "a whole number from 0 to 2^31 - 1", self.seed)
        expect(self.value_range == VALUE_RANGE, "value_range", VALUE_RANGE, self.value_range)
        expect(self.normalisation == NORMALISATION, "normalisation", NORMALISATION, self.normalisation)
        views = len(set(self.views)) == len(self.views) != 1 and (bool(self.slices) or not self.views)
        expect(views, "views", "two names or more that differ, beside slices, or none", self.views)
        names = [one.name for one in self.fields]
        expect(len(set(names)) == len(names), "fields", "names that differ", names)
        for name, figure in self.metrics.items():
            sound = len(figure) == 3 and all(map(math.isfinite, figure))
            expect(sound, f"metrics.{name}", "a figure and the two ends of its interval", figure)

    @property
    def rejected(self) -> str:
        """Why the last update was not accepted; empty: it was, or there was none."""
        return self.updated[-1].reason if self.updated and not self.updated[-1].accepted else ""

    @property
    def task(self) -> EdgeTask:
        """The row that says what the decoder means."""
        return edge_task_of(self.decoder)

    @property
    def takes_volumes(self) -> bool:
        """Whether it answers volumes or examinations, and no images."""
        return bool(self.slices) or self.task.takes_volumes(self.decoder)

    @property
    def reading(self) -> Reading:
        stacked = self.neighbours
        return Reading(self.size, self.channels, self.window, self.pixel_offset, self.aspect, neighbours=stacked)


def attach(info: ModelInfo, path: Path) -> None:
    """Write the document into a `.tflite`, `.keras` or `.onnx` file, a SavedModel folder or a run folder."""
    text = json.dumps(asdict(info), indent=2, allow_nan=False)
    if path.suffix == ".onnx":
        _attach_to_onnx(text, path)
        return
    if path.is_dir():
        target = _in_folder(path)
        target.parent.mkdir(exist_ok=True)
        target.write_text(text, encoding="utf-8")
        return
    with zipfile.ZipFile(path, "a") as archive:
        archive.writestr(MEMBER, text, zipfile.ZIP_DEFLATED)


def attach_to_copy(info: ModelInfo, source: Path, target: Path) -> None:
    """Write a copy of a `.tflite` or `.keras` file that carries this document in place of its own; all else stays.

    Args:
        target: a new file.
    """
    with source.open("rb") as model, zipfile.ZipFile(model) as archive, target.open("wb") as copy:
        begin = min(member.header_offset for member in archive.infolist())
        model.seek(0)
        while begin > 0 and (block := model.read(min(begin, 1 << 20))):  # of a .tflite: the model itself
            copy.write(block)
            begin -= len(block)
    with zipfile.ZipFile(source) as archive, zipfile.ZipFile(target, "a") as copied:
        for member in archive.infolist():
            if member.filename != MEMBER:
                with archive.open(member) as old, copied.open(member, "w") as new:
                    shutil.copyfileobj(old, new)
    attach(info, target)


def read(path: Path) -> ModelInfo:
    """Return the document of a model file or folder.

    Raises:
        UserError: no such file or folder, no document, one of a newer version, or one that is not what this version
            writes.
    """
    if not path.exists():
        raise UserError(f"{path}: no such file or folder; expected a run folder or a model file.")
    try:
        if path.is_dir():
            content = _of_folder(path)
        elif path.suffix == ".onnx":
            content = _of_onnx(path)
        else:
            content = _of_archive(path)
    except (OSError, KeyError, EOFError, NotImplementedError, RuntimeError, zipfile.BadZipFile, zlib.error):
        raise UserError(f"{path}: no kmedtl model; it carries no {MEMBER} that says how to ask it.") from None
    if len(content) > LARGEST:
        raise UserError(f"{path}: its {MEMBER} has more than {LARGEST} bytes; use a model of known origin.")
    try:
        return _parsed(content)
    except (ValueError, RecursionError, UserError) as error:
        reason = " ".join(str(error).split()).rstrip(".")[:300]
        raise UserError(f"{path}: its {MEMBER} is damaged ({reason}); export the model again.") from None
    except _OtherVersionError as error:
        raise UserError(
            f"{path}: its {MEMBER} has version {error}, this kmedtl reads 2 and {VERSION}; use the kmedtl that wrote "
            "it, or export the model again."
        ) from None


class _OtherVersionError(Exception):
    """A document that is of no concern here."""


def _parsed(content: bytes) -> ModelInfo:
    """Return what a document says; a field that this version does not know is left to those that do.

    Raises:
        ValueError, RecursionError: it is no JSON.
        UserError: a field that is missing, or has a value that it cannot have.
        _OtherVersionError: it is of another version.
    """
    document = json.loads(content.decode("utf-8"))
    expect(isinstance(document, dict), "document", "values by name", type(document).__name__)
    version = document.get("version")
    expect(type(version) is int and version > 0, "version", "a whole number from 1 on", version)
    if version == 2:
        document = _from_version_2(document)
    elif version != VERSION:
        raise _OtherVersionError(version)
    expect("window" in document, "window", "to be told", "nothing")  # without it images would be read otherwise
    known = {setting.name for setting in fields(ModelInfo)}
    fields_by_name = {name: value for name, value in document.items() if name in known}
    return config.build(ModelInfo, fields_by_name, text_as_number=False)


def _from_version_2(document: dict[str, Any]) -> dict[str, Any]:
    """Return a document of version 2, which knew classification alone, as one of version 3."""
    fields_by_name = {"labels": "kind", "classes": "classes", "calibration": "calibration", "thresholds": "thresholds"}
    for name in fields_by_name.values():
        expect(name in document, name, "to be told", "nothing")
    decoder = {"kind": "classification", **{now: document[was] for now, was in fields_by_name.items()}}
    kept = {name: value for name, value in document.items() if name not in fields_by_name.values()}
    return {**kept, "decoder": decoder, "version": VERSION}


def _of_folder(path: Path) -> bytes:
    place = _in_folder(path)
    if not place.is_file():  # a pipe would keep us waiting
        raise KeyError(MEMBER)
    with place.open("rb") as file:
        return _bounded(file)


def _of_archive(path: Path) -> bytes:
    with zipfile.ZipFile(path) as archive:
        member = archive.getinfo(MEMBER)
        if member.compress_type not in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED):  # others expand before they are cut
            raise KeyError(MEMBER)
        with archive.open(member) as file:
            return _bounded(file)


def _bounded(file: IO[bytes]) -> bytes:
    """Return the file's bytes, no more than one too many."""
    return file.read(LARGEST + 1)


def _in_folder(path: Path) -> Path:
    is_saved_model = (path / "saved_model.pb").exists()
    return path / "assets.extra" / MEMBER if is_saved_model else path / MEMBER


def _attach_to_onnx(text: str, path: Path) -> None:
    import onnx

    model = onnx.load(path)
    onnx.helper.set_model_props(model, {MEMBER: text})
    onnx.save(model, path)


def _of_onnx(path: Path) -> bytes:
    """Return the document of an `.onnx` file.

    Raises:
        UserError: onnx is not installed.
        KeyError: no document, or no ONNX model, as an archive answers.
    """
    try:
        import onnx
        from google.protobuf.message import DecodeError
    except ImportError:
        raise UserError(f"{path}: needs onnx, which is not installed; pip install 'kmedtl[onnx]'.") from None
    try:
        known = onnx.load(path, load_external_data=False).metadata_props
    except DecodeError:
        raise KeyError(MEMBER) from None
    return {entry.key: entry.value for entry in known}[MEMBER].encode()
