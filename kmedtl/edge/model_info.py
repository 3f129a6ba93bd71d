"""What a model file says about itself: one JSON document that travels inside every exported file.

A `.tflite` carries it as a zip at its end (it stays a valid model), a `.keras` as one more member of the archive, a
SavedModel folder under `assets.extra/`, a run folder beside the models.
"""

from __future__ import annotations

import json
import zipfile
import zlib
from dataclasses import asdict, dataclass, field, fields
from pathlib import Path

from kmedtl.data.reading import Reading, Window
from kmedtl.errors import UserError

MEMBER = "kmedtl.json"
VERSION = 1
INTENDED_USE = "Research only. Not a medical device; no clinical use is claimed."


@dataclass(frozen=True)
class ModelInfo:
    """How to feed a model and how to read its answer.

    Attributes:
        classes: names; the model's single logit speaks for the second.
        size, channels: of the image that the model takes, values 0–255.
        window: which part of a DICOM image's range the model saw.
        temperature: probability = sigmoid(logit / temperature).
        threshold: the operating point; a probability from here on is decided as the second class.
        recipe, source, seed: where the model comes from.
        synthetic: True where it never saw a real image.
        kmedtl: version that wrote it.
    """

    classes: tuple[str, ...]
    size: int
    channels: int
    temperature: float
    threshold: float
    recipe: str
    source: str
    seed: int
    synthetic: bool
    kmedtl: str
    window: Window = field(default_factory=Window)
    intended_use: str = INTENDED_USE
    version: int = VERSION

    @property
    def reading(self) -> Reading:
        return Reading(self.size, self.channels, self.window)


def attach(info: ModelInfo, path: Path) -> None:
    """Write the document into a `.tflite` or `.keras` file, a SavedModel folder or a run folder."""
    text = json.dumps(asdict(info), indent=2)
    if path.is_dir():
        target = _in_folder(path)
        target.parent.mkdir(exist_ok=True)
        target.write_text(text, encoding="utf-8")
        return
    with zipfile.ZipFile(path, "a") as archive:
        archive.writestr(MEMBER, text)


def read(path: Path) -> ModelInfo:
    """Return the document of a model file or folder.

    Raises:
        UserError: no document, one of a newer version, or one that is not what this version writes.
    """
    try:
        if path.is_dir():
            text = _in_folder(path).read_text(encoding="utf-8")
        else:
            with zipfile.ZipFile(path) as archive:
                text = archive.read(MEMBER).decode()
    except (OSError, KeyError, zipfile.BadZipFile, zlib.error, UnicodeDecodeError):
        raise UserError(f"{path}: no kmedtl model; it carries no {MEMBER} with classes, size and threshold.") from None
    try:
        document = json.loads(text)
        version = document["version"]
        if version == VERSION:
            known = {setting.name for setting in fields(ModelInfo)}
            document["classes"] = tuple(document["classes"])
            document["window"] = Window(**document["window"])
            return ModelInfo(**{name: document[name] for name in known})
    except (ValueError, KeyError, TypeError) as error:
        raise UserError(f"{path}: its {MEMBER} is damaged ({error}); export the model again.") from None
    raise UserError(f"{path}: its {MEMBER} has version {version}, this kmedtl reads {VERSION}; update kmedtl.")


def _in_folder(path: Path) -> Path:
    is_saved_model = (path / "saved_model.pb").exists()
    return path / "assets.extra" / MEMBER if is_saved_model else path / MEMBER
