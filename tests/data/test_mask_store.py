"""The masks of a manifest: decoded once, refused in one line that names the way out, told of in the audit."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from PIL import Image

from kmedtl.data import mask_store, sources, store
from kmedtl.data.manifest import Manifest, from_rows
from kmedtl.data.mask_notes import mask_notes
from kmedtl.data.mask_store import prepare_masks
from kmedtl.errors import UserError
from kmedtl.images.masks import read_masks
from kmedtl.recipe import Data

DATA = Data(size=32, channels=1)
WIDTH, HEIGHT = 48, 40


def area(number):
    mask = np.zeros((HEIGHT, WIDTH), np.uint8)
    mask[5 : 15 + number, 8 : 20 + number] = 1
    return mask


@pytest.fixture
def table(tmp_path):
    """Five images a00 … a04 with a mask of 0 and 255 each."""
    rows = []
    for number in range(5):
        image, mask = tmp_path / f"a{number:02}.png", tmp_path / f"a{number:02}_mask.png"
        noise = np.random.default_rng(number).integers(0, 256, (HEIGHT, WIDTH), dtype=np.uint8)
        Image.fromarray(noise).save(image)
        Image.fromarray(area(number) * 255).save(mask)
        rows.append({"id": image.name, "path": str(image), "frame": "", "mask": str(mask)})
    return pd.DataFrame(rows).assign(width=WIDTH, height=HEIGHT, volume="")


def of(table, row):
    return Path(table["mask"][row])


def save(table, row, pixels, **options):
    Image.fromarray(pixels).save(of(table, row), **options)


def test_the_store_holds_what_read_masks_returns(table):
    found = prepare_masks(table, DATA)
    assert found.structures == ("foreground",)
    assert found.planes.shape == (5, 32, 32, 1)
    assert found.planes.dtype == np.uint8
    assert isinstance(found.planes, np.memmap)
    assert not found.planes.flags.writeable
    wanted = list(table["id"])[::-2]
    masks = found.of(wanted)
    for name, planes in zip(wanted, masks, strict=True):
        path = table.set_index("id")["mask"][name]
        expected = read_masks([path], {"foreground": "*"}, DATA.reading)
        assert np.array_equal(planes, expected.planes)
    facts = found.facts.set_index("id").loc[list(table["id"])]
    assert facts["area_foreground"].tolist() == [int(area(number).sum()) for number in range(5)]
    assert facts["share_foreground"].tolist() == pytest.approx([area(number).mean() for number in range(5)])
    assert set(facts["values"]) == {"0, 255"}
    with pytest.raises(KeyError, match="nobody"):
        found.of(["nobody"])


def test_a_second_run_decodes_nothing(table, monkeypatch):
    first = prepare_masks(table, DATA)
    monkeypatch.setattr(mask_store, "decode_masks", lambda *_: pytest.fail("decoded again"))
    again = prepare_masks(table.iloc[::-1], replace(DATA, classes=("a", "b"), batch_size=2))
    assert np.array_equal(again.planes, first.planes)
    pd.testing.assert_frame_equal(again.facts, first.facts)


@pytest.mark.parametrize(
    "other", [{"size": 40}, {"aspect": "keep"}, {"structures": {"a": 255}}, {"soft_masks": "threshold"}]
)
def test_other_settings_are_another_store(table, other):
    first, second = prepare_masks(table, DATA), prepare_masks(table, replace(DATA, **other))
    assert Path(first.planes.filename).parent != Path(second.planes.filename).parent


def test_a_mask_that_changed_is_decoded_again(table):
    prepare_masks(table, DATA)
    save(table, 2, np.full((HEIGHT, WIDTH), 255, np.uint8))
    found = prepare_masks(table, DATA)
    assert found.of(["a02.png"]).all()
    assert not found.of(["a03.png"]).all()


def unnamed(table):
    save(table, 1, area(1) * 7)
    save(table, 3, area(3) * 9)


def soft(table):
    blurred = Image.fromarray(area(2) * 255).resize((WIDTH * 2 // 3, HEIGHT * 2 // 3)).resize((WIDTH, HEIGHT))
    blurred.save(of(table, 2))


def jpeg(table):
    for row in (0, 4):
        save(table, row, area(row) * 255, format="JPEG")


def another_size(table):
    save(table, 3, area(3)[:, :-1] * 255)


def on_its_side(table):
    save(table, 3, np.ascontiguousarray(area(3).T) * 255)


def missing(table):
    table.loc[[0, 4], "mask"] = ""


def all_missing(table):
    table["mask"] = ""


def itself(table):
    table.loc[2, "mask"] = table["path"][2]


def a_link_to_itself(table):
    of(table, 2).unlink()
    of(table, 2).symlink_to(table["path"][2])


def a_copy_in_another_format(table):
    Image.open(table["path"][2]).convert("RGB").save(of(table, 2), format="BMP")


def unreadable(table):
    of(table, 1).write_bytes(b"nothing")
    of(table, 3).write_bytes(b"")


def absent(table):
    of(table, 1).unlink()


def all_empty(table):
    for row in range(5):
        save(table, row, area(row) * 0)


def nothing(_table):
    pass


REFUSED = [
    (unnamed, {"structures": {"lesion": 255}}, r"a01\.png: its mask a01_mask\.png holds 7, .*masks: 2, with the values "
     r"7, 9\. Name each: --set 'data\.structures\.NAME=7'"),
    (nothing, {"structures": {"lesion": "#ff0000"}}, r"a00\.png: .* holds 255, for which no structure is named.*: 5"),
    (soft, {}, r"a02\.png: its mask a02_mask\.png has \d+ values, .*such masks: 1\. --set data\.soft_masks=threshold"),
    (jpeg, {"structures": {"lesion": 255}}, r"a00\.png: .* such masks: 2\. --set data\.soft_masks=threshold"),
    (another_size, {}, r"a03\.png: its mask has 47 × 40 pixels, the image 48 × 40; .* image: 1\. Save them at"),
    (on_its_side, {}, r"a03\.png: its mask has 40 × 48 pixels, the image 48 × 40; .* Save image and mask upright"),
    (missing, {}, r"a00\.png: has no mask; images without one: 2 of 5\. .*--set data\.missing_masks=empty"),
    (all_missing, {"missing_masks": "empty"}, r"masks: no image has a mask; expected .* column `mask`"),
    (nothing, {"structures": {"lung": "*_lung*"}}, r"masks: no mask of 5 fits a pattern of data\.structures"),
    (itself, {}, r"a02\.png: its mask is the image itself; such images: 1\. Correct the column `mask`"),
    (a_link_to_itself, {}, r"a02\.png: its mask is the image itself; such images: 1"),
    (a_copy_in_another_format, {}, r"a02\.png: its mask is the image itself; such images: 1"),
    (a_copy_in_another_format, {"soft_masks": "threshold"}, r"a02\.png: its mask is the image itself"),
    (unreadable, {}, r"a01\.png: its mask cannot be read \(a01_mask\.png: not a PNG.*\); masks that cannot: 2"),
    (absent, {}, r"a01\.png: its mask cannot be read \(a01_mask\.png: no such file or directory\)"),
    (all_empty, {}, r"masks: nothing is marked in any of 5 images; values found: 0\. Expected masks"),
    (all_empty, {"structures": {"lesion": 255}}, r"data\.structures\.lesion: 255 is in no mask, of 5 images.*: 0\."),
    (nothing, {"structures": {"lesion": 255, "vessel": 3}}, r"data\.structures\.vessel: 3 is in no mask.*: 0, 255"),
    (nothing, {"structures": {"lesion": "*_mask*", "lung": "*_lung*"}}, r"data\.structures\.lung: no file that fits"),
]  # fmt: skip


@pytest.mark.parametrize(("damage", "settings", "words"), REFUSED)
def test_what_would_be_trained_in_vain_is_refused_in_one_line(table, damage, settings, words):
    damage(table)
    with pytest.raises(UserError, match=words) as error:
        prepare_masks(table, replace(DATA, **settings))
    assert "\n" not in str(error.value)
    assert str(Path(table["path"][0]).parent) not in str(error.value)


def test_nothing_is_kept_of_what_was_refused(table):
    soft(table)
    for _ in range(2):
        with pytest.raises(UserError, match="soft_masks"):
            prepare_masks(table, DATA)


@pytest.mark.parametrize("damage", [soft, jpeg])
@pytest.mark.parametrize("structures", [{}, {"lesion": 255}])
def test_soft_masks_are_thresholded_where_asked(table, damage, structures):
    damage(table)
    found = prepare_masks(table, replace(DATA, soft_masks="threshold", structures=structures))
    name = found.structures[0]
    exact = [int(area(number).sum()) for number in range(5)]
    areas = found.facts.set_index("id").loc[list(table["id"]), f"area_{name}"]
    assert areas.tolist() == pytest.approx(exact, rel=0.05)


def test_images_without_a_mask_are_empty_where_asked(table):
    missing(table)
    found = prepare_masks(table, replace(DATA, missing_masks="empty"))
    assert not found.of(["a00.png", "a04.png"]).any()
    assert found.of(["a01.png"]).any()
    assert found.facts.set_index("id")["files"].to_dict() == {
        "a00.png": 0, "a01.png": 1, "a02.png": 1, "a03.png": 1, "a04.png": 0,
    }  # fmt: skip


def test_an_image_may_have_several_masks(table, tmp_path):
    for row in range(5):
        right = np.zeros((HEIGHT, WIDTH), np.uint8)
        right[:, 40:] = 255
        Image.fromarray(right).save(tmp_path / f"a{row:02}_bone.png")
        table.loc[row, "mask"] += f"|{tmp_path}/a{row:02}_bone.png"
    together = prepare_masks(table, DATA)
    apart = prepare_masks(table, replace(DATA, structures={"bone": "*_BONE*", "lesion": "*_mask*"}))
    assert apart.structures == ("bone", "lesion")
    assert apart.facts["area_bone"].tolist() == [HEIGHT * 8] * 5
    assert np.array_equal(apart.planes.max(axis=-1, keepdims=True), together.planes)
    assert not (apart.planes[..., 0] & apart.planes[..., 1]).any()


def test_a_turned_image_and_its_mask_lie_alike(tmp_path):
    """Both files carry the same orientation; the mask is the image's bright part."""
    exif = Image.Exif()
    exif[0x0112] = 6
    Image.fromarray(area(0) * 200).save(tmp_path / "a.png", exif=exif)
    Image.fromarray(area(0) * 255).save(tmp_path / "a_mask.png", exif=exif)
    row = {"id": "a.png", "path": str(tmp_path / "a.png"), "frame": "", "mask": str(tmp_path / "a_mask.png")}
    data = replace(DATA, aspect="keep")
    images = store.prepare(pd.DataFrame([row]), data.reading)
    table = pd.DataFrame([row]).merge(images.facts[["id", "width", "height"]])
    assert (table["width"][0], table["height"][0]) == (HEIGHT, WIDTH)
    (image,) = images.images().as_numpy_iterator()
    (mask,) = prepare_masks(table, data).of(["a.png"])
    assert mask[image == 200].all()
    assert not mask[image == 0].any()


def labelled(table, labels):
    found = from_rows(table.assign(label=labels, patient=table["id"]).to_dict("records"), (), "here")
    return replace(found, table=found.table.assign(label=labels), classes=(), multi_label=True)


def test_the_audit_is_told_of_empty_full_and_lost_masks_and_of_labels(table):
    save(table, 0, np.zeros((HEIGHT, WIDTH), np.uint8))
    save(table, 1, np.full((HEIGHT, WIDTH), 255, np.uint8))
    speck = np.zeros((HEIGHT, WIDTH), np.uint8)
    speck[2, 2] = 255  # of 40 rows, 32 are seen
    save(table, 2, speck)
    notes = mask_notes(prepare_masks(table, DATA), labelled(table, ["malignant"] * 4 + ["normal"]))
    assert notes[0] == "Masks: of 5 images, 1 of them with nothing marked."
    assert notes[1] == "Masks that cover more than 99% of the image: 1, first: a01.png."
    assert notes[2].startswith("foreground: marked in 4 images, half of them more than")
    assert notes[3] == "foreground: lost at data.size, being too small: 1, first: a02.png."
    assert notes[4:] == ["foreground: of the class 'malignant', images without it: 1 of 4, first: a00.png."]


@pytest.mark.parametrize("several", [False, True])
def test_masks_that_images_have_in_common_are_told_of(table, several):
    table.loc[3, "mask"] = f"{of(table, 1)}|{of(table, 3)}" if several else str(of(table, 1))
    found = mask_notes(prepare_masks(table, DATA), Manifest(table, (), "films", multi_label=True))
    said = [note for note in found if "in common" in note]
    assert said == ["Masks that several images have in common: 1, of 2 images, first: that of a01.png and a03.png."]


def test_a_mask_for_all_images_is_refused(table):
    with pytest.raises(UserError, match=r"a00.png: its mask a03_mask.png is that of all 5 images; expected a mask for"):
        prepare_masks(table.assign(mask=table["mask"][3]), DATA)


def test_one_mask_for_all_frames_of_a_file_is_told_of(table):
    frames = table.iloc[[0, 0, 0]].assign(frame=["0", "1", "2"], id=["a#0", "a#1", "a#2"])
    rows = pd.concat([table[1:], frames], ignore_index=True)
    found = mask_notes(prepare_masks(rows, DATA), Manifest(rows, (), "films", multi_label=True))
    said = [note for note in found if "have one mask in common" in note]
    assert said == [
        "Files whose frames have one mask in common: 1, first: that of a#1; if it is not drawn for each frame, see "
        "data.frames."
    ]


def test_a_label_against_masks_is_named(table):
    for row in (2, 3, 4):
        save(table, row, np.zeros((HEIGHT, WIDTH), np.uint8))
    notes = mask_notes(prepare_masks(table, DATA), labelled(table, ["lesion"] + ["normal"] * 4))
    assert notes[-1] == "foreground: of the class 'normal', images with it: 1 of 4, first: a01.png."


def test_the_phantom_shows_lesion_and_lung_apart(cache):
    manifest = sources.load(Data("phantom:6"), seed=0)
    table = manifest.table.assign(width=256, height=256)
    data = Data("phantom:6", size=64, structures={"lung": "*_lung*", "lesion": "*_mask*"})
    found = prepare_masks(table, data)
    facts = found.facts.set_index("id").loc[list(table["id"])]
    assert (facts["area_lesion"] <= facts["area_lung"]).all()
    assert (facts["area_lesion"] / facts["area_lung"]).tolist() == pytest.approx(table["area"].tolist(), abs=1e-6)
    assert not (found.planes[..., 1] > found.planes[..., 0]).any()
    assert list(prepare_masks(table, replace(data, structures={"lesion": "*_mask*"})).structures) == ["lesion"]


@pytest.mark.real_data
@pytest.mark.parametrize(("folder", "mode"), [("ham10000", "P"), ("ham10000", "L")])
def test_real_masks_of_either_mode_mark_the_middle_of_the_image(real_data, tmp_path, folder, mode):
    rows = []
    for mask in sorted((real_data / folder / "masks").iterdir()):
        with Image.open(mask) as image:
            if image.mode == mode:
                rows.append((mask, *image.size))
        if len(rows) == 30:
            break
    images = {path.stem: path for path in (real_data / folder / "images").iterdir()}
    table = pd.DataFrame(
        {"id": mask.stem, "path": str(images[mask.stem]), "mask": str(mask), "width": width, "height": height}
        for mask, width, height in rows
    )
    planes = prepare_masks(table, Data(size=64, soft_masks="threshold")).planes[..., 0]
    assert planes[:, 24:40, 24:40].mean() > 0.7
    assert planes[:, [0, -1]].mean() < 0.2
