"""An answer as a PACS takes it: a DICOM structured report, and the heat map as a secondary capture. Needs highdicom.

Both belong to the patient and the study of the image, whose identity they repeat, and lie in series of their own.
TID 1500 (PS3.16), the findings in a coding scheme of our own, since no other names what a recipe's folders are called.
"""

from __future__ import annotations

import logging
import warnings
from pathlib import Path

import highdicom as hd
import numpy as np
import pydicom
from highdicom.sr import CodedConcept
from pydicom.errors import InvalidDicomError
from pydicom.sr.codedict import codes
from pydicom.uid import generate_uid

from kmedtl.edge.model_info import ModelInfo
from kmedtl.edge.predictor import Prediction
from kmedtl.edge.tasks.task import Answer
from kmedtl.images.pixels import UnreadableImageError

SCHEME = "99KMEDTL"  # PS3.16, section 8.2: what begins with 99 is private
SERIES = 9900  # and 9901, far from a scanner's own
_REFUSALS = (AttributeError, KeyError, TypeError, ValueError)  # highdicom's, of headers that break the standard
_REFERRED_TO = ("SOPClassUID", "SOPInstanceUID", "SeriesInstanceUID", "StudyInstanceUID")
_TYPE_2 = (
    "PatientName", "PatientID", "PatientBirthDate", "PatientSex", "StudyDate", "StudyTime", "StudyID",
    "AccessionNumber", "ReferringPhysicianName",
)  # fmt: skip


def write(source: Path, prediction: Prediction, info: ModelInfo, heat_map: np.ndarray, folder: Path) -> tuple[str, str]:
    """Write report and heat map of the answer for the DICOM file `source`; return their paths.

    Args:
        heat_map: uint8 RGB (H, W, 3).
        folder: where to; the files are called by their UIDs.

    Raises:
        UnreadableImageError: the file does not say what to refer to.
    """
    logging.getLogger("pydicom").setLevel(logging.CRITICAL)  # it quotes the header too
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # highdicom's quote the patient's name
        try:
            image = _identity(source)
            report, capture = _report(image, prediction, info), _capture(image, heat_map, info)
        except InvalidDicomError:
            raise UnreadableImageError("no DICOM file, or one without its header") from None
        except _REFUSALS as error:
            raise UnreadableImageError(f"its header does not fit a report ({type(error).__name__})") from None
        return _saved(report, folder), _saved(capture, folder)


def _identity(source: Path) -> pydicom.Dataset:
    """Return the header, with what DICOM wants to be there, if empty."""
    image = pydicom.dcmread(source, stop_before_pixels=True)
    missing = [name for name in _REFERRED_TO if name not in image]
    if missing:
        raise UnreadableImageError(f"the file has no {', '.join(missing)} to refer to")
    for name in _TYPE_2:
        if name not in image:
            setattr(image, name, "")
    return image


def _report(image: pydicom.Dataset, prediction: Prediction, info: ModelInfo) -> hd.sr.EnhancedSR:
    device = hd.sr.ObserverContext(
        codes.DCM.Device,
        hd.sr.DeviceObserverIdentifyingAttributes(
            uid=generate_uid(entropy_srcs=[info.recipe, info.kmedtl, str(info.seed)]), name="kmedtl"
        ),
    )
    answer = prediction.answer
    assert answer is not None  # a file that could not be read is not reported on
    answers = hd.sr.MeasurementsAndQualitativeEvaluations(
        hd.sr.TrackingIdentifier(uid=hd.UID(), identifier="kmedtl"),
        algorithm_id=hd.sr.AlgorithmIdentification(f"kmedtl {info.recipe}", info.kmedtl),
        measurements=[
            hd.sr.Measurement(
                _coded(found.code, found.meaning),
                found.value,
                CodedConcept(found.unit, "UCUM", found.unit if found.unit != "1" else "no units"),
                derivation=_coded(f"finding-{number}", found.subject),
            )
            for number, found in enumerate(answer.measurements())
        ],
        qualitative_evaluations=[
            hd.sr.QualitativeEvaluation(_coded(name, meaning), _coded(f"{name}-value", said))
            for name, meaning, said in _said(answer, prediction.out_of_distribution, info)
        ],
        source_images=[hd.sr.SourceImageForMeasurementGroup(image.SOPClassUID, image.SOPInstanceUID)],
    )
    content = hd.sr.MeasurementReport(
        hd.sr.ObservationContext(observer_device_context=device),
        procedure_reported=CodedConcept("363679005", "SCT", "Imaging procedure"),
        imaging_measurements=[answers],
    )
    return hd.sr.EnhancedSR(
        [image], content[0], hd.UID(), SERIES, hd.UID(), 1, "kmedtl", series_description=_title(info)
    )


def _said(answer: Answer, unlike: bool | None, info: ModelInfo) -> list[tuple[str, str, str]]:
    """Return what is said in words: (code, name, value)."""
    said = [("decision", "Decision at the operating point", answer.decision or "")]
    if unlike is not None:
        said.append(("unlike", "Unlike the training images", "yes" if unlike else "no"))
    if info.synthetic:
        said.append(("synthetic", "Trained on synthetic images", "says nothing about patients"))
    return [*said, ("use", "Intended use", "research only; not a medical device")]


def _capture(image: pydicom.Dataset, heat_map: np.ndarray, info: ModelInfo) -> hd.sc.SCImage:
    capture = hd.sc.SCImage.from_ref_dataset(
        image, heat_map, "RGB", 8, "PATIENT", hd.UID(), SERIES + 1, hd.UID(), 1, "kmedtl",
        patient_orientation=("L", "F"),  # highdicom wants one
    )  # fmt: skip
    capture.PatientOrientation = image.get("PatientOrientation")  # the image's own, or unknown
    capture.SeriesDescription = _title(info)
    capture.ImageComments = "Places that the answer rests on: occlusion map. Research only."
    capture.DerivationDescription = "Resized, with a heat map laid on; not for diagnosis"
    if "BurnedInAnnotation" in image:
        capture.BurnedInAnnotation = image.BurnedInAnnotation
    return capture


def _title(info: ModelInfo) -> str:
    """What must not be cut off comes first: a description holds 64 characters."""
    return f"{'SYNTHETIC MODEL, ' if info.synthetic else ''}research only: kmedtl {info.recipe}"[:64]


def _coded(value: str, meaning: str) -> CodedConcept:
    return CodedConcept(value[:16], SCHEME, meaning[:64])


def _saved(made: pydicom.Dataset, folder: Path) -> str:
    path = folder / f"{made.SOPInstanceUID}.dcm"
    made.save_as(path, enforce_file_format=True)
    return str(path)
