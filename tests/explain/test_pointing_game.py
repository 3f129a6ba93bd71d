import numpy as np
import pytest
from PIL import Image

from kmedtl.errors import UserError
from kmedtl.explain.pointing_game import judge_pointing, pointing_game, read_masks
from kmedtl.images.decode_masks import MaskedImage
from kmedtl.images.placement import to_square
from tests.images.test_dicom_seg import FIRST, HEIGHT, WIDTH, write_seg


def masked(*masks):
    return MaskedImage("film.png", tuple(map(str, masks)))


def pointing_at(*places):
    maps = np.zeros((len(places), 20, 20))
    for number, place in enumerate(places):
        if place:
            maps[number, *place] = 1
    return maps


@pytest.fixture
def masks():
    masks = np.zeros((4, 20, 20), bool)
    masks[:3, 5:10, 5:10] = True
    return masks


def test_a_hit_is_a_highest_place_inside_the_mask_and_an_empty_mask_does_not_count(masks):
    hits, used = pointing_game(pointing_at((7, 7), (12, 7), None, (7, 7)), masks)
    assert hits.tolist() == [True, False, False]
    assert used.tolist() == [True, True, True, False]


@pytest.mark.parametrize(("tolerance", "hit"), [(2, False), (3, True), (4, True)])
def test_a_tolerance_is_a_distance_in_pixels(masks, tolerance, hit):
    hits, _ = pointing_game(pointing_at((12, 7)), masks[:1], tolerance)
    assert hits.tolist() == [hit]


def test_a_tolerance_reaches_as_far_around_corners(masks):
    assert pointing_game(pointing_at((12, 12)), masks[:1], 4)[0].tolist() == [False]  # 4.24 pixels away
    assert pointing_game(pointing_at((12, 12)), masks[:1], 5)[0].tolist() == [True]


def test_it_is_judged_with_an_interval_beside_chance(masks):
    found = judge_pointing(pointing_at((7, 7), (7, 7), (0, 0), (0, 0)), masks, np.array(["a", "b", "c", "d"]))
    assert found.hits.value == pytest.approx(2 / 3)
    assert found.hits.low < 2 / 3 < found.hits.high
    assert found.chance == pytest.approx(25 / 400)
    assert found.images == 3


def test_without_masks_there_is_nothing_to_judge(masks):
    found = judge_pointing(pointing_at((7, 7)), masks[3:], np.array(["a"]))
    assert np.isnan(found.hits.value)
    assert found.images == 0


def test_masks_are_read_as_images_are(tmp_path):
    pixels = np.zeros((40, 80), np.uint8)
    pixels[:20, 40:] = 255
    Image.fromarray(pixels).save(tmp_path / "mask.png")
    masks = read_masks([masked(tmp_path / "mask.png"), masked()], size=20)
    assert masks[0, :10, 10:].all()
    assert masks[0].sum() == 100
    assert not masks[1].any()
    with pytest.raises(UserError, match="mask cannot be read"):
        read_masks([masked(tmp_path / "absent.png")], size=20)


def test_masks_of_something_else_are_left_out_by_their_names(tmp_path):
    for name, value in (("a_mask", 0), ("a_lung", 255)):
        Image.new("L", (20, 20), value).save(tmp_path / f"{name}.png")
    image = masked(tmp_path / "a_mask.png", tmp_path / "a_lung.png")
    assert read_masks([image], 20).all()
    assert not read_masks([image], 20, "*_mask*").any()


def test_masks_of_indices_of_16_bits_and_of_dicom_segments_are_read_as_those_of_a_segmentation(tmp_path):
    mask = np.zeros((HEIGHT, WIDTH), np.uint8)
    mask[FIRST] = 1
    indexed = Image.fromarray(mask, "P")
    indexed.putpalette([0, 0, 0, 128, 0, 0] + [0] * 762)  # dark red, as of VOC
    indexed.save(tmp_path / "indexed.png")
    Image.fromarray(mask.astype(np.uint16)).save(tmp_path / "deep.png")
    write_seg(tmp_path / "segments.dcm", [(1, FIRST, ())], ("Lesion",))
    for name in ("indexed.png", "deep.png", "segments.dcm"):
        (found,) = read_masks([masked(tmp_path / name)], 32)
        assert np.array_equal(found, to_square(FIRST, 32, "stretch")), name
