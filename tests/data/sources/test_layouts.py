"""Folders as people have them: each kind is read right, or refused in one line that names the way out."""

import os

import numpy as np
import pytest
from PIL import Image

from kmedtl.data import sources
from kmedtl.errors import UserError
from kmedtl.recipe import Data


def noise(path, seed=0, size=(24, 24), mode="L"):
    path.parent.mkdir(parents=True, exist_ok=True)
    shape = size if mode == "L" else (*size, 3)
    Image.fromarray(np.random.default_rng(seed).integers(0, 256, shape, dtype=np.uint8)).save(path)


def mask(path, value=255):
    path.parent.mkdir(parents=True, exist_ok=True)
    pixels = np.zeros((24, 24), np.uint8)
    pixels[6:12, 6:12] = value
    Image.fromarray(pixels).save(path)


def fill(root, *folders, count=3, name="{}.png"):
    for place, folder in enumerate(folders):
        for number in range(count):
            noise(root / folder / name.format(number), 100 * place + number)
    return root


def load(root, **settings):
    return sources.load(Data(str(root), **settings), seed=0)


@pytest.mark.parametrize(
    ("train", "val", "test"),
    [
        ("train", "val", "test"),
        ("Training", "Validation", "Testing"),
        ("TRAIN", "VALID", "TEST"),
        ("train_set", "val-set", "test set"),
        ("trainset", "valset", "testset"),
        ("Training Set", "dev", "holdout"),
        ("train_images", "development", "eval"),
        ("train data", "dev_data", "hold-out"),
        ("01_train", "02_validation", "03_evaluation"),
    ],
)
def test_split_folders_go_by_any_usual_name(tmp_path, train, val, test):
    fill(tmp_path, *(f"{part}/{label}" for part in (train, val, test) for label in ("glioma", "no tumor")))
    found = load(tmp_path)
    assert found.classes == ("glioma", "no tumor")
    parts = found.table.groupby(found.table["id"].str.split("/").str[0])["split"].unique()
    assert {name: list(values) for name, values in parts.items()} == {train: ["train"], val: ["val"], test: ["test"]}
    assert any("Splits by folders" in note for note in found.notes) == ((train, val, test) != ("train", "val", "test"))


def test_splits_below_the_classes_are_splits(tmp_path):
    fill(tmp_path, *(f"{label}/{part}" for label in ("a", "b") for part in ("Train", "Test")))
    found = load(tmp_path)
    assert found.classes == ("a", "b")
    assert set(found.table["split"]) == {"train", "test"}


@pytest.mark.parametrize("names", [("control", "test"), ("images", "masks"), ("train", "test")])
def test_names_of_splits_and_images_are_classes_where_they_are_asked_for(tmp_path, names):
    fill(tmp_path, *names)
    found = load(tmp_path, classes=names)
    assert found.classes == names
    assert list(found.table["label"].value_counts()) == [3, 3]


@pytest.mark.parametrize(
    ("folders", "words"),
    [
        (("control", "test"), r"split folders \(test\) and 'control' side by side; move it away, or, if test"),
        (("images", "masks"), "no images in class folders; 3 images and 3 masks elsewhere"),
        (("train", "test"), "no images in class folders; 6 images elsewhere"),
        (("images_001", "images_002"), "no images in class folders; 6 images elsewhere"),
        (("SET_images_part_1", "SET_images_part_2"), "no images in class folders"),
    ],
)
def test_names_of_splits_and_images_are_no_classes_unasked(tmp_path, folders, words):
    fill(tmp_path, *folders)
    with pytest.raises(UserError, match=words):
        load(tmp_path)


@pytest.mark.parametrize("within", ["archive", "archive/data set", "a/b/c"])
def test_folders_around_the_classes_are_passed_through_and_said(tmp_path, within):
    fill(tmp_path, f"{within}/no", f"{within}/yes")
    found = load(tmp_path)
    assert found.classes == ("no", "yes")
    assert f"The classes are the folders in {within}." in found.notes


def test_folders_of_images_are_looked_into(tmp_path):
    fill(tmp_path, "COVID/images", "Normal/images")
    fill(tmp_path / "other", "images/COVID", "images/Normal")
    assert load(tmp_path / "other").classes == ("COVID", "Normal")
    (tmp_path / "other").rename(tmp_path.parent / f"{tmp_path.name}-other")
    assert load(tmp_path).classes == ("COVID", "Normal")


MASKS = {  # image → its mask
    "a/{}.png": "a/{}_mask.png",
    "a/x ({}).png": "a/x ({})_mask.png",
    "a/{}.jpg": "a/{}_seg.png",
    "a/s{}.png": "a/s{}_segmentation.png",
    "a/t{}.png": "a/t{}-Mask.png",
    "a/mask_of/{}.png": "a/mask_of/mask_{}.png",
    "a/images/{}.png": "a/masks/{}.png",
    "a/images/i{}.png": "a/mask/i{}_mask.png",
    "a/images/p{}.png": "a/labels/p{}.png",
    "images/a/{}.png": "masks/a/{}.png",
    "a/images/{}_training.tif": "a/1st_manual/{}_manual1.gif",
    "a/{}/images/u.png": "a/{}/masks/v.png",
    "train/images/a/{}.png": "train/masks/a/{}.png",
}


@pytest.mark.parametrize(("image", "of_it"), MASKS.items())
def test_masks_are_no_images_and_belong_to_theirs(tmp_path, image, of_it):
    for number in range(3):
        noise(tmp_path / image.format(number), number)
        noise(tmp_path / image.format(number).replace("a/", "b/"), 50 + number)
        mask(tmp_path / of_it.format(number))
    found = load(tmp_path, classes=("a", "b"))
    assert (found.masks, len(found.table)) == (3, 6)
    rows = found.table[found.table["mask"] != ""]
    expected = {str(tmp_path / image.format(number)): str(tmp_path / of_it.format(number)) for number in range(3)}
    assert dict(zip(rows["path"], rows["mask"], strict=True)) == expected
    assert any("Masks, which are not taken for images: 3" in note for note in found.notes)


def test_several_masks_of_an_image_are_joined_and_orphans_named(tmp_path):
    fill(tmp_path, "a", "b")
    for name in ("0_mask.png", "0_mask_1.png", "1_mask.png", "9_mask.png"):
        mask(tmp_path / "a" / name)
    found = load(tmp_path)
    table = found.table.set_index("id")["mask"]
    assert table["a/0.png"] == f"{tmp_path / 'a/0_mask.png'}|{tmp_path / 'a/0_mask_1.png'}"
    assert table["a/2.png"] == ""
    assert (found.masks, len(found.table)) == (4, 6)
    assert "Masks without their image: 1, first: 9_mask.png." in found.notes


def test_what_is_called_like_a_mask_but_is_a_picture_stays_an_image(tmp_path):
    fill(tmp_path, "a", "b")
    noise(tmp_path / "a" / "0_seg.png", 77)
    found = load(tmp_path)
    assert (found.masks, len(found.table)) == (0, 7)
    assert any("called like another's mask, but hold many values: 1, first: 0_seg.png" in note for note in found.notes)


def test_a_jpeg_mask_has_few_values_too(tmp_path):
    fill(tmp_path, "a", "b")
    mask(tmp_path / "a" / "0_mask.jpg")
    assert load(tmp_path).masks == 1


def test_labels_for_a_tree_leave_masks_out_and_find_bare_names(tmp_path):
    fill(tmp_path / "set", "images_1/images", "images_2/images", count=2, name="f{}.png")
    for number, file in enumerate(sorted((tmp_path / "set").rglob("*.png"))):
        file.rename(file.with_name(f"film{number}.png"))
    mask(tmp_path / "set" / "masks" / "film0.png")
    (tmp_path / "l.csv").write_text("image,label\n" + "".join(f"film{n},{'ab'[n % 2]}\n" for n in range(4)))
    found = load(tmp_path / "set", labels=str(tmp_path / "l.csv"))
    assert list(found.table["label"]) == [0, 1, 0, 1]
    assert list(found.table["mask"] != "") == [True, False, False, False]


@pytest.mark.parametrize("suffix", [".nii.gz", ".heic", ".mp4"])
def test_formats_that_are_not_read_are_named(tmp_path, suffix):
    fill(tmp_path, "a", "b", count=20)
    for number in range(2):
        (tmp_path / "a" / f"x{number}{suffix}").write_bytes(b"x")
    found = load(tmp_path)
    assert f"Files of formats that are not read: 2 {suffix}." in found.notes
    for number in range(3):
        (tmp_path / "a" / f"y{number}{suffix}").write_bytes(b"x")
    with pytest.raises(UserError, match=rf"class 'a' has 20 images and 5 files .* not read \(5 {suffix}\); convert"):
        load(tmp_path)


def test_a_folder_of_nothing_but_other_formats_names_them(tmp_path):
    for label in "ab":
        (tmp_path / label).mkdir()
        (tmp_path / label / "v.mha").write_bytes(b"x")
    with pytest.raises(UserError, match=r"no images of a format that is read; it holds 2 \.mha\. Convert"):
        load(tmp_path)


def test_volumes_have_classes_as_images_have_and_masks_are_none(tmp_path):
    for name in ("a/v.nii", "b/v.nii", "b/v_mask.nii", "b/masks/w.nii"):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_bytes(b"x")
    found = load(tmp_path)
    assert found.table[["id", "volume", "label"]].values.tolist() == [
        ["a/v.nii", "a/v.nii", 0],
        ["b/v.nii", "b/v.nii", 1],
    ]
    assert found.classes == ("a", "b")


def test_pipes_and_sockets_are_named_and_never_opened(tmp_path):
    fill(tmp_path, "a", "b")
    os.mkfifo(tmp_path / "a" / "pipe.png")
    os.mkfifo(tmp_path / "b" / "pipe")
    found = load(tmp_path)
    assert (len(found.table), found.ignored) == (6, 2)
    assert any("not opened: 2, first: pipe.png" in note for note in found.notes)


def test_folders_that_differ_in_case_are_one_class(tmp_path):
    fill(tmp_path, "Normal", "normal ", "COVID")
    found = load(tmp_path)
    assert found.classes == ("COVID", "Normal")
    assert any("Normal, normal  are 'Normal'" in note for note in found.notes)
    assert load(tmp_path, classes=("NORMAL", "COVID")).classes == ("NORMAL", "COVID")


def test_images_outside_of_classes_are_counted_and_said(tmp_path):
    fill(tmp_path, "a", "b")
    noise(tmp_path / "loose.png")
    found = load(tmp_path)
    assert found.ignored == 1
    assert "Images outside of class folders that were left out: 1." in found.notes


@pytest.mark.parametrize(
    ("source", "words"),
    [("folder", "no image of the class 'C'"), ("phantom:8", "phantom:8: no image of the class 'C'")],
)
def test_classes_that_the_source_has_not_are_refused_before_anything_is_made(tmp_path, cache, source, words):
    fill(tmp_path, "a", "b")
    before = {*cache.rglob("*")}
    with pytest.raises(UserError, match=words):
        load(tmp_path if source == "folder" else source, classes=("a", "b", "C") if source == "folder" else ("C", "D"))
    assert {*cache.rglob("*")} == before


def test_a_folder_without_classes_can_be_looked_at(tmp_path):
    fill(tmp_path, "images")
    mask(tmp_path / "masks" / "0.png")
    found = sources.load(Data(str(tmp_path)), seed=0, labels="wanted")
    assert (len(found.table), found.masks, found.classes) == (3, 1, ())
    assert "No class folders and no table: the images have no labels." in found.notes


@pytest.mark.parametrize(
    ("image", "of_it"),
    [
        ("a/images/{}.png", "a/ground_truth/{}.png"),
        ("a/images/{}.png", "a/lung masks/{}.png"),
        ("images/a/{}.png", "mask_binary/a/{}.png"),
        ("a/images/{}.png", "a/SegmentationClass/{}.png"),
        ("a/{}.jpg", "Ground Truth/{}.png"),
        ("a/{}.png", "a/{}_lesion.png"),
        ("a/{}.png", "a/{}_1stHO.png"),
        ("a/{}.jpg", "a/{}.png"),
    ],
)
def test_further_names_of_masks_are_told_by_few_values(tmp_path, image, of_it):
    for number in range(3):
        noise(tmp_path / image.format(number), number)
        noise(tmp_path / image.format(number).replace("a/", "b/"), 50 + number)
        mask(tmp_path / of_it.format(number))
    found = load(tmp_path)
    assert (found.classes, found.masks, len(found.table)) == (("a", "b"), 3, 6)


@pytest.mark.parametrize("names", [("GT", "WT"), ("Mask", "No Mask"), ("manual", "phone")])
def test_classes_that_are_called_like_masks_hold_images(tmp_path, names):
    fill(tmp_path, *names)
    assert load(tmp_path).classes == names


@pytest.mark.parametrize(
    "folders",
    [
        ("Augmented/mild", "Augmented/severe", "Original/mild", "Original/severe"),
        ("HospitalA/0", "HospitalA/1", "HospitalA/2", "HospitalB/0", "HospitalB/1", "HospitalB/2"),
        ("a", "b", "cells/a", "cells/b"),
    ],
)
def test_a_level_above_the_classes_is_asked_about(tmp_path, folders):
    fill(tmp_path, *folders)
    with pytest.raises(
        UserError, match=r"are the classes its folders .*, or those below them, .*data.classes, or point"
    ):
        load(tmp_path)


def test_folders_below_the_classes_are_said(tmp_path):
    fill(tmp_path, "a/x", "b/y")
    assert "Folders below the classes say nothing of the class: x, y." in load(tmp_path).notes


@pytest.mark.parametrize("folder", ["imagesTr", "imagesTs"])
def test_decathlons_folders_are_no_classes(tmp_path, folder):
    fill(tmp_path, folder, "labelsTr")
    with pytest.raises(UserError, match="no images in class folders"):
        load(tmp_path)


def test_thumbnails_of_file_servers_are_no_images(tmp_path):
    fill(tmp_path, "a", "b", "a/@eaDir/0.png", "$RECYCLE.BIN")
    found = load(tmp_path)
    assert (found.classes, len(found.table)) == (("a", "b"), 6)


def test_broken_links_are_named(tmp_path):
    fill(tmp_path, "a", "b")
    (tmp_path / "a" / "gone.png").symlink_to(tmp_path / "nowhere.png")
    assert any("broken links, which are not opened: 1, first: gone.png" in note for note in load(tmp_path).notes)


def test_a_table_beside_a_file_is_refused(tmp_path):
    (tmp_path / "m.csv").write_text("path,label\n")
    with pytest.raises(UserError, match=r"data.labels: goes with a folder"):
        load(tmp_path / "m.csv", labels="other.csv")
