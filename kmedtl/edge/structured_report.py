"""An answer as a PACS takes it: a DICOM structured report, and the heat map as a secondary capture. Needs highdicom.

TID 1500 (PS3.16), the findings coded as `kmedtl.edge.dicom_objects` says.
"""

from __future__ import annotations

from pathlib import Path

import highdicom as hd
import numpy as np
import pydicom
from highdicom.sr import CodedConcept
from pydicom.sr.codedict import codes

from kmedtl.edge.dicom_objects import SERIES, coded, device, headers_of, saved, title
from kmedtl.edge.model_info import ModelInfo
from kmedtl.edge.predictor import Prediction
from kmedtl.edge.tasks.task import Answer


def write(source: Path, prediction: Prediction, info: ModelInfo, heat_map: np.ndarray, folder: Path) -> tuple[str, str]:
    """Write report and heat map of the answer for the DICOM file `source`; return their paths.

    Args:
        heat_map: uint8 RGB (H, W, 3).
        folder: where to; the files are called by their UIDs.

    Raises:
        UnreadableImageError: the file does not say what to refer to.
    """
    with headers_of([source], "report") as (image,):
        report, capture = _report(image, prediction, info), _capture(image, heat_map, info)
        return saved(report, folder), saved(capture, folder)


def _report(image: pydicom.Dataset, prediction: Prediction, info: ModelInfo) -> hd.sr.EnhancedSR:
    observer = hd.sr.ObserverContext(
        codes.DCM.Device,
        hd.sr.DeviceObserverIdentifyingAttributes(uid=device(info), name="kmedtl"),
    )
    answer = prediction.answer
    assert answer is not None  # a file that could not be read is not reported on
    answers = hd.sr.MeasurementsAndQualitativeEvaluations(
        hd.sr.TrackingIdentifier(uid=hd.UID(), identifier="kmedtl"),
        algorithm_id=hd.sr.AlgorithmIdentification(f"kmedtl {info.recipe}", info.kmedtl),
        measurements=[
            hd.sr.Measurement(
                coded(found.code, found.meaning),
                found.value,
                CodedConcept(found.unit, "UCUM", found.unit if found.unit != "1" else "no units"),
                derivation=coded(f"finding-{number}", found.subject),
            )
            for number, found in enumerate(answer.measurements())
        ],
        qualitative_evaluations=[
            hd.sr.QualitativeEvaluation(coded(name, meaning), coded(f"{name}-value", value))
            for name, meaning, value in _evaluations(answer, prediction.out_of_distribution, info)
        ],
        source_images=[hd.sr.SourceImageForMeasurementGroup(image.SOPClassUID, image.SOPInstanceUID)],
    )
    content = hd.sr.MeasurementReport(
        hd.sr.ObservationContext(observer_device_context=observer),
        procedure_reported=CodedConcept("363679005", "SCT", "Imaging procedure"),
        imaging_measurements=[answers],
    )
    return hd.sr.EnhancedSR(
        [image], content[0], hd.UID(), SERIES, hd.UID(), 1, "kmedtl", series_description=title(info)
    )


def _evaluations(answer: Answer, unlike: bool | None, info: ModelInfo) -> list[tuple[str, str, str]]:
    """Return the evaluations in words: (code, name, value)."""
    evaluations = [("decision", "Decision at the operating point", answer.decision or "")]
    if unlike is not None:
        evaluations.append(("unlike", "Unlike the training images", "yes" if unlike else "no"))
    if info.synthetic:
        evaluations.append(("synthetic", "Trained on synthetic images", "says nothing about patients"))
    return [*evaluations, ("use", "Intended use", "research only; not a medical device")]


def _capture(image: pydicom.Dataset, heat_map: np.ndarray, info: ModelInfo) -> hd.sc.SCImage:
    capture = hd.sc.SCImage.from_ref_dataset(
        image, heat_map, "RGB", 8, "PATIENT", hd.UID(), SERIES + 1, hd.UID(), 1, "kmedtl",
        patient_orientation=("L", "F"),  # highdicom wants one
    )  # fmt: skip
    capture.PatientOrientation = image.get("PatientOrientation")  # the image's own, or unknown
    capture.SeriesDescription = title(info)
    capture.ImageComments = "Places that the answer rests on: occlusion map. Research only."
    capture.DerivationDescription = "Resized, with a heat map laid on; not for diagnosis"
    if "BurnedInAnnotation" in image:
        capture.BurnedInAnnotation = image.BurnedInAnnotation
    return capture
