"""Folders of pictures as people have them: parts, classes, trouble, and every kind of file."""

import zipfile

import numpy as np
import pytest
from PIL import Image

from gridscape.base.task import Task
from gridscape.data.pictures import pixels_of
from gridscape.errors import DataCorruptError, DataError, GridscapeError

RNG = np.random.default_rng(0)


def draw(path, shape=(8, 8), **options):
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(RNG.integers(0, 256, shape, np.uint8)).save(path, **options)


def fill(folder, n=12, classes=("cat", "dog")):
    for name in classes:
        for i in range(n):
            draw(folder / name / f"{i}.png")
    return folder


def sizes(task):
    parts = (task.train, task.validation, task.test)
    return [0 if part is None else part.n_examples for part in parts]


def line_of(make, kind=GridscapeError):
    with pytest.raises(kind) as caught:
        make()
    line = str(caught.value)
    assert "\n" not in line
    assert len(line) <= 400
    return line


# ---- parts and classes ----


def test_classes_only_are_split_by_a_seed(tmp_path):
    task = Task.from_images(fill(tmp_path / "photos"))
    assert task.classes == ("cat", "dog")
    assert task.input_shape == (8, 8, 1)
    assert sizes(task) == [16, 4, 4]
    assert np.bincount(task.test.targets).tolist() == [2, 2]
    other = Task.from_images(tmp_path / "photos", split_seed=1)
    assert not np.array_equal(other.test.inputs, task.test.inputs)
    assert Task.from_images(tmp_path).fingerprint == task.fingerprint, "below a top folder"


@pytest.mark.parametrize(
    ("names", "expected"),
    [
        (("train", "val"), [20, 24, 4]),
        (("training", "testing"), [20, 4, 24]),
        (("Train", "valid", "TEST"), [24, 24, 24]),
    ],
)
def test_the_customary_names_of_parts(tmp_path, names, expected):
    for name in names:
        fill(tmp_path / "top" / name)
    task = Task.from_images(tmp_path)
    assert sizes(task) == expected
    assert task.classes == ("cat", "dog")


def test_classes_that_are_called_like_parts(tmp_path):
    assert Task.from_images(fill(tmp_path, classes=("test", "car"))).classes == ("car", "test")


def test_classes_in_natural_order(tmp_path):
    assert Task.from_images(fill(tmp_path, classes=("n10", "n9"))).classes == ("n9", "n10")


def test_a_zip_is_read_like_its_folder(tmp_path):
    fill(tmp_path / "photos")
    with zipfile.ZipFile(tmp_path / "photos.zip", "w") as archive:
        for path in sorted((tmp_path / "photos").rglob("*.png")):
            archive.write(path, path.relative_to(tmp_path))
        archive.writestr("__MACOSX/photos/cat/._0.png", b"x")
    plain = Task.from_images(tmp_path / "photos").fingerprint
    assert Task.from_images(tmp_path / "photos.zip").fingerprint == plain


def test_a_table_of_names_and_labels(tmp_path):
    for i in range(20):
        draw(tmp_path / "images" / f"{i}.png")
    rows = "".join(f"{i}.png,{'ab'[i % 2]},{i}\n" for i in range(21))
    (tmp_path / "labels.csv").write_text("filename,label,id\n" + rows)
    with pytest.warns(UserWarning, match="1 of 21 rows of labels.csv name no picture"):
        task = Task.from_images(tmp_path)
    assert task.classes == ("a", "b")
    assert sizes(task) == [12, 4, 4]
    with pytest.raises(GridscapeError, match="did you mean 'label'"):
        Task.from_images(tmp_path, labels="labels.csv", target="lable")


# ---- trouble ----


def test_what_is_no_picture_is_passed_over_and_told(tmp_path):
    fill(tmp_path)
    (tmp_path / "cat" / "Thumbs.db").write_bytes(b"x")
    (tmp_path / "cat" / ".DS_Store").write_bytes(b"x")
    (tmp_path / "readme.txt").write_text("about")
    draw(tmp_path / "lost.png")
    with pytest.warns(UserWarning, match="passed over") as told:
        task = Task.from_images(tmp_path)
    lines = [str(one.message) for one in told]
    assert lines == [
        "images: passed over, in no folder of a class: 1 picture",
        "images: passed over, no pictures: 2 files: Thumbs.db, readme.txt",
    ]
    assert sum(sizes(task)) == 24


def broken(folder):
    """An empty PNG, half a JPEG, an animation."""
    (folder / "cat" / "empty.png").write_bytes(b"")
    draw(folder / "cat" / "half.jpg", (64, 64))
    content = (folder / "cat" / "half.jpg").read_bytes()
    (folder / "cat" / "half.jpg").write_bytes(content[: len(content) // 2])
    frames = [Image.new("L", (8, 8), i * 80) for i in range(3)]
    frames[0].save(folder / "dog" / "moving.gif", save_all=True, append_images=frames[1:])


def test_all_unreadable_pictures_are_told_at_once_and_left_out_on_request(tmp_path):
    broken(fill(tmp_path))
    line = line_of(lambda: Task.from_images(tmp_path), DataCorruptError)
    assert "3 of 27 pictures cannot be read" in line
    for found in ("empty.png (an empty file)", "half.jpg (damaged)", "animation of 3 frames"):
        assert found in line
    with pytest.warns(UserWarning, match="left out, cannot be read: 3 pictures"):
        task = Task.from_images(tmp_path, unreadable="leave out")
    assert sum(sizes(task)) == 24


def test_other_sizes_and_colors_are_counted_and_made_equal(tmp_path):
    fill(tmp_path, 20)
    draw(tmp_path / "cat" / "color.png", (8, 8, 3))
    draw(tmp_path / "dog" / "large.png", (9, 10))
    line = line_of(lambda: Task.from_images(tmp_path), DataCorruptError)
    assert "40 of 8 x 8 gray, 1 of 8 x 8 in color, 1 of 9 x 10 gray" in line
    assert 'size = [8, 8] and color = "gray" makes them equal' in line
    task = Task.from_images(tmp_path, size=[8, 8], color="gray")
    assert sum(sizes(task)) == 42
    assert Task.from_images(tmp_path, size=4, color="color").input_shape == (4, 4, 3)


@pytest.mark.parametrize(
    ("options", "what"),
    [
        ({"size": [8]}, "size: not a size"),
        ({"size": [0, 8]}, "size: out of range"),
        ({"color": "grey"}, "did you mean 'gray'?"),
        ({"unreadable": "skip"}, "unknown value of unreadable"),
        ({"labels": "gone.csv"}, "labels: no such list of labels"),
        ({"labels": "../labels.csv"}, "labels: out of reach"),
        ({"labels": "/etc/hosts.csv"}, "labels: out of reach"),
        ({"layout": "tiles"}, "layout: unknown layout"),
        ({"colour": "gray"}, "did you mean 'color'?"),
    ],
)
def test_requests_that_cannot_be(tmp_path, options, what):
    fill(tmp_path)
    assert what in line_of(lambda: Task.from_images(tmp_path, **options))


def test_folders_without_classes(tmp_path):
    assert "no pictures" in line_of(lambda: Task.from_images(tmp_path), DataError)
    fill(tmp_path, classes=("cat",))
    assert "too few classes" in line_of(lambda: Task.from_images(tmp_path), DataError)


# ---- as a person sees them ----


def content(tmp_path, image, name, **options):
    image.save(tmp_path / name, **options)
    return (tmp_path / name).read_bytes()


def test_a_ramp_of_16_bits(tmp_path):
    ramp = np.linspace(0, 65535, 64).astype(np.uint16).reshape(8, 8)
    pixels = pixels_of(content(tmp_path, Image.fromarray(ramp), "a.png"), None, None)
    assert pixels.shape == (8, 8, 1)
    assert (pixels[..., 0] == ramp // 257).all()
    assert pixels.max() == 255


def test_cmyk_palettes_transparency_and_phones(tmp_path):
    red = Image.new("RGB", (8, 4), (255, 0, 0))
    cmyk = pixels_of(content(tmp_path, red.convert("CMYK"), "a.jpg", quality=95), None, None)
    assert cmyk.shape == (4, 8, 3)
    assert cmyk[..., 0].min() > 240
    assert cmyk[..., 1:].max() < 20
    palette = pixels_of(content(tmp_path, red.convert("P"), "a.gif"), None, None)
    assert (palette == [255, 0, 0]).all()
    clear = Image.new("RGBA", (8, 4), (0, 0, 0, 0))
    assert (pixels_of(content(tmp_path, clear, "a.png"), None, None) == 255).all(), "on white"
    exif = Image.Exif()
    exif[0x0112] = 6  # to be turned by a quarter
    turned = pixels_of(content(tmp_path, red, "b.jpg", exif=exif), None, None)
    assert turned.shape == (8, 4, 3)
    one_bit = Image.fromarray(np.eye(8, dtype=bool))
    assert set(np.unique(pixels_of(content(tmp_path, one_bit, "c.png"), None, None))) == {0, 255}


def test_pixels_that_are_no_picture(tmp_path):
    with pytest.raises(ValueError, match="pixels of kind F"):
        pixels_of(content(tmp_path, Image.new("F", (4, 4)), "a.tif"), None, None)
    with pytest.raises(ValueError, match="no picture"):
        pixels_of(b"<html>not found</html>", None, None)


@pytest.mark.filterwarnings("ignore:.*also among the training inputs")
def test_links_hidden_files_and_names_of_any_kind(tmp_path):
    folder = tmp_path / 'a "b" <é>'
    fill(folder)
    (folder / "cat" / ".hidden.png").write_bytes(b"x")
    (folder / ".git").mkdir()
    draw(folder / ".git" / "none.png")
    (folder / "cat" / "again.png").symlink_to(folder / "cat" / "0.png")
    (folder / "cat" / "loop").symlink_to(folder)
    (tmp_path / "link").symlink_to(folder)
    task = Task.from_images(tmp_path / "link")
    assert sum(sizes(task)) == 25
    (folder / "cat" / "dead.png").symlink_to(tmp_path / "nowhere.png")
    with pytest.raises(GridscapeError, match=r"dead.png \(a link to what is not there\)"):
        Task.from_images(folder)


def test_what_a_class_lacks_in_a_part_and_pictures_of_two_parts_are_told(tmp_path):
    fill(tmp_path / "train")
    (tmp_path / "test" / "cat").mkdir(parents=True)
    some = sorted((tmp_path / "train" / "cat").glob("*.png"))[:3]
    for path in some:
        (tmp_path / "test" / "cat" / path.name).write_bytes(path.read_bytes())
    with pytest.warns(UserWarning, match="images") as told:
        task = Task.from_images(tmp_path, validation=0)
    lines = [str(one.message).partition(": ")[2] for one in told]
    assert lines == list(task.told)
    assert lines[0] == "no test examples of class 'dog'"
    assert lines[1] == "3 of 3 test inputs are also among the training inputs"
