"""Small volumes as files, for the tests: DICOM series, enhanced DICOM and NIfTI, all of the same made-up person."""

from __future__ import annotations

import gzip
from pathlib import Path

import nibabel as nib
import numpy as np
from pydicom.dataset import Dataset, FileDataset, FileMetaDataset
from pydicom.uid import CTImageStorage, EnhancedCTImageStorage, ExplicitVRLittleEndian

SECRETS = ("DOE", "JANE", "MRN-", "19700101", "1.2.840.99")
SHAPE = (8, 6, 5)  # slices, rows, columns: no two alike, so that nothing changes places unnoticed
SPACING = (2.5, 0.8, 0.7)
ORIGIN = (-10.0, -20.0, 30.0)
AXIAL, CORONAL, SAGITTAL = (1, 0, 0, 0, 1, 0), (1, 0, 0, 0, 0, -1), (0, 1, 0, 0, 0, -1)


def stored_values(shape=SHAPE):
    """Numbers of which no two are alike, int16."""
    return np.random.default_rng(0).permutation(np.prod(shape)).astype(np.int16).reshape(shape)


def uid(kind, number):
    return f"1.2.840.99.{kind}.{number}"


def item(**tags):
    made = Dataset()
    for name, value in tags.items():
        setattr(made, name, value)
    return made


def dicom_file(kind=CTImageStorage, number=0, **tags):
    """Return a file in memory, without what is said of its pixels."""
    meta = FileMetaDataset()
    meta.MediaStorageSOPClassUID, meta.MediaStorageSOPInstanceUID = kind, uid(1, number)
    meta.TransferSyntaxUID = ExplicitVRLittleEndian
    data = FileDataset("", {}, file_meta=meta, preamble=b"\0" * 128)
    data.SOPClassUID, data.SOPInstanceUID, data.SeriesInstanceUID = kind, uid(1, number), uid(2, 0)
    data.StudyInstanceUID, data.FrameOfReferenceUID = uid(3, 0), uid(4, 0)
    data.PatientName, data.PatientID, data.PatientBirthDate = "DOE^JANE", "MRN-1", "19700101"
    data.Modality, data.ImageType = "CT", ["ORIGINAL", "PRIMARY", "AXIAL"]
    data.SamplesPerPixel, data.PhotometricInterpretation = 1, "MONOCHROME2"
    data.BitsAllocated = data.BitsStored = 16
    data.HighBit, data.PixelRepresentation = 15, 1
    for name, value in tags.items():
        setattr(data, name, value)
    return data


def positions(orientation=AXIAL, spacing=SPACING[0], count=SHAPE[0]):
    normal = np.cross(orientation[:3], orientation[3:])
    return [np.array(ORIGIN) + index * spacing * normal for index in range(count)]


def series(orientation=AXIAL, values=None, **tags):
    """Return a CT of `SHAPE` as a list of slices along their normal, stored values of −1024 being 0 HU."""
    values = stored_values() if values is None else values
    slices = []
    for number, (pixels, position) in enumerate(zip(values, positions(orientation, count=len(values)), strict=True)):
        data = dicom_file(number=number, InstanceNumber=number + 1, SliceThickness=5, RescaleSlope=1)
        data.ImagePositionPatient, data.ImageOrientationPatient = position.tolist(), list(orientation)
        data.PixelSpacing, data.RescaleIntercept = list(SPACING[1:]), -1024
        data.Rows, data.Columns = pixels.shape
        data.PixelData = pixels.tobytes()
        for name, value in tags.items():
            setattr(data, name, value)
        slices.append(data)
    return slices


def enhanced(order=range(SHAPE[0]), shift=0.0, with_positions=True):
    """Return the same as one enhanced file, its frames in any order; `shift` (mm) moves the last."""
    values, places = stored_values(), positions()
    places[-1] = places[-1] + (0, 0, shift)
    data = dicom_file(EnhancedCTImageStorage, NumberOfFrames=len(order))
    data.Rows, data.Columns = SHAPE[1:]
    scale = item(RescaleSlope=1, RescaleIntercept=-1024, RescaleType="HU")
    data.SharedFunctionalGroupsSequence = [
        item(
            PlaneOrientationSequence=[item(ImageOrientationPatient=list(AXIAL))],
            PixelMeasuresSequence=[item(PixelSpacing=list(SPACING[1:]), SliceThickness=5)],
            PixelValueTransformationSequence=[scale],
        )
    ]
    if with_positions:
        data.PerFrameFunctionalGroupsSequence = [
            item(PlanePositionSequence=[item(ImagePositionPatient=places[index].tolist())]) for index in order
        ]
    data.PixelData = values[list(order)].tobytes()
    return data


def save(data, path):
    path.parent.mkdir(parents=True, exist_ok=True)
    data.save_as(path, enforce_file_format=True)
    return path


def save_all(slices, folder, names=None):
    """Write slices to a folder, by default in an order of names that is not theirs."""
    shuffled = np.random.default_rng(1).permutation(len(slices))
    for number, data in enumerate(slices):
        save(data, folder / (names[number] if names else f"{shuffled[number]:03d}.dcm"))
    return folder


RAS = np.array([[0.7, 0, 0, -10], [0, 0.8, 0, 20], [0, 0, 2.5, 30], [0, 0, 0, 1]])


def nifti_image(values=None, affine=RAS, codes=(1, 1), kind=nib.Nifti1Image):
    """Return a NIfTI image with a qform and an sform of those codes; 0 leaves one out."""
    values = np.ascontiguousarray(stored_values().transpose(2, 1, 0)) if values is None else values
    image = kind(values, None if affine is None else np.asarray(affine, float))
    if affine is not None:
        image.set_qform(affine, codes[0])
        image.set_sform(affine, codes[1])
    image.header.set_xyzt_units("mm")
    image.header["descrip"] = b"DOE^JANE 19700101"
    return image


def nifti_bytes(image=None, fields=None, at=None):
    """Return the bytes of a file; `fields` changes what its header says, `at` bytes of it: offset → bytes."""
    image = image or nifti_image()
    content = bytearray(image.to_bytes())
    size = int(image.header["sizeof_hdr"])
    header = type(image.header)(bytes(content[:size]), check=False)
    for name, value in (fields or {}).items():
        header[name] = value
    content[:size] = header.binaryblock
    for offset, some in (at or {}).items():
        content[offset : offset + len(some)] = some
    return bytes(content)


def save_bytes(content, path: Path):
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(gzip.compress(content, 1) if path.suffix == ".gz" else content)
    return path
