"""Synthetic volumes: what a scan holds, and their sources of slices."""

import numpy as np
import pandas as pd
import pytest

from kmedtl.data import sources
from kmedtl.data.phantom import brain, liver
from kmedtl.data.phantom.ct import LABELS, SCANNERS, scan_of
from kmedtl.data.phantom.volumes import PHANTOMS
from kmedtl.errors import UserError
from kmedtl.images.read_volume import read_mask_volume, read_volume
from kmedtl.recipe import Data


@pytest.fixture(scope="module")
def scans():
    return [scan_of(number, 7, size=48) for number in range(8)]


@pytest.mark.parametrize("phantom", PHANTOMS.values(), ids=PHANTOMS)
def test_a_scan_is_a_function_of_its_number_and_seed(phantom):
    first, again, other = (phantom.scan_of(2, seed) for seed in (7, 7, 8))
    assert np.array_equal(first.values, again.values)
    assert first.known == again.known
    assert first.values.shape != other.values.shape or not np.array_equal(first.values, other.values)


def test_scans_hold_air_lung_and_bone_in_hounsfield_units(scans):
    assert {scan.label for scan in scans} == set(LABELS)
    assert {scan.known["site"] for scan in scans} == set(SCANNERS)
    for scan in scans:
        assert scan.spacing[0] == SCANNERS[scan.known["site"]].spacing
        middle = scan.values[len(scan.values) // 2]
        assert middle[:3, :3].mean() == pytest.approx(-1000, abs=20)
        lung = (scan.values > -950) & (scan.values < -600)
        assert 0.03 < lung.mean() < 0.3
        assert (scan.values > 250).any()


def test_a_nodule_is_soft_tissue_in_a_lung_and_as_large_as_is_said(scans):
    for scan in scans:
        inside = scan.mask == 1
        assert inside.any() == (scan.label == "NODULE") == (scan.known["diameter"] > 0)
        if inside.any():
            volume = inside.sum() * np.prod(scan.spacing)
            ball = np.pi / 6 * scan.known["diameter"] ** 3
            assert 0.3 * ball < volume < 1.6 * ball
            assert scan.values[inside].mean() > -300


def test_tumors_are_darker_than_the_liver_around_them():
    scans = [liver.scan_of(number, 7, size=64) for number in range(8)]
    assert {scan.label for scan in scans} == set(liver.LABELS)
    for scan in scans:
        inside, tumor = scan.mask == liver.LIVER, scan.mask == liver.TUMOR
        litres = inside.sum() * np.prod(scan.spacing) / 1e6
        assert 0.5 < litres < 2.5
        assert 80 < scan.values[inside].mean() < 140
        assert tumor.any() == (scan.label == "TUMOR") == (scan.known["tumor_ml"] > 0)
        if tumor.any():
            assert scan.values[tumor].mean() < scan.values[inside].mean() - 15
            assert scan.known["tumor_ml"] == pytest.approx(tumor.sum() * np.prod(scan.spacing) / 1000, abs=0.01)


@pytest.mark.slow
def test_a_hippocampus_shrinks_with_age_and_more_with_the_disease():
    scans = [brain.scan_of(number, 7, size=64) for number in range(40)]
    known = pd.DataFrame([dict(scan.known) | {"ill": scan.label == "ALZHEIMER"} for scan in scans])
    assert known["hippocampus_ml"].between(3, 16).all()
    slopes = np.linalg.lstsq(np.c_[np.ones(40), known["ill"], known["age"]].astype(float), known["hippocampus_ml"])[0]
    assert slopes[1] < -1  # ml
    assert slopes[2] < 0
    assert known.groupby("ill")["age"].mean().diff().abs().iloc[-1] < 8
    for scan in scans[:4]:
        inside = scan.mask == brain.HIPPOCAMPUS
        assert np.ptp(scan.values[inside].astype(float)) < scan.values.max()
        left, right = inside[..., :32].sum(), inside[..., 32:].sum()
        assert 0.7 < left / right < 1.4


@pytest.mark.parametrize("name", PHANTOMS)
def test_a_source_is_slices_of_nifti_files_with_masks(name):
    phantom = PHANTOMS[name]
    found = sources.load(Data(f"{name}:6"), 3)
    assert found.synthetic
    assert found.classes == phantom.labels
    assert found.table["patient"].nunique() == found.table["volume"].nunique() == 6
    row = found.table.iloc[0]
    volume, scan = read_volume(row["path"]), phantom.scan_of(0, 3)
    assert (volume.orientation, volume.spacing) == ("SPL", pytest.approx(scan.spacing))
    assert np.array_equal(volume.values, scan.values)
    assert np.array_equal(read_mask_volume(row["mask"], volume), scan.mask)
    assert {column: row[column] for column in scan.known} == scan.known


@pytest.mark.parametrize("source", ["phantom_ct:5", "phantom_brain:many"])
def test_a_number_of_patients_that_is_none_is_refused(source):
    with pytest.raises(UserError, match=r"expected phantom_(ct|brain):PATIENTS with 6 to 10000 patients"):
        sources.load(Data(source), 3)
