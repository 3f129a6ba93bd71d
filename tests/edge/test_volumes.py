"""`kmedtl-edge predict` of volumes: labels on the file's own voxels, and errors in a line."""

import json
from dataclasses import replace

import nibabel as nib
import numpy as np
import pytest

from kmedtl.edge import model_info
from kmedtl.edge.cli import main
from kmedtl.edge.tasks.mask_decoder import plain
from kmedtl.images.dicom_seg import source_image
from kmedtl.images.masks import read_mask
from kmedtl.images.read_volume import read_mask_volume, read_volume
from tests.edge.conftest import INFO
from tests.images.volume_files import enhanced, nifti_bytes, nifti_image, save, save_all, save_bytes, series

AFFINE = np.array([[0, -0.9, 0, 12], [0.8, 0, 0, -7], [0, 0, 2.5, 3], [0, 0, 0, 1]])  # rows and columns change places


@pytest.fixture
def volume(tmp_path):
    """A bright box in the dark; (columns, rows, slices) of the file."""
    values = np.full((20, 24, 6), 100, np.int16)
    values[5:15, 6:18, 2:5] = 900
    values[0, 0, 0] = 0
    return save_bytes(nifti_bytes(nifti_image(values, AFFINE)), tmp_path / "in" / "v.nii.gz")


@pytest.fixture
def volume_model(mask_model, tmp_path):
    """Of `bright` voxels, as slices of volumes."""
    path = tmp_path / "volumes.tflite"
    path.write_bytes(mask_model.read_bytes())
    model_info.attach(replace(INFO, decoder=plain(("bright",), 2.0, "stretch", "mm", volumes=True)), path)
    return path


def answers(capsys, *arguments):
    code = main(["predict", *map(str, arguments), "--format", "jsonl"])
    captured = capsys.readouterr()
    return code, [json.loads(line) for line in captured.out.splitlines()], captured.err


def test_labels_are_written_on_the_files_own_voxels(volume_model, volume, tmp_path, capsys):
    code, (found,), _ = answers(capsys, volume_model, volume.parent, "--masks", tmp_path / "masks")
    assert code == 0
    (path,) = found["masks"]
    assert path.endswith("0001_v.nii.gz")
    written, image = nib.load(path), nib.load(volume)
    assert written.shape == image.shape
    assert (written.affine == image.affine).all()
    expected = np.asarray(image.dataobj) > 500
    labels = np.asarray(written.dataobj)
    assert (labels == expected).mean() > 0.98
    assert found["structures"]["bright"]["voxels"] == labels.sum()
    assert found["structures"]["bright"]["ml"] == pytest.approx(labels.sum() * 0.9 * 0.8 * 2.5 / 1000)
    assert read_mask_volume(path, read_volume(volume)).sum() == labels.sum()


def test_volumes_and_images_are_not_taken_for_each_other(volume_model, mask_model, volume, tmp_path, capsys):
    from PIL import Image

    Image.fromarray(np.zeros((9, 9), np.uint8)).save(tmp_path / "a.png")
    (tmp_path / "broken.nii.gz").write_bytes(volume.read_bytes()[:-30])
    cases = (
        (mask_model, volume, "a volume, and the model answers images"),
        (volume_model, tmp_path / "a.png", "an image, and the model answers volumes"),
        (volume_model, tmp_path / "broken.nii.gz", "a damaged NIfTI file"),
    )
    for model, path, message in cases:
        code, (found,), _ = answers(capsys, model, path)
        assert code == 2
        assert message in found["error"]


@pytest.mark.parametrize("stored", ["files", "one enhanced file"])
def test_labels_of_a_series_are_a_segmentation_that_refers_to_its_slices(stored, volume_model, tmp_path, capsys):
    pydicom = pytest.importorskip("pydicom")
    pytest.importorskip("highdicom")
    order = (2, 0, 3, 4, 7, 5, 6, 1)
    folder = tmp_path / "in"
    save_all([series()[number] for number in order], folder) if stored == "files" else save(
        enhanced(order), folder / "a.dcm"
    )
    wanted = ["--masks", tmp_path / "masks", "--dicom-seg", tmp_path / "segs"]
    code, (found,), said = answers(capsys, volume_model, folder, *wanted)
    assert code == 0, said
    labels = read_mask_volume(found["masks"][0], read_volume(folder))
    made = pydicom.dcmread(found["dicom_seg"])
    assert made.NumberOfFrames == labels.any(axis=(1, 2)).sum() > 0
    assert [segment.SegmentLabel for segment in made.SegmentSequence] == ["bright"]
    marked = np.zeros_like(labels)
    for place, image in sources(pydicom, folder, stored):
        marked[place] = read_mask(found["dicom_seg"], {"bright": 1}, image=image).marked["bright"]
    assert np.array_equal(marked, labels)
    assert len({one.tobytes() for one in labels}) > 2  # so that slices that changed places would be seen


def sources(pydicom, folder, stored):
    """Return which slice, from the feet up, each image of a segmentation is."""
    if stored == "files":
        files = [(float(pydicom.dcmread(file).ImagePositionPatient[2]), file) for file in folder.iterdir()]
        return [(place, source_image(str(file), None)) for place, (_, file) in enumerate(sorted(files))]
    (file,) = folder.iterdir()
    groups = pydicom.dcmread(file).PerFrameFunctionalGroupsSequence
    heights = [float(group.PlanePositionSequence[0].ImagePositionPatient[2]) for group in groups]
    return [(place, source_image(str(file), int(frame))) for place, frame in enumerate(np.argsort(heights))]
