"""Two views of the synthetic thorax: what each shows, and what is missing."""

import numpy as np
import pytest
from PIL import Image

from kmedtl.data import sources
from kmedtl.data.phantom.ct import scan_of
from kmedtl.data.phantom.views import MISSING, VIEWS, projected, views_of
from kmedtl.errors import UserError
from kmedtl.recipe import Data


@pytest.fixture(scope="module")
def scan():
    return next(scan for number in range(9) if (scan := scan_of(number, 7, size=48)).known["diameter"])


@pytest.mark.parametrize("view", VIEWS)
def test_a_view_has_square_pixels_and_the_head_at_the_top(view, scan):
    picture = projected(scan, view)
    between, pixel, _ = scan.spacing
    assert picture.shape == (round(len(scan.values) * between / pixel), 48)
    assert (picture[-4:] > 100).mean() > (picture[:4] > 100).mean()  # the belly is wider than the neck
    assert picture[:, 0].max() < 60  # air beside the body


def test_a_nodule_shadows_the_place_that_rays_through_it_reach(scan):
    for view, axis in VIEWS.items():
        there = scan.mask.any(axis=axis)
        values = scan.values.astype(np.float32)
        without = projected(scan.__class__(**{**vars(scan), "values": np.where(scan.mask, -900, values)}), view)
        change = projected(scan, view).astype(int) - without
        size = change.shape[1], change.shape[0]
        mask = np.asarray(Image.fromarray(np.uint8(there[::-1]) * 255).resize(size, Image.Resampling.BILINEAR)) > 127
        assert change[mask].mean() > 5
        assert abs(change[~mask].mean()) < 2


def test_either_view_is_missing_at_times_and_never_both():
    drawn = [views_of(number, 7) for number in range(2000)]
    assert set(drawn) == {("frontal",), ("lateral",), ("frontal", "lateral")}
    for view in VIEWS:
        assert np.mean([view not in taken for taken in drawn]) == pytest.approx(MISSING, abs=0.03)


def test_the_source_lists_an_examination_a_patient():
    found = sources.load(Data("phantom_views:8", views=("frontal", "lateral")), 7)
    assert found.synthetic
    assert found.patients_known
    assert found.table["examination"].nunique() == 8
    assert (found.table["examination"] == found.table["patient"]).all()
    assert set(found.table["view"]) == set(VIEWS)


@pytest.mark.parametrize("source", ["phantom_views:3", "phantom_views:many"])
def test_a_number_of_patients_that_is_none_is_refused(source):
    with pytest.raises(UserError, match="phantom_views:PATIENTS with 6 to 10000"):
        sources.load(Data(source), 7)
