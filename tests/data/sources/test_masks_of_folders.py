"""Masks in folders and tables without classes: splits, pairing, and what is told of those that find no image."""

from pathlib import Path

import pytest

from kmedtl.cli import main
from kmedtl.data import sources
from kmedtl.data.sources.listing import list_folder
from kmedtl.errors import UserError
from kmedtl.recipe import Data, Segmentation
from kmedtl.tasks.segmentation.question import ask
from tests.data.sources.test_dicom_tree import write_dicom
from tests.data.sources.test_layouts import mask, noise


def load(root, **settings):
    return sources.load(Data(str(root), **settings), seed=0, labels="unasked")


def fill(root, *pairs):
    """Write an image and its mask for each pair of names."""
    for number, (image, *masks) in enumerate(pairs):
        noise(root / image, number)
        for name in masks:
            mask(root / name)
    return root


def owners(found, root):
    """Return the masks of each image, by their names below the folder."""
    return {
        name: [Path(part).relative_to(root).as_posix() for part in cell.split("|") if part]
        for name, cell in zip(found.table["id"], found.table["mask"], strict=True)
    }


@pytest.mark.parametrize("layout", ["{}/images/{}{}.png {}/masks/{}{}.png", "images/{}/{}{}.png masks/{}/{}{}.png"])
@pytest.mark.parametrize("names", [("train", "val", "test"), ("Training", "Validation", "Testing")])
def test_split_folders_without_classes_are_kept(tmp_path, layout, names):
    image, of_it = layout.split()
    fill(tmp_path, *((image.format(part, part, n), of_it.format(part, part, n)) for part in names for n in (1, 2)))
    found = load(tmp_path)
    assert list(found.table.groupby("split").size().items()) == [("test", 2), ("train", 2), ("val", 2)]
    assert any("Splits by folders" in note for note in found.notes) == (names[0] != "train")
    assert all((found.table["mask"] != "").to_numpy())


def test_folders_of_patients_are_no_classes(tmp_path):
    for count in (1, 6):
        root = tmp_path / str(count)
        fill(root, *((f"pat{n // 2}/images/{n}.png", f"pat{n // 2}/masks/{n}.png") for n in range(2 * count)))
        found = load(root)
        assert (found.classes, len(found.table), "label" in found.table) == ((), 2 * count, False)


def test_folders_of_classes_are_texts_that_balance_splits(tmp_path):
    names = ("benign", "malignant", "normal")
    fill(tmp_path, *((f"{name}/{n}.png", f"{name}/{n}_mask.png") for name in names for n in range(3)))
    fill(tmp_path, ("more.png", "more_mask.png"))
    found = load(tmp_path)
    assert (found.classes, set(found.table["label"])) == ((), {*names, ""})
    assert ask(Segmentation(), Data(), found)[1].table["stratum"].nunique() == 1  # one image alone has no class
    (tmp_path / "more.png").unlink()
    asked = ask(Segmentation(), Data(), load(tmp_path))[1].table
    assert asked.groupby("stratum")["label"].unique().map(list).tolist() == [["benign"], ["malignant"], ["normal"]]


@pytest.mark.parametrize("labels", ["a,b,,a", "a,a,a,a", ",,,"])
def test_labels_of_a_table_refuse_nothing_where_they_are_unasked(tmp_path, labels):
    cells = labels.split(",")
    fill(tmp_path, *((f"{n}.png", f"{n}_mask.png") for n in range(len(cells))))
    rows = [f"{n}.png,{n}_mask.png,{label}" for n, label in enumerate(cells)]
    (tmp_path / "m.csv").write_text("\n".join(["path,mask,label", *rows]))
    found = ask(Segmentation(), Data(), load(tmp_path / "m.csv"))[1]
    assert (found.classes, list(found.table["label"])) == ((), cells)


def test_an_archive_of_people_needs_no_labels_and_tells_no_names(tmp_path, cache):
    for number in range(4):
        folder = tmp_path / ("DOE^JOHN", "DOE^JANE")[number % 2]
        write_dicom(folder / f"im{number}.dcm", number)
        mask(folder / f"im{number}_mask.png")
    found = load(tmp_path)
    assert len(found.table) == 4
    assert (found.table["mask"] != "").all()
    assert "DOE" not in found.table.drop(columns="patient").to_csv()


@pytest.mark.parametrize("recipe", [["--recipe", "nuclei"], []])
def test_a_folder_of_masks_comes_back_from_its_manifest(tmp_path, recipe):
    root = fill(tmp_path / "films", *((f"images/{n}.png", f"masks/{n}.png") for n in range(4)))
    assert main(["manifest", str(root), "-o", str(tmp_path / "m.csv"), *recipe]) == 0
    first, again = (load(source).table.sort_values("path") for source in (root, tmp_path / "m.csv"))
    assert list(first["mask"]) == list(again["mask"])
    assert (again["mask"] != "").all()


def test_a_mask_whose_nearest_partner_is_a_mask_belongs_to_the_image(tmp_path):
    masks = ["0_lung.png", "0_lung_left.png", "0_lung_left_upper.png", "0_lesion.png"]
    found = load(fill(tmp_path, ("0.png", *masks), ("1.png", "1_lung.png", "1_lung_left.png")))
    assert owners(found, tmp_path) == {
        "0.png": sorted(masks),
        "1.png": ["1_lung.png", "1_lung_left.png"],
    }


@pytest.mark.parametrize(
    ("image", "of_it"),
    [
        ("images/{}/{}.png", "masks/{}/{}.png"),
        ("{}/images/{}.png", "{}/masks/{}.png"),
        ("{}_images/{}.png", "{}_masks/{}.png"),
        ("set/JPEGImages/{}/{}.png", "set/SegmentationClass/{}/{}.png"),
        ("images/{}/{}.png", "masks/{}/{}_lung.png"),
    ],
)
@pytest.mark.parametrize("folders", [("train", "val", "test"), ("pat1", "pat2", "pat11")])
def test_names_may_start_anew_in_each_folder(tmp_path, image, of_it, folders):
    expected = {image.format(folder, n): [of_it.format(folder, n)] for folder in folders for n in (0, 1)}
    fill(tmp_path, *((name, *masks) for name, masks in expected.items()))
    found = list_folder(tmp_path).masks
    assert {mask.relative_to(tmp_path).as_posix() for mask in found.owners} == {name for (name,) in expected.values()}
    assert {image.relative_to(tmp_path).as_posix(): masks for image, masks in found.of_images().items()} == {
        name: str(tmp_path / mask) for name, (mask,) in expected.items()
    }


def test_a_mask_whose_image_is_not_there_is_no_other_images(tmp_path):
    fill(tmp_path, ("images/train/0.png", "masks/train/0.png"), ("images/train/1.png", "masks/test/0.png"))
    found = list_folder(tmp_path).masks
    assert {*found.owners} == {tmp_path / "masks/train/0.png"}
    assert found.orphans == (tmp_path / "masks/test/0.png",)


def test_a_mask_that_may_be_of_two_images_is_of_none(tmp_path):
    fill(tmp_path, ("images/a/0.png", "masks/0.png"), ("images/b/0.png",))
    found = list_folder(tmp_path).masks
    assert (dict(found.owners), found.orphans) == ({}, (tmp_path / "masks/0.png",))


def test_masks_of_several_structures_go_to_the_longest_name_that_theirs_begins_with(tmp_path):
    expected = {
        f"images/{name}.png": [f"masks/{name}_{structure}.png" for structure in ("left_lung", "lesion")]
        for name in ("p1_1", "p1_1_b", "p1_11", "p2-1")
    }
    fill(tmp_path, *((name, *masks) for name, masks in expected.items()))
    assert owners(load(tmp_path), tmp_path) == {name: sorted(masks) for name, masks in expected.items()}


def test_masks_that_find_no_image_are_counted_where_no_image_has_one(tmp_path):
    fill(tmp_path, ("images/a1.png",), ("images/a2.png", "masks/x7.png", "masks/x8.png"))
    with pytest.raises(UserError, match=r"no image has a mask; Masks without their image: 2, first: x7.png; expected"):
        ask(Segmentation(), Data(), load(tmp_path))
