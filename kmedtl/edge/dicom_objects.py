"""What the DICOM objects that answer an image have in common. Needs highdicom.

Each belongs to the patient and the study of the image, whose identity it repeats, and lies in a series of its own.
Names are coded in a scheme of our own, since no other names what a recipe's folders and structures are called.
"""

from __future__ import annotations

import logging
import warnings
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import pydicom
from highdicom.sr import CodedConcept
from pydicom.errors import InvalidDicomError
from pydicom.uid import UID, generate_uid

from kmedtl.edge.model_info import ModelInfo
from kmedtl.images.pixels import UnreadableImageError

SCHEME = "99KMEDTL"  # PS3.16, section 8.2: what begins with 99 is private
SERIES = 9900  # and those after it, far from a scanner's own
_REFUSALS = (AttributeError, KeyError, TypeError, ValueError)  # highdicom's, of headers that break the standard
_REFERRED_TO = ("SOPClassUID", "SOPInstanceUID", "SeriesInstanceUID", "StudyInstanceUID")
_TYPE_2 = (
    "PatientName", "PatientID", "PatientBirthDate", "PatientSex", "StudyDate", "StudyTime", "StudyID",
    "AccessionNumber", "ReferringPhysicianName",
)  # fmt: skip


@contextmanager
def headers_of(sources: Sequence[Path], what: str) -> Iterator[list[pydicom.Dataset]]:
    """Yield the headers of images, with what DICOM wants to be there, if empty, to make `what` of meanwhile.

    Raises:
        UnreadableImageError: a file does not say what to refer to, or highdicom cannot make it of these headers. The
            reason never quotes a header.
    """
    logging.getLogger("pydicom").setLevel(logging.CRITICAL)  # it quotes the header too
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # highdicom's quote the patient's name
        try:
            yield [_identity(source) for source in sources]
        except InvalidDicomError:
            raise UnreadableImageError("no DICOM file, or one without its header") from None
        except _REFUSALS as error:
            raise UnreadableImageError(f"its header does not fit a {what} ({type(error).__name__})") from None


def _identity(source: Path) -> pydicom.Dataset:
    image = pydicom.dcmread(source, stop_before_pixels=True)
    missing = [name for name in _REFERRED_TO if name not in image]
    if missing:
        raise UnreadableImageError(f"the file has no {', '.join(missing)} to refer to")
    for name in _TYPE_2:
        if name not in image:
            setattr(image, name, "")
    return image


def device(info: ModelInfo) -> UID:
    """Return what names the model: the same for the same recipe, version and seed."""
    return generate_uid(entropy_srcs=[info.recipe, info.kmedtl, str(info.seed)])


def title(info: ModelInfo) -> str:
    """What must not be cut off comes first: a description holds 64 characters."""
    return f"{'SYNTHETIC MODEL, ' if info.synthetic else ''}research only: kmedtl {info.recipe}"[:64]


def coded(value: str, meaning: str) -> CodedConcept:
    """Return a concept of our own scheme, cut to what DICOM holds."""
    return CodedConcept(value[:16], SCHEME, meaning[:64])


def saved(made: pydicom.Dataset, folder: Path) -> str:
    """Write an object, called by its UID, and return its path. Names of patients may have any letters."""
    made.SpecificCharacterSet = "ISO_IR 192"
    path = folder / f"{made.SOPInstanceUID}.dcm"
    made.save_as(path, enforce_file_format=True)
    return str(path)
