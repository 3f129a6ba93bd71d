"""DICOM Segmentations as masks: which segments mark which structure, on which image, and what is refused."""

from dataclasses import replace

import numpy as np
import pandas as pd
import pydicom
import pytest
from pydicom.dataset import Dataset, FileDataset, FileMetaDataset
from pydicom.pixels.utils import pack_bits
from pydicom.uid import ExplicitVRLittleEndian, RLELossless

from kmedtl.data import sources
from kmedtl.data.manifest import ORPHANS
from kmedtl.data.mask_store import prepare_masks
from kmedtl.data.sources.masks import find_masks
from kmedtl.errors import UserError
from kmedtl.images.decode_masks import MaskedImage, decode
from kmedtl.images.dicom_seg import SEGMENTATION, is_segmentation, source_image
from kmedtl.images.marks import FOREGROUND, SourceImage
from kmedtl.images.masks import read_mask
from kmedtl.images.pixels import UnreadableImageError
from kmedtl.images.reading import Reading
from kmedtl.recipe import Data
from tests.data.sources.test_dicom_tree import uid, write_dicom

WIDTH, HEIGHT = 17, 13  # 221 pixels: frames do not begin at whole bytes
FIRST, SECOND = np.zeros((2, HEIGHT, WIDTH), bool)
FIRST[2:9, 3:12] = True
SECOND[6:12, 10:16] = True
BOTH = FIRST | SECOND
ONE, TWO = uid(1, 0), uid(1, 1)


def write_seg(path, frames, labels=("Lesion", "Left lung"), listed=(), shared=False, **tags):
    """Write a Segmentation; `frames` are (number of the segment, bool or uint8 (H, W), UIDs or (UID, frame) marked)."""
    meta = FileMetaDataset()
    meta.MediaStorageSOPClassUID, meta.MediaStorageSOPInstanceUID = SEGMENTATION, uid(9, 1)
    meta.TransferSyntaxUID = ExplicitVRLittleEndian
    data = FileDataset(str(path), {}, file_meta=meta, preamble=b"\0" * 128)
    data.SOPClassUID, data.SOPInstanceUID, data.Modality = SEGMENTATION, uid(9, 1), "SEG"
    data.PatientName, data.PatientID = "DOE^JANE", "MRN-1"
    pixels = np.stack([plane for _, plane, _ in frames])
    data.Rows, data.Columns = pixels.shape[1:]
    data.SamplesPerPixel, data.PhotometricInterpretation, data.PixelRepresentation = 1, "MONOCHROME2", 0
    is_binary = pixels.dtype == bool
    data.SegmentationType = "BINARY" if is_binary else "FRACTIONAL"
    data.BitsAllocated = data.BitsStored = 1 if is_binary else 8
    data.HighBit, data.NumberOfFrames = data.BitsAllocated - 1, len(frames)
    if not is_binary:
        data.MaximumFractionalValue = 200
    data.SegmentSequence = [_item(SegmentNumber=number, SegmentLabel=label) for number, label in enumerate(labels, 1)]
    data.ReferencedSeriesSequence = [
        _item(ReferencedInstanceSequence=[_item(ReferencedSOPInstanceUID=one) for one in listed])
    ]
    groups = [_groups(number, marked) for number, _, marked in frames]
    data.SharedFunctionalGroupsSequence = groups[:1] if shared else [Dataset()]
    data.PerFrameFunctionalGroupsSequence = [Dataset()] * len(frames) if shared else groups
    data.PixelData = pack_bits(pixels.astype(np.uint8)) if is_binary else pixels.tobytes() + b"\0" * (pixels.size % 2)
    for name, value in tags.items():
        setattr(data, name, value)
    path.parent.mkdir(parents=True, exist_ok=True)
    data.save_as(path, enforce_file_format=True)
    return path


def _groups(number, marked):
    images = [one if isinstance(one, tuple) else (one, None) for one in marked]
    sources = [_item(ReferencedSOPInstanceUID=name, ReferencedFrameNumber=frame) for name, frame in images]
    groups = _item(SegmentIdentificationSequence=[_item(ReferencedSegmentNumber=number)])
    if sources:
        groups.DerivationImageSequence = [_item(SourceImageSequence=sources)]
    return groups


def _item(**tags):
    item = Dataset()
    for name, value in tags.items():
        if value is not None:
            setattr(item, name, value)
    return item


PLAIN = [(1, FIRST, ()), (2, SECOND, ())]


@pytest.mark.parametrize(
    ("structures", "expected"),
    [
        ({"lesion": 1, "lung": 2}, {"lesion": FIRST, "lung": SECOND}),
        ({"lung": 2, "lesion": 1}, {"lung": SECOND, "lesion": FIRST}),
        (FOREGROUND, {"foreground": BOTH}),
        ({"all": "*_seg*", "lesion": "other*"}, {"all": BOTH}),
        ({"lesion": "lesion", "lung": "*LUNG*"}, {"lesion": FIRST, "lung": SECOND}),
        ({"lesion": "lesion", "second": 2}, {"lesion": FIRST, "second": SECOND}),
        ({"a": 1, "b": 2, "c": 7, "d": "#ff0000"}, {"a": FIRST, "b": SECOND, "c": 0 * FIRST, "d": 0 * FIRST}),
    ],
)
def test_segments_are_told_by_number_name_of_the_file_or_label(tmp_path, structures, expected):
    file = read_mask(write_seg(tmp_path / "a_seg.dcm", PLAIN), structures)
    assert list(file.marked) == list(expected)
    for name, mask in expected.items():
        assert np.array_equal(file.marked[name], mask), name
    assert (file.width, file.height, file.values, file.unnamed) == (WIDTH, HEIGHT, ("1", "2"), ())


def test_a_segment_that_no_structure_is_named_for_is_told(tmp_path):
    file = read_mask(write_seg(tmp_path / "a.dcm", PLAIN), {"lesion": 1})
    assert file.unnamed == ("2",)


def test_frames_of_one_segment_are_united_and_may_share_what_they_say(tmp_path):
    path = write_seg(tmp_path / "a", [(1, FIRST, ()), (1, SECOND, ())], ("Lesion",), shared=True)
    assert np.array_equal(read_mask(path, {"lesion": 1}).marked["lesion"], BOTH)


@pytest.mark.parametrize("compressed", [False, True])
def test_a_fractional_pixel_belongs_from_half_of_the_maximum_on(tmp_path, compressed):
    values = np.zeros((HEIGHT, WIDTH), np.uint8)
    values[0, :4] = 1, 99, 100, 200
    path = write_seg(tmp_path / "a.dcm", [(1, values, ())], ("Lesion",))
    if compressed:
        data = pydicom.dcmread(path)
        data.compress(RLELossless)
        data.save_as(path)
    assert np.argwhere(read_mask(path, {"lesion": 1}).marked["lesion"]).tolist() == [[0, 2], [0, 3]]


def test_of_a_series_only_frames_of_the_image_count(tmp_path):
    frames = [(1, FIRST, [ONE]), (2, SECOND, [ONE]), (1, SECOND, [TWO])]
    path = write_seg(tmp_path / "a.dcm", frames, listed=(ONE, TWO, uid(1, 2)))
    structures = {"lesion": 1, "lung": 2}
    found = [read_mask(path, structures, image=SourceImage(one)).marked for one in (ONE, TWO, uid(1, 2))]
    assert [[int(mask.sum()) for mask in marked.values()] for marked in found] == [
        [FIRST.sum(), SECOND.sum()],
        [SECOND.sum(), 0],
        [0, 0],  # an image of the series on which nothing is marked
    ]
    for image, reason in ((SourceImage(uid(1, 3)), "of other images"), (SourceImage(), "of several images")):
        with pytest.raises(UnreadableImageError, match=reason):
            read_mask(path, structures, image=image)


def test_of_a_multi_frame_image_only_marks_of_its_frame_count(tmp_path):
    image = tmp_path / "image.dcm"
    write_dicom(image, 0, frames=5)
    path = write_seg(tmp_path / "a.dcm", [(1, FIRST, [(ONE, 3)]), (1, SECOND, [(ONE, 1)])], ("Lesion",))
    assert source_image(str(image), None) == SourceImage(ONE, 3)
    for frame, expected in ((None, FIRST), (2, FIRST), (0, SECOND), (4, 0 * FIRST)):
        marked = read_mask(path, {"lesion": 1}, image=source_image(str(image), frame)).marked
        assert np.array_equal(marked["lesion"], expected), frame


def test_a_segmentation_of_one_image_is_for_a_file_of_another_format_too(tmp_path):
    path = write_seg(tmp_path / "a.dcm", [(1, FIRST, [ONE])], listed=(ONE,))
    assert np.array_equal(read_mask(path, {"lesion": 1}).marked["lesion"], FIRST)
    with pytest.raises(UnreadableImageError, match="of other images"):
        read_mask(path, {"lesion": 1}, image=SourceImage(TWO))


@pytest.mark.parametrize(
    ("tags", "reason"),
    [
        ({"SOPClassUID": "1.2.840.10008.5.1.4.1.1.2"}, "no Segmentation"),
        ({"SegmentationType": "LABELMAP"}, "neither BINARY nor FRACTIONAL"),
        ({"Rows": 60_000, "Columns": 60_000}, "more than the limit"),
        ({"NumberOfFrames": 300}, "cut short"),
        ({"PerFrameFunctionalGroupsSequence": []}, "of each frame"),
        ({"PerFrameFunctionalGroupsSequence": [Dataset()] * 2}, "which segment"),
        ({"SegmentSequence": [Dataset()]}, "damaged"),
        ({"PixelData": b""}, "no pixels"),
    ],
)
def test_what_is_no_mask_is_refused_and_nobody_is_named(tmp_path, tags, reason):
    path = write_seg(tmp_path / "a.dcm", PLAIN, **tags)
    with pytest.raises(UnreadableImageError, match=reason) as caught:
        read_mask(path, {"lesion": 1})
    assert "DOE" not in str(caught.value)


def test_a_damaged_file_is_a_reason_and_no_crash(tmp_path):
    whole = write_seg(tmp_path / "a.dcm", PLAIN).read_bytes()
    random = np.random.default_rng(0)
    for _ in range(60):
        broken = bytearray(whole)
        for place in random.integers(132, len(whole), 12):
            broken[place] = random.integers(256)
        path = tmp_path / "broken.dcm"
        path.write_bytes(broken[: random.integers(200, len(whole))])
        decode(MaskedImage(str(path), (str(path),)), {"lesion": 1}, Reading(16, 1), "refuse")


@pytest.fixture
def archive(tmp_path):
    """Six images of 40 × 40 with a Segmentation beside each, called after it."""
    mask = np.zeros((40, 40), bool)
    mask[4:20, 6:30] = True
    for number in range(6):
        folder = tmp_path / "films" / "ab"[number % 2]
        write_dicom(folder / f"f{number}.dcm", number)
        write_seg(folder / f"f{number}_seg.dcm", [(1, mask, [uid(1, number)])], ("Lesion",))
    return tmp_path / "films"


def test_segmentations_are_found_by_their_names_and_trained_on(archive):
    data = Data(str(archive), size=40, channels=1, structures={"lesion": "lesion"})
    found = sources.load(data, seed=0)
    assert len(found.table) == found.masks == 6
    assert found.table["mask"].str.count("/dicom/p-").eq(1).all()  # a link that tells nothing of the file
    masks = prepare_masks(found.table.assign(width=40, height=40), data)
    assert masks.facts["area_lesion"].tolist() == [16 * 24] * 6
    assert masks.planes[:, 4:20, 6:30].all()
    assert masks.planes.sum() == 6 * 16 * 24


@pytest.mark.slow
def test_segmentations_whose_names_tell_nothing_are_of_the_images_that_they_refer_to(archive):
    for number, path in enumerate(sorted(archive.rglob("*_seg.dcm"))):
        (archive / "segmentations").mkdir(exist_ok=True)
        path.rename(archive / "segmentations" / f"{uid(8, 100 - number)}.dcm")
    whole, nothing = np.ones((40, 40), bool), [uid(7, 1)]
    write_seg(archive / "segmentations" / "all.dcm", [(1, whole, [uid(1, 4)])], ("Rest",), [uid(1, 4), uid(1, 5)])
    write_seg(archive / "segmentations" / "strange.dcm", [(1, whole, nothing)], ("Rest",))
    data = Data(str(archive), size=40, channels=1, structures={"lesion": "lesion", "rest": "rest"})
    found = sources.load(data, seed=0)
    assert any(note.startswith(f"{ORPHANS}: 1, first: ") for note in found.notes)
    masks = prepare_masks(found.table.assign(width=40, height=40), data).facts
    assert masks["area_lesion"].tolist() == [16 * 24] * 6
    assert sorted(masks["area_rest"]) == [0] * 5 + [1600]
    assert sorted(masks["files"]) == [1] * 4 + [2] * 2


@pytest.mark.slow
def test_a_segmentation_that_names_a_series_alone_is_of_its_only_image(tmp_path):
    mask = np.ones((40, 40), bool)
    for number in range(4):
        write_dicom(tmp_path / "images" / f"f{number}.dcm", number, SeriesInstanceUID=uid(3, min(number, 2)))
    for number in range(3):
        path = write_seg(tmp_path / "masks" / f"{uid(8, number)}.dcm", [(1, mask, ())], ("Lesion",))
        data = pydicom.dcmread(path)
        data.ReferencedSeriesSequence[0].SeriesInstanceUID = uid(3, number)
        data.save_as(path)
    found = find_masks(sorted(tmp_path.rglob("*.dcm")), tmp_path)
    assert {mask.name: [one.name for one in images] for mask, images in found.owners.items()} == {
        f"{uid(8, number)}.dcm": [f"f{number}.dcm"] for number in range(2)
    }
    assert [mask.name for mask in found.orphans] == [f"{uid(8, 2)}.dcm"]  # of two images, and nothing says of which


def test_folders_of_segmentations_and_paths_in_tables_are_found(archive, tmp_path):
    target = archive.parent / "set"
    for path in sorted(archive.rglob("*.dcm")):
        folder = "masks" if path.stem.endswith("_seg") else "images"
        (target / path.parent.name / folder).mkdir(parents=True, exist_ok=True)
        path.rename(target / path.parent.name / folder / path.name.replace("_seg", ""))
    assert sources.load(Data(str(target)), seed=0).masks == 6
    images = sorted(target.rglob("images/*"))
    table = pd.DataFrame({"path": images, "mask": [str(one).replace("/images/", "/masks/") for one in images]})
    table.assign(label=["a", "b"] * 3).to_csv(tmp_path / "set.csv", index=False)
    assert (sources.load(Data(str(tmp_path / "set.csv")), seed=0).table["mask"] != "").all()


@pytest.mark.slow
def test_what_does_not_fit_is_refused_as_of_any_mask(archive):
    data = Data(str(archive), size=40, channels=1, structures={"lesion": 1})
    table = sources.load(data, seed=0).table.assign(width=40, height=40)
    with pytest.raises(UserError, match=r"its mask has 40 × 40 pixels, the image 41 × 40"):
        prepare_masks(table.assign(width=41), data)
    with pytest.raises(UserError, match=r"data.structures.other: 2 is in no mask, of 6 images; values found: 1"):
        prepare_masks(table, replace(data, structures={"lesion": 1, "other": 2}))
    with pytest.raises(UserError, match=r"holds 1, for which no structure is named.*data.structures.NAME=1'"):
        prepare_masks(table, replace(data, structures={"lung": "*lung*"}))
    swapped = table.assign(mask=table["mask"].to_numpy()[::-1])
    with pytest.raises(UserError, match=r"its mask cannot be read \(p-\w+.dcm: a DICOM Segmentation of other images"):
        prepare_masks(swapped, data)


def test_an_image_is_no_segmentation(archive):
    assert [is_segmentation(str(path)) for path in sorted(archive.rglob("f0*"))] == [False, True]
