"""What a model file says about itself: one JSON document that travels inside every exported file.

A `.tflite` carries it as a zip at its end (it stays a valid model), a `.keras` as one more member of the archive, an
`.onnx` among its metadata, a SavedModel folder under `assets.extra/`, a run folder beside the models.
"""

from __future__ import annotations

import json
import zipfile
import zlib
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, fields
from pathlib import Path
from typing import Any

from kmedtl.data.reading import Reading, Window
from kmedtl.edge import calibration, out_of_distribution
from kmedtl.edge.calibration import Calibration
from kmedtl.edge.out_of_distribution import OutOfDistribution
from kmedtl.errors import UserError
from kmedtl.question import Kind, findings_of

MEMBER = "kmedtl.json"
VERSION = 2
INTENDED_USE = "Research only. Not a medical device; no clinical use is claimed."


@dataclass(frozen=True)
class ModelInfo:
    """How to feed a model and how to read its answer.

    Attributes:
        classes: names; where a `binary` question has two, the model's single logit speaks for the second.
        kind: what is asked of an image.
        size, channels: of the image that the model takes, values 0–255.
        window: which part of the range of images of more than 8 bits the model saw.
        pixel_offset: what was added to the values of such images, other than DICOM, before they were stored.
        calibration: how logits become probabilities.
        thresholds: the operating point: a finding is called from this probability on, one for each; of `multi_class`
            none, the most probable is called.
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
    """

    classes: tuple[str, ...]
    kind: Kind
    size: int
    channels: int
    calibration: Calibration
    thresholds: tuple[float, ...]
    recipe: str
    source: str
    seed: int
    synthetic: bool
    kmedtl: str
    window: Window = field(default_factory=Window)
    pixel_offset: float = 0.0
    out_of_distribution: OutOfDistribution | None = None
    value_range: tuple[float, float] = (0.0, 255.0)
    normalisation: str = "inside the model"
    recipe_hash: str = ""
    data_hash: str = ""
    metrics: Mapping[str, tuple[float, ...]] = field(default_factory=dict)
    made: str = ""
    parity: Mapping[str, Any] = field(default_factory=dict)
    intended_use: str = INTENDED_USE
    version: int = VERSION

    @property
    def findings(self) -> tuple[str, ...]:
        return findings_of(self.kind, self.classes)

    @property
    def reading(self) -> Reading:
        return Reading(self.size, self.channels, self.window, self.pixel_offset)


def attach(info: ModelInfo, path: Path) -> None:
    """Write the document into a `.tflite`, `.keras` or `.onnx` file, a SavedModel folder or a run folder."""
    text = json.dumps(asdict(info), indent=2)
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
            text = _in_folder(path).read_text(encoding="utf-8")
        elif path.suffix == ".onnx":
            text = _of_onnx(path)
        else:
            with zipfile.ZipFile(path) as archive:
                text = archive.read(MEMBER).decode()
    except (OSError, KeyError, zipfile.BadZipFile, zlib.error, UnicodeDecodeError):
        raise UserError(f"{path}: no kmedtl model; it carries no {MEMBER} with classes, size and thresholds.") from None
    try:
        document = json.loads(text)
        version = document["version"]
        if version == VERSION:
            known = {setting.name for setting in fields(ModelInfo)}
            for name in ("classes", "thresholds", "value_range"):
                if name in document:
                    document[name] = tuple(document[name])
            if "metrics" in document:
                document["metrics"] = {name: tuple(figure) for name, figure in document["metrics"].items()}
            document["window"] = Window(**document["window"])
            document["calibration"] = calibration.from_dict(document["calibration"])
            if document.get("out_of_distribution") is not None:
                document["out_of_distribution"] = out_of_distribution.from_dict(document["out_of_distribution"])
            return ModelInfo(**{name: document[name] for name in known & set(document)})
    except (ValueError, KeyError, TypeError) as error:
        raise UserError(f"{path}: its {MEMBER} is damaged ({error}); export the model again.") from None
    raise UserError(
        f"{path}: its {MEMBER} has version {version}, this kmedtl reads {VERSION}; use the kmedtl that wrote it, or "
        "export the model again."
    )


def _in_folder(path: Path) -> Path:
    is_saved_model = (path / "saved_model.pb").exists()
    return path / "assets.extra" / MEMBER if is_saved_model else path / MEMBER


def _attach_to_onnx(text: str, path: Path) -> None:
    import onnx

    model = onnx.load(path)
    onnx.helper.set_model_props(model, {MEMBER: text})
    onnx.save(model, path)


def _of_onnx(path: Path) -> str:
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
    return {entry.key: entry.value for entry in known}[MEMBER]
