"""Tables as programs save them: every separator, encoding and header is read, or named with the way out."""

import os

import numpy as np
import pandas as pd
import pytest
from PIL import Image

from kmedtl.data import manifest as manifests
from kmedtl.data import sources
from kmedtl.errors import UserError
from kmedtl.recipe import Data

ROWS = [(f"img/p{number:02}.png", "Gesund, ü" if number % 2 else "cancer") for number in range(6)]


@pytest.fixture
def folder(tmp_path):
    for number, (name, _) in enumerate(ROWS):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        pixels = np.random.default_rng(number).integers(0, 256, (24, 24), dtype=np.uint8)
        Image.fromarray(pixels).save(tmp_path / name)
    return tmp_path


def load(path, **settings):
    return sources.load(Data(str(path), **settings), seed=0)


def write(folder, rows, header="path,label", separator=",", encoding="utf-8", end="\n", name="m.csv"):
    lines = [header.replace(",", separator)]
    lines += [separator.join(f'"{cell}"' if separator in cell else cell for cell in row) for row in rows]
    (folder / name).write_bytes("".join(line + end for line in lines).encode(encoding))
    return folder / name


def labels_of(found):
    return [found.classes[number] for number in found.table["label"]]


@pytest.mark.parametrize("separator", [",", ";", "\t"])
@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16", "utf-16-le", "utf-16-be", "cp1252"])
@pytest.mark.parametrize("end", ["\n", "\r\n"])
def test_every_separator_and_encoding_is_read(folder, separator, encoding, end):
    found = load(write(folder, ROWS, separator=separator, encoding=encoding, end=end))
    assert labels_of(found) == [label for _, label in ROWS]
    assert any("read as Windows-1252" in note for note in found.notes) == (encoding == "cp1252")


@pytest.mark.parametrize(
    "header",
    ["path,label", " path , label", "PATH,LABEL", "Path,Label", "Filename,Class", "image_id,dx", "file_name,diagnosis"],
)
def test_headers_go_by_any_usual_name(folder, header):
    found = load(write(folder, ROWS, header))
    assert labels_of(found) == [label for _, label in ROWS]
    assert any("data.columns changes this" in note for note in found.notes) == ("path" not in header.lower())


def test_columns_are_mapped_as_asked(folder):
    rows = [(name, "x", label, f"p{number // 2}") for number, (name, label) in enumerate(ROWS)]
    path = write(folder, rows, "scan,label,read out,who")
    found = load(path, columns={"path": "scan", "label": "Read out", "patient": "who"})
    assert labels_of(found) == [label for _, label in ROWS]
    assert list(found.table["patient"]) == ["p0", "p0", "p1", "p1", "p2", "p2"]
    with pytest.raises(UserError, match=r"data.columns.path: .*m.csv has no column 'scann'. Did you mean 'scan'"):
        load(path, columns={"path": "scann"})


def test_a_header_that_could_mean_two_things_is_asked_about(folder):
    rows = [(name, name, label) for name, label in ROWS]
    with pytest.raises(UserError, match=r"no column 'path'; file or image could be it. Name it: --set 'data.columns="):
        load(write(folder, rows, "image,file,label"))


@pytest.mark.parametrize(
    "rename",
    [
        lambda name: name.replace("/", "\\"),
        lambda name: name.removesuffix(".png"),
        lambda name: name.removeprefix("img/"),
        lambda name: name.removeprefix("img/").removesuffix(".png").upper(),
        lambda name: f"C:\\Users\\me\\{name}".replace("/", "\\"),
        lambda name: f"somewhere/else/{name}",
    ],
)
def test_files_are_found_by_what_tables_call_them(folder, rename):
    found = load(write(folder, [(rename(name), label) for name, label in ROWS]))
    assert [os.path.relpath(path, folder) for path in found.table["path"]] == [name for name, _ in ROWS]


@pytest.mark.parametrize("base", ["above", "here"])
def test_paths_are_relative_to_folders_above_or_where_one_stands(folder, base, monkeypatch):
    (folder / "tables").mkdir()
    path = write(folder, ROWS, name="tables/m.csv") if base == "above" else write(folder / "tables", ROWS)
    if base == "here":
        path = path.rename(folder / "tables" / "m.csv")
        monkeypatch.chdir(folder)
    assert len(load(path).table) == 6


def test_a_name_that_several_files_have_is_asked_about(folder):
    (folder / "other").mkdir()
    (folder / "other" / "p00.png").write_bytes((folder / "img" / "p00.png").read_bytes())
    with pytest.raises(UserError, match=r"line 2: p00.png may be .*p00.png or .*p00.png; write more of the path"):
        load(write(folder, [(name.removeprefix("img/"), label) for name, label in ROWS]))
    assert len(load(write(folder, [(f"x/{name}", label) for name, label in ROWS])).table) == 6


def test_missing_files_say_where_they_were_looked_for(folder):
    rows = [*ROWS, ("img/p99.png", "cancer")]
    words = r"line 8: img/p99.png does not exist \(looked in .*by name anywhere below .*; 1 of 7 files are missing"
    with pytest.raises(UserError, match=words):
        load(write(folder, rows))
    assert len(load(write(folder, rows), max_unreadable=0.2).table) == 7


def test_a_file_of_the_same_name_in_anothers_folder_is_not_taken(tmp_path):
    for patient in (8, 9):
        (tmp_path / f"patient{patient}" / "study1").mkdir(parents=True)
        Image.effect_noise((24, 24), 50).save(tmp_path / f"patient{patient}" / "study1" / "view1.png")
    rows = [("patient3/study2/view1.png", "a"), ("patient8/study1/view1.png", "b"), ("patient9/study1/view1.png", "a")]
    with pytest.raises(UserError, match=r"line 2: patient3/study2/view1.png does not exist"):
        load(write(tmp_path, rows))


def test_an_image_is_no_mask_of_its_own(folder):
    rows = [("img/p00.png", "a", "p00.png"), ("img/p01.png", "b", "")]
    with pytest.raises(UserError, match=r"line 2: the mask p00.png is the image itself"):
        load(write(folder, rows, "path,label,mask"))


@pytest.mark.parametrize(
    ("content", "words"),
    [
        ('img/p00.png,"a\nimg/p01.png,b"\nimg/p02.png,a\n', "line 2: a cell goes over several lines"),
        ('img/p00.png,"a\nimg/p01.png,b\n', r"line 3: the table cannot be read \(unexpected end of data\)"),
    ],
)
def test_a_missing_quotation_mark_eats_no_rows(folder, content, words):
    (folder / "m.csv").write_text(f"path,label\n{content}")
    with pytest.raises(UserError, match=words) as error:
        load(folder / "m.csv")
    assert "\n" not in str(error.value)


def test_blanks_after_commas_and_old_line_ends_are_read(folder):
    (folder / "m.csv").write_bytes(b'path, label\r"img/p00.png", "a"\r"img/p01.png", "b"\r')
    assert load(folder / "m.csv").classes == ("a", "b")


def test_a_table_without_a_header_is_named(folder):
    with pytest.raises(UserError, match=r"its first line, img/p00.png, cancer, is no header; put a line"):
        load(write(folder, ROWS[1:], header=",".join(ROWS[0])))


def test_rows_that_are_there_twice_are_taken_once(folder):
    found = load(write(folder, [*ROWS, ROWS[0]]))
    assert len(found.table) == 6
    assert any("say what another row says, left out: 1" in note for note in found.notes)


@pytest.mark.parametrize("blank", ["nan", "NA", ""])
def test_blank_patients_are_nobody(folder, blank):
    rows = [(name, label, blank) for name, label in ROWS]
    found = load(write(folder, rows, "path,label,patient"))
    assert not found.patients_known
    assert found.table["patient"].nunique() == 6


def test_a_written_manifest_knows_no_patients_where_none_were_known(folder):
    manifests.write(load(write(folder, ROWS)), folder / "again.csv")
    assert not load(folder / "again.csv").patients_known


@pytest.mark.parametrize("blank", ["", "nan", "NaN", "NA", "n/a", "<NA>", "null"])
def test_blank_labels_are_no_class(folder, blank):
    rows = [("img/p00.png", blank), *ROWS[1:]]
    found = load(write(folder, rows))
    assert (found.unlabelled, len(found.table)) == (1, 5)


@pytest.mark.parametrize(
    ("labels", "classes", "said"),
    [
        (["1", "0", "1.0", "0.0", "1", "0"], ("0", "1"), "1, 1.0 are '1'"),
        (["a", "B", "A", "b", "a", "B"], ("B", "a"), "A, a are 'a'"),
        (["no finding", "x", "No  Finding", "x", "no finding", "x"], ("no finding", "x"), "are 'no finding'"),
        (["ａ", "b", "a", "b", "a", "b"], ("a", "b"), "are 'a'"),
        (["True", "False", "TRUE", "False", "True", "False"], ("False", "True"), "TRUE, True are 'True'"),
        (["10", "2", "1", "10", "2", "1"], ("1", "2", "10"), ""),
    ],
)
def test_spellings_of_a_label_are_merged_and_said(folder, labels, classes, said):
    rows = [(name, label) for (name, _), label in zip(ROWS, labels, strict=True)]
    found = load(write(folder, rows))
    assert found.classes == classes
    assert any(said in note for note in found.notes) == bool(said)


def test_numbers_stand_for_classes_in_their_order(folder):
    rows = [(name, str(number % 2)) for number, (name, _) in enumerate(ROWS)]
    found = load(write(folder, rows), classes=("NORMAL", "PNEUMONIA"))
    assert labels_of(found)[:2] == ["NORMAL", "PNEUMONIA"]
    assert "Labels are numbers: 0 is NORMAL, 1 is PNEUMONIA." in found.notes


@pytest.mark.parametrize("suffix", ["csv", "parquet"])
def test_true_and_false_are_findings(folder, suffix):
    table = pd.DataFrame({"path": [name for name, _ in ROWS], "tb": [True, False] * 3, "scar": [True, True, False] * 2})
    path = folder / f"m.{suffix}"
    table.to_csv(path, index=False) if suffix == "csv" else table.to_parquet(path)
    found = load(path, classes=("tb", "scar"))
    assert found.multi_label
    assert found.targets(found.table)[:3].tolist() == [[1, 1], [0, 1], [1, 0]]


def test_columns_of_which_each_row_has_one_are_one_question(folder):
    rows = [(name, str(number % 2), str(1 - number % 2)) for number, (name, _) in enumerate(ROWS)]
    found = load(write(folder, rows, "path,MEL,NV"), classes=("MEL", "NV"))
    assert not found.multi_label
    assert labels_of(found)[:2] == ["NV", "MEL"]
    assert any("Each row has exactly one of MEL, NV" in note for note in found.notes)


def test_masks_of_a_table_are_found_as_images_are(folder):
    (folder / "m0.png").write_bytes((folder / "img" / "p00.png").read_bytes())
    rows = [(name, label, "m0.png" if number == 0 else "") for number, (name, label) in enumerate(ROWS)]
    assert list(load(write(folder, rows, "path,label,mask")).table["mask"])[:2] == [str(folder / "m0.png"), ""]
    with pytest.raises(UserError, match=r"line 2: the mask gone.png does not exist"):
        load(write(folder, [(*ROWS[0], "gone.png"), *((*row, "") for row in ROWS[1:])], "path,label,mask"))


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (b"path,label\na.png,x,y,z\n", r"line 2: the number of cells .* 4 where 2 were expected, separated by commas"),
        (b"path;label\na.png\n", r"line 2: the number of cells .* separated by semicolons"),
        (b"path,label\n", "has no rows"),
        (b"", "has no rows"),
        (b"path,label\n,,\n,\n", "has no rows"),
        (b"path,path\na,b\n", "column 'path' is there twice"),
        (b"\x81\x8d\x8f,\x90\n", "save it as CSV"),
        (b"," * 5000, "5001 columns, more than the limit"),
        (b'path,label\n"' + b"x" * 200_000 + b'",a\n', "field larger than field limit"),
    ],
)
def test_what_is_no_table_is_refused_in_one_line(tmp_path, content, words):
    (tmp_path / "m.csv").write_bytes(content)
    with pytest.raises(UserError, match=words) as error:
        load(tmp_path / "m.csv")
    assert "\n" not in str(error.value)
