"""Masks as a PACS takes them: a DICOM Segmentation (PS3.3 A.51), a segment for each structure. Needs highdicom."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

import highdicom as hd
import numpy as np
import pydicom
from pydicom.sr.codedict import codes

from kmedtl.edge.dicom_objects import SERIES, coded, device, headers_of, saved, title
from kmedtl.edge.model_info import ModelInfo
from kmedtl.edge.tasks.task import VolumeLabels
from kmedtl.images.dicom_series import blank_slices
from kmedtl.images.pixels import UnreadableImageError
from kmedtl.images.read_volume import series_files
from kmedtl.images.volume import arranged, as_stored


def write(source: Path, masks: Mapping[str, np.ndarray], info: ModelInfo, folder: Path) -> str:
    """Write the masks of the DICOM file `source` as one Segmentation; return its path.

    A structure of which nothing was found has its segment and its frame all the same.

    Args:
        masks: structure → uint8 (H, W), 0 where it is not, in the size of the file.
        folder: where to; the file is called by its UID.

    Raises:
        UnreadableImageError: the file does not say what to refer to, or has several frames.
    """
    with headers_of([source], "segmentation") as (image,):
        if int(image.get("NumberOfFrames") or 1) > 1:
            raise UnreadableImageError("it has several frames, of which a mask is of one")
        planes = np.stack([mask > 0 for mask in masks.values()], axis=-1)[None]
        return saved(_segmentation([image], planes.astype(np.uint8), masks, info, omit_empty_frames=False), folder)


def write_volume(source: Path, labels: VolumeLabels, info: ModelInfo, folder: Path) -> str:
    """Write the labels of a DICOM series as one Segmentation of its slices, those where nothing is left out.

    Args:
        source: a folder with one series, of files or one enhanced file.
        labels: of the volume that `kmedtl.images.read_volume` reads there.
        folder: as of `write`.

    Raises:
        UnreadableImageError: as of `write`, or no one series.
    """
    files = series_files(source)
    stored, order = blank_slices(files)
    in_file = as_stored(labels.voxels, arranged(stored).grid)
    planes = np.empty_like(in_file)
    planes[order] = in_file
    with headers_of(files, "segmentation") as images:
        return saved(_segmentation(images, planes, labels.structures, info, omit_empty_frames=True), folder)


def _segmentation(
    images: Sequence[pydicom.Dataset],
    planes: np.ndarray,
    structures: Iterable[str],
    info: ModelInfo,
    omit_empty_frames: bool,
) -> hd.seg.Segmentation:
    return hd.seg.Segmentation(
        images,
        planes,
        hd.seg.SegmentationTypeValues.BINARY,
        _descriptions(structures, info),
        series_instance_uid=hd.UID(),
        series_number=SERIES + 2,
        sop_instance_uid=hd.UID(),
        instance_number=1,
        manufacturer="kmedtl",
        manufacturer_model_name=info.recipe[:64],
        software_versions=info.kmedtl,
        device_serial_number=str(device(info)),
        omit_empty_frames=omit_empty_frames,
        content_label="KMEDTL",
        content_description=title(info),
        series_description=title(info),
    )


def _descriptions(structures: Iterable[str], info: ModelInfo) -> list[hd.seg.SegmentDescription]:
    algorithm = hd.AlgorithmIdentificationSequence(
        f"kmedtl {info.recipe}"[:64], codes.DCM.ArtificialIntelligence, info.kmedtl
    )
    return [
        hd.seg.SegmentDescription(
            number,
            name[:64],
            segmented_property_category=codes.SCT.SpatialAndRelationalConcept,
            segmented_property_type=coded(f"structure-{number}", name),
            algorithm_type=hd.seg.SegmentAlgorithmTypeValues.AUTOMATIC,
            algorithm_identification=algorithm,
        )
        for number, name in enumerate(structures, 1)
    ]
