"""Public data sets in small, laid out as they are downloaded: each maker returns what `--data` is given."""

from __future__ import annotations

import csv
from collections.abc import Iterable, Sequence
from pathlib import Path

import numpy as np
from PIL import Image

NIH = (
    "Atelectasis", "Cardiomegaly", "Consolidation", "Edema", "Effusion", "Emphysema", "Fibrosis", "Hernia",
    "Infiltration", "Mass", "Nodule", "Pleural_Thickening", "Pneumonia", "Pneumothorax",
)  # fmt: skip
HAM10000 = ("akiec", "bcc", "bkl", "df", "mel", "nv", "vasc")
BLOOD = ("basophil", "eosinophil", "erythroblast", "ig", "lymphocyte", "monocyte", "neutrophil", "platelet")
TISSUES = ("01_TUMOR", "02_STROMA", "03_COMPLEX", "04_LYMPHO", "05_DEBRIS", "06_MUCOSA", "07_ADIPOSE", "08_EMPTY")


def pixels(number: int, label: int = 0, channels: int = 1, side: int = 40) -> np.ndarray:
    """Return noise of its own for each number, uint8 (side, side[, 3]); the higher the label, the brighter."""
    shape = (side, side) if channels == 1 else (side, side, 3)
    noise = np.random.default_rng(number).integers(0, 90, shape)
    if channels == 3:
        noise[..., 0] += 60  # coloured
    return np.clip(noise + 12 * label, 0, 255).astype(np.uint8)


def save(path: Path, image: np.ndarray) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(image).save(path)


def table(path: Path, header: str, rows: Iterable[Sequence]) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("w", newline="") as file:
        csv.writer(file).writerows([header.split(","), *rows])
    return path


def kermany(root: Path) -> Path:
    """`chest_xray/`: split folders, the patient in the file's name."""
    for part, patients in (("train", range(6)), ("val", range(6, 8)), ("test", range(8, 11))):
        for number in patients:
            for view in (1, 2):
                film = f"person{number}_bacteria_{number * 2 + view}.jpeg"
                save(root / "chest_xray" / part / "PNEUMONIA" / film, pixels(100 + number * 2 + view, 9))
                film = f"IM-{number:04}-{view:04}.jpeg"
                save(root / "chest_xray" / part / "NORMAL" / film, pixels(200 + number * 2 + view))
    return root / "chest_xray"


def nih(root: Path) -> Path:
    """NIH ChestX-ray14: parts of images, findings joined by |, and the list of its test."""
    rows, tests = [], []
    for number in range(2 * 60):
        patient, findings = number // 2, "No Finding"
        if patient < 56:
            findings = "|".join(dict.fromkeys((NIH[patient % 14], NIH[(patient + number % 2) % 14])))
        name = f"{patient:08}_{number % 2:03}.png"
        save(root / f"images_{1 + number // 60:03}" / "images" / name, pixels(number, patient % 14))
        rows.append([name, findings, number % 2, patient, 58, "MF"[patient % 2], "PA", 2682, 2749, 0.143, 0.143, ""])
        tests += [name] if patient >= 42 and patient < 58 else []
    (root / "test_list.txt").write_text("\n".join(tests))
    header = (
        "Image Index,Finding Labels,Follow-up #,Patient ID,Patient Age,Patient Sex,View Position,"
        "OriginalImage[Width,Height],OriginalImagePixelSpacing[x,y],"
    )
    return table(root / "Data_Entry_2017_v2020.csv", header, rows)


def chexpert(root: Path) -> Path:
    """CheXpert: findings 1, 0, −1 or blank, the patient in the path, which begins with the archive's name."""
    rows = []
    for number in range(2 * 24):
        name = f"CheXpert-v1.0-small/train/patient{number // 2:05}/study1/view{1 + number % 2}_frontal.jpg"
        save(root / name, pixels(number, 6 * (number // 2 % 2)))
        edema, fracture = ("1.0", "", "-1.0")[number // 2 % 3], ("0.0", "1.0")[number // 2 % 2]
        rows.append([name, ["Male", "Female"][number // 2 % 2], 41, "Frontal", "AP", "", edema, fracture])
    header = "Path,Sex,Age,Frontal/Lateral,AP/PA,No Finding,Edema,Fracture"
    return table(root / "CheXpert-v1.0-small" / "train.csv", header, rows)


def ham10000(root: Path) -> Path:
    """HAM10000: two folders of images, several photographs a lesion."""
    rows = []
    for number in range(2 * 5 * len(HAM10000)):
        lesion, name = number // 2, f"ISIC_{24306 + number:07}"
        save(root / f"HAM10000_images_part_{1 + number % 2}" / f"{name}.jpg", pixels(number, lesion % 7, 3))
        sex = ("male", "female")[lesion // 7 % 2]
        rows.append([f"HAM_{lesion:07}", name, HAM10000[lesion % 7], "histo", f"{40 + lesion % 30}.0", sex, "back"])
    return table(root / "HAM10000_metadata.csv", "lesion_id,image_id,dx,dx_type,age,sex,localization", rows)


def brain_mri(root: Path) -> Path:
    """Slices in `yes` and `no`, of several modes, one of them twice."""
    for number in range(1, 13):
        save(root / "yes" / f"Y{number}.jpg", pixels(number, 9))
        save(root / "no" / f"{number} no.jpeg", pixels(50 + number))
    Image.fromarray(pixels(1, 9)).convert("RGB").save(root / "yes" / "Y13.png")
    (root / "yes" / "Y14.jpg").write_bytes((root / "yes" / "Y2.jpg").read_bytes())
    return root


def busi(root: Path) -> Path:
    """Breast ultrasound: masks beside the images, those of normal ones empty."""
    top = root / "Dataset_BUSI_with_GT"
    for label, name in enumerate(("benign", "malignant", "normal")):
        for number in range(1, 9):
            image = pixels(100 * label + number, label)
            mask = np.zeros((40, 40), np.uint8)
            if name != "normal":
                mask[10 : 20 + number, 12:26] = 255
                image[mask > 0] = 200
            save(top / name / f"{name} ({number}).png", image)
            save(top / name / f"{name} ({number})_mask.png", mask)
    return top


def aptos(root: Path) -> Path:
    """APTOS 2019: a table of grades beside an empty form of one, images without their suffix in it."""
    rows = []
    for number in range(60):
        image = pixels(number, 3 * (number % 5), 3, 48)[: 36 + 4 * (number % 3)]
        save(root / "train_images" / f"{number:012x}.png", image)
        rows.append([f"{number:012x}", number % 5])
    table(root / "sample_submission.csv", "id_code,diagnosis", [["ffff", 0]])
    return table(root / "train.csv", "id_code,diagnosis", rows).parent


def blood(root: Path) -> Path:
    """A folder a kind of cell."""
    top = root / "PBC_dataset_normal_DIB"
    for label, name in enumerate(BLOOD):
        for number in range(8):
            save(top / name / f"{name[:2].upper()}_{label * 100 + number}.jpg", pixels(label * 100 + number, label, 3))
    return top


def malaria(root: Path) -> Path:
    """Cells whose names begin with the patient; patients have cells of both kinds."""
    for number in range(48):
        patient = number % 12
        image = pixels(number, 8 * (number % 2), 3, 30 + number % 5)
        name = f"C{33 + patient}P{patient}thinF_IMG_20150619_114756a_cell_{number}.png"
        if number // 12 % 2:
            save(root / "cell_images" / "Parasitized" / name, pixels(number, 8, 3))
        else:
            save(root / "cell_images" / "Uninfected" / name, image)
    (root / "cell_images" / "Uninfected" / "Thumbs.db").write_bytes(b"\xd0\xcf\x11\xe0")
    return root / "cell_images"


def malaria_of_tfds(root: Path) -> Path:
    """The set as TensorFlow Datasets prepares it, in a folder for TFDS_DATA_DIR: one split, no names of files."""
    import tensorflow as tf
    import tensorflow_datasets as tfds

    features = tfds.features.FeaturesDict(
        {
            "image": tfds.features.Image(shape=(None, None, 3)),
            "label": tfds.features.ClassLabel(names=["parasitized", "uninfected"]),
        }
    )
    cells = [{"image": pixels(number, 8 * (number % 2), 3), "label": 1 - number % 2} for number in range(32)]
    signature = {"image": tf.TensorSpec((None, None, 3), tf.uint8), "label": tf.TensorSpec((), tf.int64)}
    dataset = tf.data.Dataset.from_generator(lambda: iter(cells), output_signature=signature)
    tfds.dataset_builders.store_as_tfds_dataset(
        name="malaria", version="1.0.0", features=features, split_datasets={"train": dataset}, data_dir=str(root)
    )
    return root


def kather(root: Path) -> Path:
    """Tiles in numbered class folders, TIFF, the slide in the file's name."""
    top = root / "Kather_texture_2016_image_tiles_5000"
    for label, name in enumerate(TISSUES):
        for number in range(8):
            tile = f"{number:04X}_CRC-Prim-HE-{1 + number:02}_0{label}.tif_Row_1_Col_{1 + 150 * number}.tif"
            save(top / name / tile, pixels(label * 100 + number, label, 3))
    return top


def arrays(path: Path, classes: int, findings: int = 1, channels: int = 1, parts: Sequence[str] = ()) -> Path:
    """A file of the MedMNIST family."""
    path.parent.mkdir(parents=True, exist_ok=True)
    content: dict[str, np.ndarray] = {}
    for part, count in (("train", 48), ("val", 24), ("test", 24)):
        if part in (parts or ("train", "val", "test")):
            numbers = [1000 * len(content) + number for number in range(count)]
            labels = np.arange(count)[:, None] % classes
            if findings > 1:
                labels = np.random.default_rng(count).integers(0, 2, (count, findings))
            images = [pixels(n, int(label[0]), channels, 28) for n, label in zip(numbers, labels, strict=True)]
            content |= {f"{part}_images": np.stack(images), f"{part}_labels": labels.astype(np.uint8)}
    np.savez_compressed(path, **content)
    return path


def pneumoniamnist(root: Path) -> Path:
    return arrays(root / "pneumoniamnist.npz", classes=2)


def pneumoniamnist_without_test(root: Path) -> Path:
    return arrays(root / "pneumoniamnist.npz", classes=2, parts=("train", "val"))


def chestmnist(root: Path) -> Path:
    return arrays(root / "chestmnist.npz", classes=2, findings=14)


def retinamnist(root: Path) -> Path:
    return arrays(root / "retinamnist.npz", classes=5, channels=3)


def bloodmnist(root: Path) -> Path:
    return arrays(root / "bloodmnist.npz", classes=8, channels=3)
