"""What the audit says of sources with one fault each, and that every file is accounted for."""

import json
import time
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from PIL import Image

from kmedtl.audit import page
from kmedtl.audit.audit import TELLING
from kmedtl.audit.summary import describe
from kmedtl.data import splits
from kmedtl.errors import UserError
from kmedtl.recipe import Data, Recipe
from kmedtl.runs.prepare import prepare, refuse
from tests.conftest import write_image_folder

SIZE = 64


def film(seed, size=96):
    """A smooth random picture that resembles no other."""
    small = np.random.default_rng(seed).integers(0, 255, (12, 12), dtype=np.uint8)
    return Image.fromarray(small).resize((size, size), Image.Resampling.BICUBIC)


@pytest.fixture
def folder(tmp_path):
    """NORMAL/ and PNEUMONIA/ with 24 films each, of 12 patients each."""
    root = tmp_path / "films"
    for label in ("NORMAL", "PNEUMONIA"):
        (root / label).mkdir(parents=True)
        for number in range(24):
            film(number + 1000 * (label == "NORMAL")).save(root / label / f"{label[0]}{number // 2}-{number % 2}.png")
    return root


def look(root, **settings):
    data = Data(
        str(root), **({"patient_pattern": r"/([NP]\d+)-"} | settings), size=SIZE, channels=1, max_unreadable=0.5
    )
    return prepare(data, seed=0)


def test_a_clean_source_has_no_warning(folder):
    findings = look(folder).audit
    assert findings.images == {"NORMAL": 24, "PNEUMONIA": 24}
    assert findings.patients == {"NORMAL": 12, "PNEUMONIA": 12}
    assert findings.sizes == {"96×96": 48}
    assert findings.modes == {"L": 48}
    assert findings.bits == {"8": 48}
    assert (findings.duplicates, findings.near_duplicates, findings.conflicts, findings.leaks) == ((), (), (), ())
    assert findings.warnings == ()


def test_every_file_is_accounted_for(folder):
    (folder / "NORMAL" / "N0-0.png").write_bytes(b"")
    (folder / "NORMAL" / "N1-0.png").write_bytes(b"\x89PNG no more")
    (folder / "NORMAL" / "notes.txt").write_text("not an image")
    found = look(folder)
    findings = found.audit
    assert findings.found == 49 == findings.ignored + findings.unlabelled + findings.listed
    assert findings.listed == 48 == findings.used + len(findings.unreadable)
    assert set(findings.unreadable) == {"NORMAL/N0-0.png", "NORMAL/N1-0.png"}
    assert all(findings.unreadable.values())
    assert set(found.table["id"]) == set(found.manifest.table["id"]) - set(findings.unreadable)


def test_what_a_limit_sets_aside_is_counted(folder):
    findings = look(folder, limit=20).audit
    assert findings.found == 48 == findings.set_aside + findings.used
    assert findings.used == pytest.approx(20, abs=2)


def test_too_many_unreadable_files_are_refused(folder):
    (folder / "NORMAL" / "N0-0.png").write_bytes(b"")
    with pytest.raises(UserError, match=r"1 of 48 images are unreadable, allowed: 0; .*N0-0.png: the file is empty"):
        prepare(Data(str(folder), size=SIZE), seed=0)


def test_a_class_without_a_readable_image_is_refused(folder):
    for file in (folder / "NORMAL").iterdir():
        file.write_bytes(b"")
    with pytest.raises(UserError, match="no image of the class 'NORMAL' can be read"):
        look(folder)


def test_copies_and_contradictions_are_found(folder):
    original, copy, contradiction = (
        folder / name for name in ("NORMAL/N0-0.png", "NORMAL/N5-1.png", "PNEUMONIA/P3-0.png")
    )
    copy.write_bytes(original.read_bytes())
    contradiction.write_bytes(original.read_bytes())
    found = look(folder)
    group = ("NORMAL/N0-0.png", "NORMAL/N5-1.png", "PNEUMONIA/P3-0.png")
    assert found.audit.duplicates == (group,)
    assert found.audit.conflicts == (group,)
    assert found.audit.near_duplicates == ()
    assert found.table.set_index("id")["twin"][list(group)].nunique() == 1
    assert any("under two labels" in warning for warning in found.audit.warnings)


def test_copies_are_left_out_where_the_recipe_says_so_but_no_contradiction_is(folder):
    original, copy, contradiction = (
        folder / name for name in ("NORMAL/N0-0.png", "NORMAL/N5-1.png", "PNEUMONIA/P3-0.png")
    )
    copy.write_bytes(original.read_bytes())
    contradiction.write_bytes(original.read_bytes())
    kept, whole = look(folder, copies="drop"), look(folder)
    assert set(whole.table["id"]) - set(kept.table["id"]) == {"NORMAL/N5-1.png"}
    assert kept.audit.duplicates == whole.audit.duplicates
    page.write(kept.audit, kept.store, kept.manifest, kept.listed, folder)  # which shows them
    assert "N5-1.png" in (folder / "audit.html").read_text()
    assert "1 copies of other images were left out (data.copies=drop)." in kept.audit.warnings


def test_the_same_picture_saved_otherwise_is_found(folder):
    picture = Image.open(folder / "NORMAL" / "N0-0.png")
    picture.resize((200, 200)).point(lambda value: 0.8 * value + 20).save(folder / "NORMAL" / "N7-0.png")
    found = look(folder)
    group = ("NORMAL/N0-0.png", "NORMAL/N7-0.png")
    assert found.audit.near_duplicates == (group,)
    assert found.audit.duplicates == ()
    assert found.table["twin"].nunique() == 47


def split_folders(folder):
    """train/, val/ and test/ with class folders, by patient."""
    root = folder.parent / "divided"
    for file in folder.rglob("*.png"):
        number = int(file.stem[1:].split("-")[0])
        part = ("train", "train", "train", "train", "val", "test")[number % 6]
        target = root / part / file.parent.name / file.name
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_bytes(file.read_bytes())
    return root


def test_given_splits_without_leaks_are_fine(folder):
    findings = look(split_folders(folder)).audit
    assert findings.leaks == ()
    assert findings.splits == {"train": 32, "val": 8, "test": 8}


@pytest.mark.parametrize("how", ["patient", "copy", "near copy"])
def test_leaks_between_given_splits_are_found(folder, how):
    root = split_folders(folder)
    source, target = root / "train/NORMAL/N0-0.png", root / "test/NORMAL/N5-0.png"
    if how == "patient":
        source.rename(target.with_name("N0-7.png"))
        target = target.with_name("N0-7.png")
    elif how == "copy":
        target.write_bytes(source.read_bytes())
    else:
        Image.open(source).save(target.with_suffix(".jpg"), quality=60)
        target.unlink()
        target = target.with_suffix(".jpg")
    (leak,) = look(root).audit.leaks
    parts = {name.split("/")[0] for name in leak}
    assert parts == {"train", "test"}
    assert look(root).audit.warnings[0].startswith("LEAKAGE: ")


def test_a_marker_in_the_corner_is_a_shortcut(tmp_path):
    folder = of_classes(tmp_path / "films", 2, images=40)
    for file in (folder / "class 001").iterdir():
        pixels = np.array(Image.open(file))
        pixels[:6, :6] = 255
        Image.fromarray(pixels).save(file)
    findings = look(folder, patient_pattern="").audit
    (shortcut,) = [one for one in findings.shortcuts if one.what == "frame"]
    assert shortcut.auc.low > 0.6
    assert any(w.startswith("class 001 can be read from the border") for w in findings.warnings)


def test_another_size_a_class_is_a_shortcut(folder):
    for file in (folder / "PNEUMONIA").iterdir():
        Image.open(file).resize((110, 96)).save(file)
    findings = look(folder).audit
    (shortcut,) = [one for one in findings.shortcuts if one.what == "file"]
    assert shortcut.auc.value > 0.95
    assert any("from size, mode and bits" in warning for warning in findings.warnings)


def test_several_findings_are_audited_each(tmp_path):
    rows = []
    for number in range(40):
        film(number).save(tmp_path / f"{number}.png")
        rows.append({"path": f"{number}.png", "patient": number // 2, "A": number % 2, "B": (number // 2) % 2, "C": ""})
    rows[3]["A"] = -1
    pd.DataFrame(rows).to_csv(tmp_path / "m.csv", index=False)
    findings = prepare(Data(str(tmp_path / "m.csv"), classes=("A", "B"), size=SIZE), seed=0).audit
    assert findings.images == {"A": 19, "B": 20}
    assert {shortcut.finding for shortcut in findings.shortcuts} == {"A", "B"}


def test_page_and_json_show_what_was_found(folder, tmp_path):
    (folder / "NORMAL" / "N0-0.png").write_bytes((folder / "PNEUMONIA" / "P0-0.png").read_bytes())
    (folder / "NORMAL" / "N1-0<b>.png").write_bytes(b"")
    found = look(folder)
    page.write(found.audit, found.store, found.manifest, found.table, tmp_path)
    content = json.loads((tmp_path / "audit.json").read_text())
    assert content["conflicts"] == [["NORMAL/N0-0.png", "PNEUMONIA/P0-0.png"]]
    assert content["used"] == 48
    html = (tmp_path / "audit.html").read_text()
    assert "One picture, two labels: 1" in html
    assert html.count("data:image/png;base64,") == 4  # the conflict's two images, which are copies as well
    assert "N1-0<b>" not in html
    assert "N1-0&lt;b&gt;" in html
    assert "http" not in html.replace("http-equiv", "")


def test_no_image_is_shown_whose_header_says_that_text_is_burned_in(folder, tmp_path):
    (folder / "NORMAL" / "N0-0.png").write_bytes((folder / "PNEUMONIA" / "P0-0.png").read_bytes())
    found = look(folder)
    marked = replace(found.audit, burned_in=tuple(found.table["id"]))
    page.write(marked, found.store, found.manifest, found.table, tmp_path)
    html = (tmp_path / "audit.html").read_text()
    assert "data:image" not in html
    assert "One picture, two labels: 1" in html


@pytest.mark.slow
@pytest.mark.real_data
def test_real_films(real_data):
    data = Data(str(real_data / "brain_mri"), size=SIZE, channels=1, classes=("no", "yes"), max_unreadable=0.02)
    findings = prepare(data, seed=0).audit
    assert len(findings.duplicates) > 5
    assert findings.listed == findings.used + len(findings.unreadable)
    assert set(findings.modes) >= {"L", "RGB"}


def test_images_of_any_class_count(tmp_path):
    root = write_image_folder(tmp_path / "three")
    (root / "COVID").mkdir()
    for number in range(6):
        film(number).save(root / "COVID" / f"{number}.png")
    findings = prepare(Data(str(root), size=SIZE, channels=1), seed=0).audit
    assert findings.images == {"COVID": 6, "NORMAL": 12, "PNEUMONIA": 12}
    assert Path(root).name in findings.source


def of_classes(root, classes, images=5):
    for label in range(classes):
        (root / f"class {label:03d}").mkdir(parents=True)
        for number in range(images):
            film(1000 * label + number).save(root / f"class {label:03d}" / f"{number}.png")
    return root


@pytest.mark.slow
def test_a_hundred_classes_are_audited_quickly_and_told_on_a_screen(tmp_path):
    start = time.perf_counter()
    found = look(of_classes(tmp_path / "many", 100), patient_pattern="")
    seconds = time.perf_counter() - start
    lines = describe(found.audit).splitlines()
    assert seconds < 15
    assert len(lines) <= 40
    assert "  … and 88 more, 5 to 5 images each" in lines
    assert sum(line.startswith("  class") for line in lines) == 12
    assert len(found.audit.images) == 100
    assert len(found.audit.shortcuts) == 200  # audit.json has them all


def test_a_marker_on_one_of_several_classes_is_named_first(tmp_path):
    root = of_classes(tmp_path / "several", 6, images=20)
    for path in (root / "class 003").glob("*.png"):
        pixels = np.array(Image.open(path))
        pixels[:12, :12] = 255
        Image.fromarray(pixels).save(path)
    audit = look(root, patient_pattern="").audit
    telling = [one.finding for one in audit.shortcuts if one.auc.low > TELLING]
    assert telling == ["class 003"]
    assert audit.warnings[0].startswith("class 003 can be read from the border")
    assert any("1 of 6 can be told; best class 003" in line for line in describe(audit).splitlines())


def test_many_telling_borders_are_summed_up(tmp_path):
    root = of_classes(tmp_path / "sites", 8, images=20)
    for label, folder in enumerate(sorted(root.iterdir())):
        for path in folder.glob("*.png"):
            pixels = np.array(Image.open(path))
            pixels[:12, 12 * label : 12 * label + 12] = 255
            Image.fromarray(pixels).save(path)
    audit = look(root, patient_pattern="").audit
    assert sum("can be read from the border" in warning for warning in audit.warnings) == 5
    assert any(warning.startswith("4 more can be read from the border") for warning in audit.warnings)


def spelled(tmp_path, split=""):
    """24 patients of two films; the second film of each ill one spells its patient otherwise."""
    rows = []
    for number in range(48):
        film(number).save(tmp_path / f"{number}.png")
        patient = f"A{number // 2:03d}" if number % 2 or number >= 24 else f"a {number // 2}"
        part = ("train", "test")[number % 2] if split == "across" else split
        rows.append({"path": f"{number}.png", "label": int(number < 24), "patient": patient, "split": part})
    pd.DataFrame(rows).to_csv(tmp_path / "films.csv", index=False)
    return tmp_path / "films.csv"


def test_patients_by_any_spelling_stay_in_one_split_and_the_audit_says_so(tmp_path):
    found = prepare(Data(str(spelled(tmp_path)), size=SIZE, channels=1), seed=0)
    assert found.audit.patients == {"0": 12, "1": 12}
    assert len(found.audit.spellings) == 12
    (warning,) = (one for one in found.audit.warnings if "spelling" in one)
    assert "count as one: 12, first: those of 0.png and 1.png" in warning
    assert "A00" not in warning
    divided = splits.split(found.manifest, found.table, 0.2, 0.2, seed=0)
    assert divided.groupby(divided["id"].str.removesuffix(".png").astype(int) // 2)["split"].nunique().max() == 1
    apart = prepare(Data(str(tmp_path / "films.csv"), size=SIZE, channels=1, same_patients=False), seed=0)
    assert apart.audit.patients == {"0": 12, "1": 24}
    assert apart.audit.spellings == ()


def test_spellings_across_given_splits_are_a_suspected_leak(tmp_path):
    source = spelled(tmp_path, "across")
    table = pd.read_csv(source)
    table[table["label"] == 0] = table[table["label"] == 0].assign(split="train")
    table.loc[table.index >= 40, "split"] = "test"
    table.to_csv(source, index=False)
    recipe = Recipe("films", schedule="auto", data=Data(str(source), size=SIZE, channels=1))
    with pytest.raises(UserError) as refused:
        refuse(prepare(recipe.data, seed=0), recipe)
    message = str(refused.value)
    assert "ids differ only in spelling: 12, first: 0.png and 1.png; " in message
    assert "data.same_patients=false" in message
    assert "a 0" not in message
    assert "A000" not in message
    for settings in ({"same_patients": False}, {"allow_leakage": True}):
        allowed = Recipe("films", schedule="auto", data=replace(recipe.data, **settings))
        refuse(prepare(allowed.data, seed=0), allowed)


@pytest.mark.parametrize("aspect", ["keep", "stretch"])
@pytest.mark.parametrize("shape", [(320, 32), (32, 320), (96, 96), (160, 40)])
def test_pictures_of_one_shape_are_copies_by_what_they_show_alone(tmp_path, aspect, shape):
    for number in range(24):
        (tmp_path / "ab"[number // 12]).mkdir(exist_ok=True)
        pixels = np.random.default_rng(number).integers(0, 255, (shape[1] // 8, shape[0] // 8), dtype=np.uint8)
        picture = Image.fromarray(pixels).resize(shape, Image.Resampling.BICUBIC)
        picture.save(tmp_path / "ab"[number // 12] / f"{number}.png")
    picture.save(tmp_path / "b" / "copy.jpg", quality=60)
    found = prepare(Data(str(tmp_path), size=SIZE, channels=1, aspect=aspect), seed=0).audit
    thin = aspect == "keep" and max(shape) == 320  # 6 pixels of 64 say too little
    assert found.near_duplicates == (() if thin else (("b/23.png", "b/copy.jpg"),))


def test_the_black_around_an_image_makes_none_poor(tmp_path):
    for number in range(8):
        (tmp_path / "ab"[number % 2]).mkdir(exist_ok=True)
        pixels = np.random.default_rng(number).integers(0, 256, (16, 320), dtype=np.uint8)
        Image.fromarray(np.full_like(pixels, 90) if number == 3 else pixels).save(
            tmp_path / "ab"[number % 2] / f"{number}.png"
        )
    found = prepare(Data(str(tmp_path), size=SIZE, channels=1, aspect="keep"), seed=0).audit
    assert found.poor == {"constant": ("b/3.png",)}
