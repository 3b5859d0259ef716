"""Folders and zip files of images."""

import os
import zipfile
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from gridscape.data import paths
from gridscape.errors import (
    DataCorruptError,
    DataError,
    DataMissingError,
    UnknownNameError,
)
from gridscape.tasks import images


def save(path: Path, value: int = 0, size: tuple[int, int] = (3, 2), mode: str = "L") -> None:
    """One image; size is (width, height), as Pillow has it."""
    path.parent.mkdir(parents=True, exist_ok=True)
    color: object = (value, 2 * value, 3 * value) if mode == "RGB" else value
    Image.new(mode, size, color).save(path)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Classes 2 and 10 with two and three training images and one test image each."""
    root = tmp_path / "pictures"
    for label, n_images in (("2", 2), ("10", 3)):
        for number in range(n_images):
            save(root / "Train" / label / f"{number}.png", value=10 * int(label) + number)
        save(root / "test" / label / "0.png", value=int(label))
    return root


def zipped(folder: Path, top: str = "", directories: bool = True) -> Path:
    path = folder.with_suffix(".zip")
    with zipfile.ZipFile(path, "w") as archive:
        for file in sorted(folder.rglob("*"), reverse=True):
            if directories or file.is_file():
                archive.write(file, top + file.relative_to(folder).as_posix())
    return path


def test_folder_classes_go_by_number_and_alternate(folder: Path) -> None:
    task = images.image_folder(folder)
    assert (task.name, task.input_shape, task.n_outputs) == ("image-folder", (2, 3, 1), 2)
    assert task.train.targets.tolist() == [0, 1, 0, 1, 1]
    assert task.train.inputs[:, 0, 0, 0].tolist() == [20, 100, 21, 101, 102]
    assert task.test.inputs[:, 1, 2, 0].tolist() == [2, 10]
    assert (task.train.inputs == task.train.inputs[:, :1, :1]).all()


def test_folder_classes_go_by_name_unless_all_are_numbers(folder: Path) -> None:
    (folder / "Train" / "2").rename(folder / "Train" / "cat")
    (folder / "test" / "2").rename(folder / "test" / "cat")
    assert images.image_folder(folder).test.inputs[:, 0, 0, 0].tolist() == [10, 2]


@pytest.mark.parametrize(
    ("layout", "shape"), [("rows", (2, 9)), ("flat", (18,)), ("image", (2, 3, 3))]
)
def test_color_folder_in_every_layout(tmp_path: Path, layout: str, shape: tuple[int, ...]) -> None:
    for label in "ab":
        for part in ("TRAIN", "Test"):
            save(tmp_path / part / label / "x.jpeg.png", value=ord(label) - 90, mode="RGB")
    task = images.image_folder(tmp_path, layout)
    assert task.input_shape == shape
    assert task.test.inputs.reshape(2, -1)[1, :6].tolist() == [8, 16, 24, 8, 16, 24]


@pytest.mark.parametrize("top", ["", "CIFAR10/"])
@pytest.mark.parametrize("directories", [True, False])
def test_zip_equals_its_folder(folder: Path, top: str, directories: bool) -> None:
    task, packed = (
        images.image_folder(folder),
        images.image_folder(zipped(folder, top, directories)),
    )
    assert packed.fingerprint == task.fingerprint
    for mine, theirs in zip((*packed.train, *packed.test), (*task.train, *task.test), strict=True):
        np.testing.assert_array_equal(mine, theirs)


def test_fingerprint_is_the_content_not_the_place(folder: Path, tmp_path: Path) -> None:
    before = images.image_folder(folder).fingerprint
    moved = folder.rename(tmp_path / "elsewhere")
    assert images.image_folder(tmp_path).fingerprint == before  # below a top folder
    assert images.image_folder(moved, "flat").fingerprint != before


@pytest.mark.parametrize("image", ["Train/2/1.png", "test/10/0.png"])
def test_fingerprint_changes_with_any_image(folder: Path, image: str) -> None:
    before = images.image_folder(folder).fingerprint
    save(folder / image, value=99)
    assert images.image_folder(folder).fingerprint != before


def test_fingerprint_changes_with_the_labels(folder: Path) -> None:
    before = images.image_folder(folder).fingerprint
    (folder / "Train" / "10" / "2.png").rename(folder / "Train" / "2" / "2.png")
    assert images.image_folder(folder).fingerprint != before


def test_folder_is_looked_for_like_a_data_set(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert images.image_folder(folder.name, data_dir=folder.parent).n_outputs == 2
    monkeypatch.setenv("GRIDSCAPE_DATA", str(folder.parent))
    assert images.image_folder(folder.name).n_outputs == 2


def test_missing_folder_is_told(tmp_path: Path) -> None:
    with pytest.raises(DataMissingError, match=r"gone: no such folder .* --task digits") as caught:
        images.image_folder("gone", data_dir=tmp_path)
    assert str(tmp_path) in str(caught.value)


def test_unknown_layout_offers_the_nearest(folder: Path) -> None:
    for make in (
        images.cifar10,
        images.cifar10_gray28,
        lambda layout: images.image_folder(folder, layout),
    ):
        with pytest.raises(UnknownNameError, match=r"unknown layout 'row'; did you mean 'rows'\?"):
            make("row")


def test_hidden_files_are_passed_over(folder: Path) -> None:
    for litter in (".DS_Store", "Train/.DS_Store", "Train/2/.hidden", "__MACOSX/Train/2/._0.png"):
        (folder / litter).parent.mkdir(parents=True, exist_ok=True)
        (folder / litter).write_bytes(b"litter")
    (folder / "README.txt").write_text("beside the two splits anything may lie")
    for path in (folder, zipped(folder)):
        assert len(images.image_folder(path).train.targets) == 5


@pytest.mark.parametrize("mode", ["1", "LA", "P", "RGBA"])
def test_other_pixel_formats_become_gray_or_color(tmp_path: Path, mode: str) -> None:
    gray = Image.fromarray(np.array([[0, 255, 0], [255, 255, 0]], np.uint8))
    for part in ("Train", "Test"):
        for label in "ab":
            path = tmp_path / part / label / "x.png"
            path.parent.mkdir(parents=True)
            gray.convert(mode).save(path)
    pixels = images.image_folder(tmp_path).train.inputs[0]
    assert pixels.shape[-1] == (1 if mode in ("1", "LA") else 3)
    assert (pixels == np.asarray(gray)[..., None]).all()


def break_folder(folder: Path, how: str) -> None:
    match how:
        case "size":
            save(folder / "Train" / "10" / "1.png", size=(4, 5))
        case "test size":
            save(folder / "test" / "10" / "1.png", size=(4, 5))
        case "color":
            save(folder / "Train" / "10" / "1.png", mode="RGB")
        case "16 bits":
            save(folder / "Train" / "10" / "1.png", mode="I;16")
        case "empty class":
            (folder / "Train" / "7").mkdir()
        case "strange class":
            save(folder / "test" / "7" / "0.png")
        case "no image":
            (folder / "Train" / "2" / "notes.txt").write_text("no image")
        case "torn":
            path = folder / "Train" / "2" / "1.png"
            path.write_bytes(path.read_bytes()[:-24])
        case "altered":
            path = folder / "Train" / "2" / "1.png"
            content = bytearray(path.read_bytes())
            content[-20] ^= 0xFF
            path.write_bytes(content)
        case "astray":
            save(folder / "Train" / "0.png")
        case "nested":
            save(folder / "Train" / "2" / "more" / "0.png")
        case "no test":
            (folder / "test").rename(folder / "held-out")
        case "empty test":
            (folder / "test").rename(folder / "old")
            (folder / "test").mkdir()
        case "both cases":
            save(folder / "TRAIN" / "2" / "0.png")
        case "two tops":
            for part in ("Train", "test"):
                (folder / part).rename(folder / "part")
                (folder / f"of-{part}").mkdir()
                (folder / "part").rename(folder / f"of-{part}" / part)
        case "one class":
            for part in ("Train", "test"):
                (folder / part / "2").rename(folder / f"{part}-2")


@pytest.mark.parametrize(
    ("how", "message"),
    [
        (
            "size",
            r"Train/10/1\.png: images of mixed size \(expected 2 x 3 gray like Train/2/0\.png, "
            r"found 5 x 4 gray\)",
        ),
        ("test size", r"test/10/1\.png: images of mixed size .*2 x 3 gray .* found 5 x 4 gray"),
        ("color", r"Train/10/1\.png: images of mixed size .*found 2 x 3 color"),
        ("16 bits", r"Train/10/1\.png: not an image of 8 bits .*found I;16"),
        ("empty class", r"Train/7: a class without images"),
        ("strange class", r"a class of Test that Train lacks \(expected one of 2, 10, found 7\)"),
        ("no image", r"Train/2/notes\.txt: not an image$"),
        ("torn", r"Train/2/1\.png: a damaged image"),
        ("altered", r"Train/2/1\.png: a damaged image"),
        ("astray", r"Train/0\.png: not in its place \(expected Train/<class>/<image>\)"),
        ("nested", r"Train/2/more/\S*: not in its place"),
        ("no test", r"no such folder of images \(expected .* found Train\)"),
        ("empty test", r"test/: no classes in this folder"),
        ("both cases", r"no such folder of images \(expected .* found TRAIN, Train, test\)"),
        ("two tops", r"no such folder of images \(.* found of-Train/Train, of-test/test\)"),
        ("one class", r"too few classes \(expected 2 or more, found 1\)"),
    ],
)
@pytest.mark.parametrize("packed", [False, True], ids=["folder", "zip"])
def test_bad_folder_is_told(folder: Path, packed: bool, how: str, message: str) -> None:
    break_folder(folder, how)
    path = zipped(folder) if packed else folder
    with pytest.raises(DataCorruptError, match=message) as caught:
        images.image_folder(path)
    assert str(caught.value).startswith(str(path))
    assert "\n" not in str(caught.value)


def test_neither_folder_nor_zip_is_told(tmp_path: Path) -> None:
    (tmp_path / "x.zip").write_bytes(b"PK no archive")
    with pytest.raises(DataCorruptError, match=r"x\.zip: neither a folder nor a whole \.zip file"):
        images.image_folder(tmp_path / "x.zip")
    (tmp_path / "empty").mkdir()
    with pytest.raises(DataCorruptError, match=r"no such folder of images .*found neither"):
        images.image_folder(tmp_path / "empty")


def test_damaged_zip_member_is_told(folder: Path) -> None:
    path = zipped(folder)
    content = bytearray(path.read_bytes())
    at = content.index(b"IDAT")
    content[at] ^= 0xFF
    path.write_bytes(content)
    with pytest.raises(DataCorruptError, match=r"\d\.png: a damaged image .*Bad CRC"):
        images.image_folder(path)


def test_unreadable_zip_is_told(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = zipped(folder)

    def refuse(path: Path) -> bytes:
        raise PermissionError(13, "Permission denied", str(path))

    monkeypatch.setattr(paths, "content_of", refuse)
    with pytest.raises(DataError, match=r"cannot be read \(found Permission denied\)"):
        images.image_folder(path)


def test_links_are_followed(folder: Path, tmp_path: Path) -> None:
    linked = tmp_path / "linked"
    linked.mkdir()
    os.symlink(folder / "Train", linked / "Train")
    os.symlink(folder / "test", linked / "test")
    assert images.image_folder(linked).fingerprint == images.image_folder(folder).fingerprint


def test_a_test_class_may_be_absent(folder: Path) -> None:
    (folder / "test" / "2").rename(folder / "held-out")
    task = images.image_folder(folder)
    assert (task.n_outputs, task.test.targets.tolist()) == (2, [1])
