"""Tables of public data sets as they are downloaded, recognised by their headers.

A data set that is not here needs no code: `data.columns` maps the names.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass, field

CHEXPERT = (
    "Enlarged Cardiomediastinum", "Cardiomegaly", "Lung Opacity", "Lung Lesion", "Edema", "Consolidation", "Pneumonia",
    "Atelectasis", "Pneumothorax", "Pleural Effusion", "Pleural Other", "Fracture", "Support Devices",
)  # fmt: skip
ISIC = ("MEL", "NV", "BCC", "AKIEC", "AK", "BKL", "DF", "VASC", "SCC", "UNK")


@dataclass(frozen=True)
class KnownTable:
    """How the table of a data set is read.

    Attributes:
        name: of the data set.
        needs: columns by which it is recognised, in lower case.
        columns: kmedtl's name → the table's.
        findings: columns of findings, of those that are there; none where `label` has one class a row.
        patient_pattern: finds the patient in the path, where no column names it.
        repeats: an image may have several rows that agree, such as one for each of its boxes.
        test_list: a file that may lie beside the table and names the images of its test, a line each.
    """

    name: str
    needs: frozenset[str]
    columns: Mapping[str, str] = field(default_factory=dict)
    findings: tuple[str, ...] = ()
    patient_pattern: str = ""
    repeats: bool = False
    test_list: str = ""


NIH = {
    "path": "Image Index",
    "label": "Finding Labels",
    "patient": "Patient ID",
    "view": "View Position",
    "age": "Patient Age",
}
KNOWN = (
    KnownTable(
        "NIH ChestX-ray14, 2020",
        frozenset({"image index", "finding labels", "patient sex"}),
        NIH | {"sex": "Patient Sex"},
        test_list="test_list.txt",
    ),
    KnownTable(
        "NIH ChestX-ray14",
        frozenset({"image index", "finding labels"}),
        NIH | {"sex": "Patient Gender"},
        test_list="test_list.txt",
    ),
    KnownTable(
        "CheXpert",
        frozenset({"path", "sex", "age", "frontal/lateral", "ap/pa"}),
        {"path": "Path", "sex": "Sex", "age": "Age", "view": "AP/PA"},
        findings=CHEXPERT,
        patient_pattern=r"patient\d+",
    ),
    KnownTable(
        "RSNA pneumonia",
        frozenset({"patientid", "x", "y", "width", "height", "target"}),
        {"path": "patientId", "label": "Target"},
        patient_pattern=r"[^/\\]+$",
        repeats=True,
    ),
    KnownTable(
        "RSNA pneumonia, classes",
        frozenset({"patientid", "class"}),
        {"path": "patientId", "label": "class"},
        patient_pattern=r"[^/\\]+$",
        repeats=True,
    ),
    KnownTable("ISIC, a column a class", frozenset({"image", "mel", "nv", "bcc"}), {"path": "image"}, findings=ISIC),
    KnownTable(
        "ISIC 2020",
        frozenset({"image_name", "patient_id", "benign_malignant"}),
        {"path": "image_name", "label": "benign_malignant", "patient": "patient_id", "age": "age_approx"},
    ),
    KnownTable(
        "HAM10000",
        frozenset({"lesion_id", "image_id", "dx"}),
        {"path": "image_id", "label": "dx", "patient": "lesion_id"},
    ),
    KnownTable("APTOS 2019", frozenset({"id_code", "diagnosis"}), {"path": "id_code", "label": "diagnosis"}),
    KnownTable(
        "PAD-UFES-20",
        frozenset({"patient_id", "lesion_id", "img_id", "diagnostic"}),
        {"path": "img_id", "label": "diagnostic", "patient": "patient_id", "sex": "gender"},
    ),
)

# What other tables call the columns that kmedtl knows, in lower case; taken where the table has just one of them.
ALIASES = {
    "path": (
        "filename", "file_name", "file name", "file", "filepath", "file_path", "image_path", "image path", "img_path",
        "imagepath", "image", "img", "image_name", "image_file", "image_id", "img_id", "imageid", "image index",
    ),
    "label": (
        "class", "class_name", "classname", "target", "diagnosis", "dx", "category", "labels", "finding labels",
        "grade", "diagnostic",
    ),
    "patient": ("patient_id", "patient id", "patientid", "subject", "subject_id", "subject id"),
    "split": ("subset", "partition", "set", "dataset_split"),
    "mask": ("mask_path", "mask path", "segmentation"),
}  # fmt: skip


def recognise(columns: Collection[str]) -> KnownTable | None:
    """Return the data set whose table has these columns, or None."""
    there = {name.casefold() for name in columns}
    named = there & {"path", "filename", "file", "file_name"}  # a table of somebody's own, whatever else it is like
    return next((known for known in KNOWN if known.needs <= there and named <= known.needs), None)


def is_medmnist_row(cells: Collection[str]) -> bool:
    """Tell whether the first line is a row of the table that MedMNIST writes beside its images, without a header."""
    first, second, *labels = [*cells, "", ""][: max(len(cells), 2)]
    return first.casefold() in ("train", "val", "test") and second.lower().endswith(".png") and bool(labels)
