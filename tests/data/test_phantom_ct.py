"""The synthetic CT: what a scan holds, and its source of slices."""

import numpy as np
import pytest

from kmedtl.data import sources
from kmedtl.data.phantom.ct import LABELS, SCANNERS, scan_of
from kmedtl.errors import UserError
from kmedtl.images.read_volume import read_mask_volume, read_volume
from kmedtl.recipe import Data


@pytest.fixture(scope="module")
def scans():
    return [scan_of(number, 7, size=48) for number in range(8)]


def test_a_scan_is_a_function_of_its_number_and_seed(scans):
    again, other = scan_of(2, 7, size=48), scan_of(2, 8, size=48)
    assert np.array_equal(scans[2].values, again.values)
    assert scans[2].values.shape != other.values.shape or not np.array_equal(scans[2].values, other.values)


def test_scans_hold_air_lung_and_bone_in_hounsfield_units(scans):
    assert {scan.label for scan in scans} == set(LABELS)
    assert {scan.scanner for scan in scans} == set(SCANNERS)
    for scan in scans:
        assert scan.spacing[0] == SCANNERS[scan.scanner].spacing
        middle = scan.values[len(scan.values) // 2]
        assert middle[:3, :3].mean() == pytest.approx(-1000, abs=20)
        lung = (scan.values > -950) & (scan.values < -600)
        assert 0.03 < lung.mean() < 0.3
        assert (scan.values > 250).any()


def test_a_nodule_is_soft_tissue_in_a_lung_and_as_large_as_is_said(scans):
    for scan in scans:
        inside = scan.mask == 1
        assert inside.any() == (scan.label == "NODULE") == (scan.diameter > 0)
        if inside.any():
            volume = inside.sum() * np.prod(scan.spacing)
            ball = np.pi / 6 * scan.diameter**3
            assert 0.3 * ball < volume < 1.6 * ball
            assert scan.values[inside].mean() > -300


def test_the_source_is_slices_of_nifti_files_with_masks():
    found = sources.load(Data("phantom_ct:6"), 3)
    assert found.synthetic
    assert found.classes == LABELS
    assert found.table["patient"].nunique() == found.table["volume"].nunique() == 6
    row = found.table.iloc[0]
    volume, scan = read_volume(row["path"]), scan_of(0, 3)
    assert (volume.orientation, volume.spacing) == ("SPL", pytest.approx(scan.spacing))
    assert np.array_equal(volume.values, scan.values)
    assert np.array_equal(read_mask_volume(row["mask"], volume), scan.mask)
    assert (row["site"], row["age"], row["sex"]) == (scan.scanner, scan.age, scan.sex)


@pytest.mark.parametrize("source", ["phantom_ct:5", "phantom_ct:many"])
def test_a_number_of_patients_that_is_none_is_refused(source):
    with pytest.raises(UserError, match="expected phantom_ct:PATIENTS with 6 to 10000 patients"):
        sources.load(Data(source), 3)
