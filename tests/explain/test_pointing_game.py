import numpy as np
import pytest
from PIL import Image

from kmedtl.errors import UserError
from kmedtl.explain.pointing_game import judge_pointing, pointing_game, read_masks


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
    masks = read_masks([str(tmp_path / "mask.png"), ""], size=20)
    assert masks[0, :10, 10:].all()
    assert masks[0].sum() == 100
    assert not masks[1].any()
    with pytest.raises(UserError, match="mask cannot be read"):
        read_masks([str(tmp_path / "absent.png")], size=20)


def test_masks_of_something_else_are_left_out_by_their_names(tmp_path):
    for name, value in (("a_mask", 0), ("a_lung", 255)):
        Image.new("L", (20, 20), value).save(tmp_path / f"{name}.png")
    cell = f"{tmp_path}/a_mask.png|{tmp_path}/a_lung.png"
    assert read_masks([cell], 20).all()
    assert not read_masks([cell], 20, "*_mask*").any()
