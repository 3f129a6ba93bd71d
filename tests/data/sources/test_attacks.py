"""What an attacker of the data side found, one test each: wrong labels, names that leak, files that vanish."""

import os

import numpy as np
import pytest
from PIL import Image

from kmedtl.cli import main
from kmedtl.data import manifest as manifests
from kmedtl.data import sources, splits
from kmedtl.data.manifest import Manifest
from kmedtl.data.pseudonyms import hide_patients
from kmedtl.errors import UserError
from kmedtl.recipe import Data
from tests.data.sources.test_dicom_tree import SECRETS, label, uid, write_dicom, write_labels
from tests.data.sources.test_multi_label import NIH, load
from tests.data.sources.test_packed import TinyFilms, arrays, tfds
from tests.data.test_splits import table as patients_table


def pictures(folder, count=8):
    for number in range(count):
        Image.fromarray(np.random.default_rng(number).integers(0, 255, (40, 40), dtype=np.uint8)).save(
            folder / f"{number}.png"
        )


def write_table(folder, *rows):
    pictures(folder)
    path = folder / "m.csv"
    path.write_text("\n".join(rows))
    return Data(str(path))


@pytest.mark.slow
def test_a_set_that_is_prepared_anew_is_laid_out_anew(tmp_path, monkeypatch):
    for folder, brightness in (("one", 10), ("two", 20)):
        builder = TinyFilms(data_dir=tmp_path / folder, brightness=brightness)
        builder.download_and_prepare()
        monkeypatch.setattr(tfds.core.constants, "DATA_DIR", str(tmp_path / folder))
        table = sources.load(Data("tfds:tiny_films"), seed=0).table
        assert max(np.asarray(Image.open(path)).mean() for path in table["path"]) == 11 * brightness


def test_a_blank_key_labels_nothing(tmp_path):
    write_dicom(tmp_path / "set" / "0.dcm", 0, PatientID="")
    for number in range(2, 12):
        write_dicom(tmp_path / "set" / f"{number}.dcm", number)
    rows = [["", "NORMAL"], *[[f"MRN-{n}", label(2 * n)] for n in range(1, 6)]]
    with pytest.raises(UserError, match="line 2: the PatientID is empty"):
        sources.load(Data(str(tmp_path / "set"), labels=write_labels(tmp_path / "l.csv", "PatientID", rows)), seed=0)
    labels = write_labels(tmp_path / "l2.csv", "PatientID", rows[1:])
    assert sources.load(Data(str(tmp_path / "set"), labels=labels), seed=0).unlabelled == 1


def test_blanks_around_findings_do_not_count(tmp_path):
    found = load(tmp_path, NIH.assign(**{"Finding Labels": [" Effusion | Mass", *NIH["Finding Labels"][1:]]}))
    assert found.classes == ("Effusion", "Mass")
    assert list(found.targets(found.table)[0]) == [1, 1]


@pytest.mark.parametrize(
    ("rows", "words"),
    [
        (["path,label,label", "0.png,a,b", "1.png,b,a"], "the column 'label' is there twice"),
        (["path,label,frame", "0.png,a,²", "1.png,b,"], "expected a frame's number"),
        (["path,label,frame", "0.png,a,99999999999999999999", "1.png,b,"], "expected a frame's number"),
    ],
)
def test_tables_that_say_two_things_are_refused(tmp_path, rows, words):
    with pytest.raises(UserError, match=words):
        sources.load(write_table(tmp_path, *rows), seed=0)


def test_the_pattern_is_about_file_names_whatever_the_ids(tmp_path):
    data = write_table(tmp_path, "id,path,label", "row10,0.png,a", "row11,1.png,b")
    found = sources.load(Data(data.source, patient_pattern=r"(\d+)"), seed=0)
    assert list(found.table["patient"]) == ["0", "1"]


def test_columns_called_as_kmedtls_facts_harm_nothing(tmp_path):
    rows = ["path,label,patient,frames,width,bits,burned_in"]
    rows += [f"{number}.png,{'ab'[number % 2]},{number},3,wide,many,no" for number in range(8)]
    data = write_table(tmp_path, *rows)
    assert main(["audit", data.source, "--out", str(tmp_path / "audit"), "--set", "data.size=32"]) == 0
    found = sources.load(data, seed=0)
    assert list(found.table["id"]) == [f"{number}.png" for number in range(8)]
    assert set(found.table["width"]) == {"wide"}


def test_dicom_under_another_suffix_is_dicom(tmp_path):
    for number in range(12):
        write_dicom(tmp_path / "set" / label(number) / f"DOE_{number}.png", number)
    found = sources.load(Data(str(tmp_path / "set")), seed=0)
    assert found.table["patient"].nunique() == 6
    assert not any("DOE" in name for name in found.table["id"])


def test_a_question_keeps_its_sense_on_the_way_through_a_file(tmp_path):
    first = load(tmp_path, NIH, classes=("Effusion",))
    manifests.write(first, tmp_path / "again.csv")
    again = sources.load(Data(str(tmp_path / "again.csv")), seed=0)
    assert again.classes == first.classes == ("no Effusion", "Effusion")


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"train_labels": np.array([0.2, 1.9] * 6)}, "expected whole numbers"),
        ({"train_labels": np.array(["a", "b"] * 6)}, "expected whole numbers"),
        ({"train_labels": np.array([0, np.nan] * 6)}, "expected whole numbers"),
        ({"train_labels": np.array(3)}, "expected whole numbers"),
        ({f"{split}_labels": np.full((count, 2), 2) for split, count in (("train", 12), ("val", 4), ("test", 4))},
         "or 0 and 1"),
        ({"val_labels": np.zeros((0, 1), np.uint8)}, "4 val_images, but 0 val_labels"),
        ({"test_labels": None}, "no test_labels"),
    ],
)  # fmt: skip
def test_arrays_that_are_no_labels_are_refused(tmp_path, changes, words):
    np.savez(tmp_path / "set.npz", **arrays(**changes))
    with pytest.raises(UserError, match=words):
        sources.load(Data(str(tmp_path / "set.npz")), seed=0)


def test_columns_that_may_name_a_person_are_left_out_and_said_so(tmp_path, capsys):
    for number in range(12):
        write_dicom(tmp_path / "set" / f"{number}.dcm", number)
    rows = ["PatientID,label,PatientName,AccessionNumber,SeriesInstanceUID,age"]
    rows += [f"MRN-{n},{label(2 * n)},DOE^JANE,ACC-{n},{uid(3, n)},44" for n in range(6)]
    (tmp_path / "labels.csv").write_text("\n".join(rows))
    arguments = [str(tmp_path / "set"), "--labels", str(tmp_path / "labels.csv")]
    assert main(["manifest", *arguments, "-o", str(tmp_path / "m.csv")]) == 0
    assert not any(secret in (tmp_path / "m.csv").read_text() for secret in SECRETS)
    assert "44" in (tmp_path / "m.csv").read_text()
    assert main(["audit", *arguments, "--out", str(tmp_path / "audit"), "--set", "data.size=32"]) == 0
    assert "Columns left out, since they may name a person" in capsys.readouterr().out


def test_folders_called_after_patients_are_no_classes(tmp_path):
    for number in range(4):
        write_dicom(tmp_path / "set" / f"DOE_{number // 2}" / f"{number}.dcm", number)
    with pytest.raises(UserError, match="are they patients rather than classes") as error:
        sources.load(Data(str(tmp_path / "set")), seed=0)
    assert "DOE" not in str(error.value)


def test_messages_name_no_dicom_file(tmp_path):
    for number in range(12):
        write_dicom(tmp_path / "set" / label(number) / f"DOE^JANE{number}.dcm", number, PatientID="")
    with pytest.raises(UserError, match="finds no patient in the file name 'p-") as error:
        sources.load(Data(str(tmp_path / "set"), patient_pattern="nobody"), seed=0)
    assert "DOE" not in str(error.value)


def test_an_empty_salt_is_refused(monkeypatch, image_folder):
    monkeypatch.setenv("KMEDTL_SALT", "")
    with pytest.raises(UserError, match="KMEDTL_SALT: is set, but empty"):
        hide_patients(sources.load(Data(str(image_folder)), seed=0).table)


def test_nothing_in_a_folder_goes_uncounted(image_folder, tmp_path):
    (image_folder / "__MACOSX").mkdir()
    for name in ("loose.png", ".hidden.png", "NORMAL/.hidden.png", "__MACOSX/a.png", "NORMAL/notes.txt"):
        (image_folder / name).write_bytes(b"x")
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    pictures(elsewhere, 3)
    (image_folder / "NORMAL" / "linked").symlink_to(elsewhere)
    (image_folder / "NORMAL" / "loop").symlink_to(image_folder)
    found = sources.load(Data(str(image_folder)), seed=0)
    assert len(found.table) == 24 + 3
    assert found.ignored == 5


def test_frames_of_a_file_are_no_copies(tmp_path):
    from kmedtl.runs.prepare import prepare

    for number in range(12):
        write_dicom(tmp_path / "set" / label(number) / f"{number}.dcm", number, frames=3)
    found = prepare(Data(str(tmp_path / "set"), frames="all", size=40, channels=1), seed=0)
    assert found.audit.used == 36
    assert found.audit.duplicates == ()


def test_frames_in_a_manifest_need_no_ids(tmp_path):
    write_dicom(tmp_path / "a.dcm", 0, frames=3)
    write_dicom(tmp_path / "b.dcm", 2, frames=3)
    (tmp_path / "m.csv").write_text(
        "path,label,frame\n" + "\n".join(f"{n}.dcm,{n},{f}" for n in "ab" for f in range(3))
    )
    assert sources.load(Data(str(tmp_path / "m.csv")), seed=0).table["id"].nunique() == 6


def test_a_file_that_claims_too_many_frames_is_one_image(tmp_path):
    for number in range(12):
        write_dicom(tmp_path / "set" / label(number) / f"{number}.dcm", number, NumberOfFrames=300_000)
    assert len(sources.load(Data(str(tmp_path / "set"), frames="all"), seed=0).table) == 12


def test_file_names_in_latin_1_are_hidden_too(tmp_path):
    for number in range(12):
        write_dicom(tmp_path / "set" / label(number) / f"{number}.dcm", number)
    odd = tmp_path / "set" / "NORMAL" / "0.dcm"
    os.rename(odd, os.fsencode(odd.parent) + b"/M\xfcller.dcm")
    assert len(sources.load(Data(str(tmp_path / "set")), seed=0).table) == 12


def test_a_file_name_with_a_carriage_return_is_refused(image_folder):
    (image_folder / "NORMAL" / "a\rb.png").write_bytes(b"x")
    with pytest.raises(UserError, match="control characters"):
        sources.load(Data(str(image_folder)), seed=0)


def test_a_limit_keeps_a_rare_class():
    rows = patients_table(100).assign(label=0, stratum=0)
    rows.loc[rows["patient"] == "p7", ["label", "stratum"]] = 1
    for seed in range(20):
        assert set(splits.limit(rows, 20, seed)["label"]) == {0, 1}


@pytest.mark.slow
def test_rare_patients_at_many_sites_can_be_folded():
    rows = patients_table(200).assign(label=0, stratum=0)
    number = rows["patient"].str[1:].astype(int)
    rows["site"] = "s" + (number % 10).astype(str)
    rows.loc[number < 10, ["label", "stratum"]] = 1
    found = Manifest(rows, ("a", "b"), "rows")
    for seed in range(40):
        assert len(list(splits.folds(found, rows, 5, 0.2, seed))) == 5


def test_a_relative_cache_gives_paths_that_hold_elsewhere(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("KMEDTL_CACHE", "cache")
    np.savez(tmp_path / "set.npz", **arrays())
    assert all(os.path.isabs(path) for path in sources.load(Data("set.npz"), seed=0).table["path"])
