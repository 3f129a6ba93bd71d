"""DICOM series as volumes: which files are one, in which order, what is left out or refused."""

from dataclasses import replace

import numpy as np
import pydicom
import pytest

from kmedtl.data import sources, store
from kmedtl.data.manifest import write
from kmedtl.data.mask_store import prepare_masks
from kmedtl.errors import UserError
from kmedtl.images.read_image import from_array
from kmedtl.images.read_volume import read_volume
from kmedtl.images.volume_window import PercentileWindow, levels
from kmedtl.recipe import Data
from tests.data.sources.test_volumes import save_volume
from tests.images.test_dicom_seg import write_seg
from tests.images.test_odd_volumes import changed, placed, tilted
from tests.images.volume_files import SECRETS, SHAPE, save, save_all, series, stored_values, uid

DATA = Data(size=32, channels=1)


def archive(root, people=4):
    """Folders called after people, two series in each without order or suffix, and a scout."""
    for number in range(people):
        folder = root / ("sick", "well")[number % 2] / f"DOE^JANE{number}"
        for which in range(2):
            tags = {"SeriesInstanceUID": uid(2, 10 * number + which), "PatientID": f"MRN-{number}"}
            values = stored_values() + 7 * number + which
            slices = series(values=values, **tags)
            for place, data in enumerate(slices):
                data.SOPInstanceUID = uid(1, 1000 * number + 100 * which + place)
            save_all(slices, folder, [f"IM{which}{hash((number, place)) % 10**6:06}" for place in range(SHAPE[0])])
        scout = {"SeriesInstanceUID": uid(2, 10 * number + 9), "ImageType": ["ORIGINAL", "PRIMARY", "LOCALIZER"]}
        save(series(PatientID=f"MRN-{number}", **scout)[0], folder / "scout")
    return root


@pytest.fixture(scope="module")
def tree(tmp_path_factory):
    return archive(tmp_path_factory.mktemp("archive"))


def listed(root, labels="needed", **settings):
    return sources.load(replace(DATA, source=str(root), **settings), 7, labels)


def test_a_tree_of_series_becomes_slices_of_volumes(tree):
    found = listed(tree)
    assert found.classes == ("sick", "well")
    assert found.table["volume"].nunique() == 8
    assert found.table.groupby("patient")["volume"].nunique().tolist() == [2] * 4
    for _, part in found.table.groupby("volume"):
        assert part["frame"].tolist() == [str(index) for index in range(SHAPE[0])]
        assert part["position"].to_numpy() == pytest.approx(2.5 * np.arange(SHAPE[0]))
        assert part["label"].nunique() == 1
    told = "\n".join(found.notes)
    assert "DICOM files read as volumes, by their series: 64, of 8 series. If each is an image by itself" in told
    assert "Series of localizers, left out: 4." in told


def test_nothing_of_a_person_is_told_and_the_manifest_is_a_source(tree, tmp_path):
    found = listed(tree)
    table = found.table.drop(columns="patient")  # hidden after the split
    assert not [secret for secret in SECRETS if secret in table.to_csv()]
    write(found, tmp_path / "table.csv")
    again = listed(tmp_path / "table.csv")
    columns = ["id", "path", "volume", "frame", "label"]
    assert again.table[columns].equals(found.table[columns])
    kept = listed(tree, keep_ids=True).table["volume"].unique()
    assert set(kept) == {f"{('sick', 'well')[n % 2]}/DOE^JANE{n}:{which}" for n in range(4) for which in (1, 2)}


def test_the_store_holds_the_slices_in_the_order_of_their_places(tree):
    table = listed(tree).table
    one = table[table["volume"] == table["volume"].iloc[0]]
    found = store.prepare(one, DATA.reading)
    images = np.stack(list(found.images().as_numpy_iterator()))
    shown = levels(read_volume(one["path"].iloc[0]), PercentileWindow())
    facts = found.facts.set_index("frame")
    assert facts["sha256"].is_unique
    for index in range(SHAPE[0]):
        image = images[facts.loc[str(index), "record"]]
        assert np.array_equal(image, from_array(shown[index], DATA.reading))


def test_files_are_images_where_that_is_said_or_not_plain(tree, tmp_path):
    assert (listed(tree, series="images").table["volume"] == "").all()
    for number, data in enumerate(series()):  # two labels in one series
        save(data, tmp_path / "ab"[number % 2] / f"{number}.dcm")
    assert (listed(tmp_path).table["volume"] == "").all()
    with pytest.raises(UserError, match=r"expected one label a DICOM series .* Received: several in p-"):
        listed(tmp_path, series="volumes")


@pytest.mark.slow
def test_segmentations_of_series_are_masks_of_volumes_and_one_of_an_image_is_not(tmp_path):
    for number in range(3):
        images = series(SeriesInstanceUID=uid(2, number), PatientID=f"MRN-{number}")
        for place, data in enumerate(images):
            data.SOPInstanceUID = uid(1, 100 * number + place)
        save_all(images, tmp_path / "all" / f"p{number}")
        frames = [(1, stored_values()[place] > 100, [uid(1, 100 * number + place)]) for place in (2, 3)]
        write_seg(tmp_path / "all" / "masks" / f"seg{number}.dcm", frames)
    found = listed(tmp_path / "all", "unasked", structures={"lesion": 1})
    assert found.table["volume"].nunique() == 3
    assert found.masks == 3
    assert (found.table.groupby("volume")["mask"].nunique() == 1).all()
    sized = found.table.assign(width=SHAPE[2], height=SHAPE[1])
    masks = prepare_masks(sized, replace(DATA, structures={"lesion": 1}))
    area = masks.facts.set_index("id")["area_lesion"].reindex(found.table["id"]).to_numpy().reshape(3, -1)
    assert (area > 0).tolist() == [[place in (2, 3) for place in range(SHAPE[0])]] * 3
    write_seg(tmp_path / "all" / "masks" / "seg0.dcm", [(1, stored_values()[2] > 100, [uid(1, 2)])])
    alone = listed(tmp_path / "all", "unasked", structures={"lesion": 1})
    assert (alone.table["volume"] == "").all()


def test_a_series_beside_nifti_or_films_is_refused(tmp_path):
    save_all(series(), tmp_path / "a")
    save_volume(tmp_path / "b" / "v.nii.gz", 1)
    (tmp_path / "t.csv").write_text("path,label\nb/v.nii.gz,x\n" + "".join(f"a/{n:03}.dcm,y\n" for n in range(8)))
    with pytest.raises(UserError, match=r"expected DICOM series alone .* Received: 1 other images"):
        listed(tmp_path / "t.csv", series="volumes")


ODD = {
    "missing slices": placed(0, 2.5, 5, 10, 12.5, 15, 17.5, 20),
    "doubled slices": placed(0, 2.5, 2.5, 5, 7.5, 10, 12.5, 15),
    "unevenly spaced slices": placed(0, 2.5, 5, 8.7, 10, 12.5, 15, 19),
    "gantry tilt": tilted,
    "mixed orientation": changed(3, ImageOrientationPatient=[0, 1, 0, 1, 0, 0]),
    "mixed pixel spacing": changed(2, PixelSpacing=[1, 1]),
    "a localizer": changed(1, ImageType=["ORIGINAL", "PRIMARY", "LOCALIZER"]),
    "4-D": placed(0, 0, 2.5, 2.5, 5, 5, 7.5, 7.5),
    "damaged slices": None,
}


def test_what_is_wrong_with_a_series_of_a_tree_is_named(tmp_path):
    for number, make in enumerate(ODD.values()):
        folder = (make or changed(InstanceNumber=1))(tmp_path / f"DOE^{number}")
        for place, path in enumerate(sorted(folder.iterdir())):
            data = pydicom.dcmread(path)
            data.SeriesInstanceUID, data.SOPInstanceUID = uid(2, number), uid(1, 100 * number + place)
            save(data, path)
        if make is None:
            path.write_bytes(path.read_bytes()[:140])
    table = listed(tmp_path, "unasked", series="volumes", keep_ids=True).table
    errors = store.prepare(table, DATA.reading).facts.set_index("id")["error"]
    told = {f"DOE^{number}": name for number, name in enumerate(ODD)}
    for volume, name in told.items():
        (reason,) = errors[errors.index.str.startswith(volume)]
        assert name in reason, volume
        assert not [secret for secret in SECRETS if secret in reason]
