"""Folders and tables of volumes: which file is whose mask, what becomes of what cannot be read, slices as rows."""

from dataclasses import replace

import nibabel as nib
import numpy as np
import pytest

from kmedtl.data import sources, store
from kmedtl.data.manifest import write
from kmedtl.errors import UserError
from kmedtl.images.read_volume import read_volume
from kmedtl.images.volume_window import PercentileWindow, levels
from kmedtl.recipe import Data
from kmedtl.recipes.hippocampus import RECIPE
from kmedtl.runs.prepare import prepare_recipe
from tests.images.volume_files import nifti_bytes, nifti_image, save_bytes

SHAPE = (20, 24, 6)  # columns, rows, slices of the file
AFFINE = np.diag([0.8, 0.9, 2.5, 1.0])
DATA = Data(size=32, channels=3, aspect="keep", neighbours=1, structures={"front": 1, "back": 2})
LAYOUTS = {
    "folders": ("images/{}.nii.gz", "labels/{}.nii.gz"),
    "decathlon": ("imagesTr/{}.nii.gz", "labelsTr/{}.nii.gz"),
    "siblings": ("{0}/{0}.nii.gz", "{0}/{0}_seg.nii.gz"),
    "suffixes": ("{}.nii", "{}_mask.nii.gz"),
}


def save_volume(path, number, labels=False):
    random = np.random.default_rng(number)
    values = random.integers(100, 900, SHAPE).astype(np.int16)
    if labels:
        values = np.zeros(SHAPE, np.uint8)
        values[4:9, 5:15, 1:4], values[10:15, 5:15, 2:5] = 1, 2
    return save_bytes(nifti_bytes(nifti_image(values, AFFINE)), path)


def save_set(root, layout="decathlon", count=12):
    for number in range(count):
        for place, labels in zip(LAYOUTS[layout], (False, True), strict=True):
            save_volume(root / place.format(f"v{number:02}"), number, labels)
    return root


def listed(root, data=DATA):
    return sources.load(replace(data, source=str(root)), 7, "unasked")


@pytest.mark.parametrize("layout", LAYOUTS)
def test_a_folder_of_volumes_becomes_slices_with_their_masks(layout, tmp_path):
    found = listed(save_set(tmp_path, layout, count=3))
    image, mask = LAYOUTS[layout]
    assert len(found.table) == 3 * SHAPE[2]
    first = found.table.iloc[SHAPE[2] + 1]
    assert first["id"] == f"{image.format('v01')}#1"
    assert first["path"] == str(tmp_path / image.format("v01"))
    assert first["mask"] == str(tmp_path / mask.format("v01"))
    assert (first["volume"], first["frame"], first["position"]) == (image.format("v01"), "1", 2.5)
    assert found.table.groupby("volume")["patient"].nunique().tolist() == [1, 1, 1]
    assert (found.masks, found.ignored, found.patients_known) == (3, 0, False)
    unasked = sources.load(replace(DATA, source=str(tmp_path)), 7, "wanted")  # as an audit without a recipe
    assert (len(unasked.table), unasked.masks, unasked.ignored) == (len(found.table), 3, 0)


def test_the_decathlons_test_volumes_have_no_masks_and_are_left_out(tmp_path):
    save_volume(save_set(tmp_path, count=2) / "imagesTs" / "v90.nii.gz", 90)
    (tmp_path / "dataset.json").write_text("{}")
    (tmp_path / "imagesTr" / "._v00.nii.gz").write_bytes(b"left by macOS")
    found = listed(tmp_path)
    assert found.table["volume"].nunique() == 2
    assert "Volumes of imagesTs, which come without masks, left out: 1." in found.notes


def test_a_written_manifest_keeps_volumes_and_patients_together(tmp_path):
    found = listed(save_set(tmp_path / "set", count=3))
    write(found, tmp_path / "table.csv")
    again = listed(tmp_path / "table.csv")
    assert again.table[["id", "volume", "frame", "patient", "mask"]].equals(
        found.table[["id", "volume", "frame", "patient", "mask"]]
    )


def test_a_table_names_volumes_by_their_names_alone(tmp_path):
    save_set(tmp_path / "deep" / "down", "siblings", count=3)
    (tmp_path / "t.csv").write_text(
        "path,mask,patient\n" + "".join(f"v0{n}.nii.gz,v0{n}_seg.nii.gz,p{n // 2}\n" for n in range(3))
    )
    found = listed(tmp_path / "t.csv")
    assert found.table.groupby("patient").size().to_dict() == {"p0": 12, "p1": 6}
    assert found.table["path"].iloc[0] == str(tmp_path / "deep" / "down" / "v00" / "v00.nii.gz")
    assert found.table["mask"].iloc[0] == str(tmp_path / "deep" / "down" / "v00" / "v00_seg.nii.gz")


@pytest.mark.slow
def test_the_store_holds_each_slice_between_its_neighbours(tmp_path):
    table = listed(save_set(tmp_path, count=2)).table
    found = store.prepare(table, DATA.reading)
    images = np.stack(list(found.images().as_numpy_iterator()))
    facts = found.facts.set_index("id")
    shown = levels(read_volume(table["path"][0]), PercentileWindow())
    for index, near in ((0, (0, 0, 1)), (3, (2, 3, 4)), (5, (4, 5, 5))):
        one = facts.loc[f"imagesTr/v00.nii.gz#{index}"]
        square = images[one["record"]]
        means = square[:, 2:29].mean(axis=(0, 1))  # the box of 27 columns, its first and last aside
        assert means == pytest.approx(shown[list(near)].mean(axis=(1, 2)), abs=6)
        assert tuple(one[["slice_spacing", "row_spacing", "column_spacing"]]) == pytest.approx((2.5, 0.9, 0.8))
    assert facts["sha256"].is_unique


@pytest.mark.slow
def test_masks_and_audit_of_volumes_and_what_cannot_be_read(tmp_path):
    save_set(tmp_path)
    for name, content in (("v10", b"no header"), ("v11", None)):
        path = tmp_path / "imagesTr" / f"{name}.nii.gz"
        path.write_bytes(content or path.read_bytes()[:-400])
    recipe = replace(RECIPE, data=replace(DATA, source=str(tmp_path), max_unreadable=0.3))
    found = prepare_recipe(recipe)
    told = "\n".join(found.audit.warnings)
    assert "Volumes: 10, of 60 slices (6 each), spacing 2.5 × 0.9 × 0.8 mm" in told
    assert "percentiles 0.5 to 99.5" in told
    assert "Volumes that cannot be read: 2 of 12, first: imagesTr/v10.nii.gz." in told
    assert len(found.audit.unreadable) == 1 + SHAPE[2]
    assert found.audit.near_duplicates == ()
    assert not found.audit.poor
    part = found.table[found.table["volume"] == "imagesTr/v03.nii.gz"].sort_values("position")
    masks = found.targets.of(part)["mask"]
    assert masks.any(axis=(1, 2)).tolist() == [[i in (1, 2, 3), i in (2, 3, 4)] for i in range(6)]
    assert found.question.unit == "mm"
    assert found.question.volumes


@pytest.mark.slow
@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda v: v[:-1], "a mask of another size: expected the image's 6 × 24 × 20. Received: 6 × 24 × 19"),
        (lambda v: v + 0.5, "a mask's values: expected whole numbers"),
        (lambda v: v * 3, "holds 3, for which no structure is named; such masks: 4, with the values 3, 6"),
    ],
)
def test_masks_that_do_not_fit_are_refused_in_one_line(change, message, tmp_path):
    save_set(tmp_path, count=3)
    path = tmp_path / "labelsTr" / "v01.nii.gz"
    image = nib.load(path)
    changed = change(np.asarray(image.dataobj).astype(np.float32))
    save_bytes(nifti_bytes(nifti_image(changed.astype(np.float32), AFFINE)), path)
    recipe = replace(RECIPE, data=replace(DATA, source=str(tmp_path)))
    with pytest.raises(UserError, match=message):
        prepare_recipe(recipe)
