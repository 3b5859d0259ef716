"""Arrays become a task: of files and of other libraries, with any labels, in any order of axes."""

import gzip
import pickle
import warnings

import h5py
import numpy as np
import pandas as pd
import pytest
import scipy.io

from gridscape.base.task import Task
from gridscape.errors import DataCorruptError, DataError, GridscapeError
from gridscape.tasks.own import arrays, idx

N = 60
RNG = np.random.default_rng(0)
X = RNG.integers(0, 256, (N, 8, 6), dtype=np.uint8)
Y = np.arange(N) % 3


def line_of(make, kind=GridscapeError):
    with pytest.raises(kind) as caught:
        make()
    line = str(caught.value)
    assert "\n" not in line
    assert len(line) <= 300
    return line


def same(task, other):
    return all(
        np.array_equal(getattr(a, part), getattr(b, part))
        for a, b in ((task.train, other.train), (task.test, other.test))
        for part in ("inputs", "targets")
    )


# ---- labels of any kind ----


@pytest.mark.parametrize(
    ("labels", "names"),
    [
        (Y + 1, ("1", "2", "3")),
        (Y * 5 - 5, ("-5", "0", "5")),
        (np.array(["dog", "cat", "eel"])[Y], ("cat", "dog", "eel")),
        (np.array([b"c10", b"c9", b"c1"])[Y], ("c1", "c9", "c10")),
        (np.array(["u", "v"], object)[Y % 2], ("u", "v")),
        ((Y + 1.0)[:, None], ("1", "2", "3")),
        (pd.Series(pd.Categorical(np.array(["lo", "mid", "hi"])[Y], ["lo", "mid", "hi"])), None),
        (np.eye(3, dtype=np.uint8)[Y], ()),
        (Y, ()),
    ],
)
def test_labels_of_any_kind_are_classes(labels, names):
    task = Task.from_arrays((X, labels), (X, labels))
    assert task.n_outputs == len(set(np.asarray(Y if np.ndim(labels) == 2 else labels).tolist()))
    assert names is None or task.classes == names
    assert task.train.targets.dtype == np.int32
    assert set(task.train.targets.tolist()) == set(range(task.n_outputs))


def test_labels_are_coded_alike_in_all_parts():
    labels = np.array(["b", "a", "c"])
    task = Task.from_arrays((X, labels[Y]), (X[:2], labels[[2, 0]]), validation=(X[:1], ["a"]))
    assert task.test.targets.tolist() == [2, 1]
    assert task.validation.targets.tolist() == [0]
    line = line_of(lambda: Task.from_arrays((X, labels[Y]), (X, Y)))
    assert line.startswith("labels: labels of two kinds")


def test_a_missing_label_is_told():
    labels = [*"ab" * 29, None, "a"]
    assert "none at example 58" in line_of(lambda: Task.from_arrays((X, labels), (X, labels)))


def test_whole_numbers_from_0_are_the_task_that_they_were():
    """Their keys stay: nothing names the classes."""
    task = Task.from_arrays((X, Y), (X, Y))
    assert task.fingerprint == Task.from_arrays((X, Y.tolist()), (X, Y), n_outputs=3).fingerprint
    named = Task.from_arrays((X, Y + 1), (X, Y + 1))
    assert named.fingerprint != task.fingerprint
    assert (named.train.targets == task.train.targets).all()


# ---- numbers ----


def test_numbers_of_one_or_several_outputs():
    y = RNG.normal(3, 2, (N, 2))
    for targets, n in ((y[:, 0], 1), (y, 2)):
        task = Task.from_arrays((X, targets), (X[:9], targets[:9]), validation=0.2)
        assert task.n_outputs == n
        assert task.train.targets.shape == (48, n)
        assert task.validation.n_examples == 12
    whole = Task.from_arrays((X, Y), (X, Y), predict="numbers", unit="points")
    assert whole.meanings["rmse"].unit == "points"
    bad = np.where(np.arange(N) == 7, np.nan, y[:, 0])
    line = line_of(lambda: Task.from_arrays((X, bad), (X, bad), predict="numbers"))
    assert "nan at example 7" in line


def test_numbers_that_change_are_another_task():
    y = RNG.normal(size=N)
    before = Task.from_arrays((X, y), (X, y)).fingerprint
    assert Task.from_arrays((X, y), (X, y)).fingerprint == before
    assert Task.from_arrays((X, y * 2), (X, y * 2)).fingerprint != before, "standardized alike"


# ---- one set of examples, axes, layouts, scales ----


def test_one_set_is_split_by_share_of_every_class():
    task = Task.from_arrays((X, Y))
    assert [np.bincount(s.targets).tolist() for s in (task.train, task.validation, task.test)] == [
        [14] * 3,
        [3] * 3,
        [3] * 3,
    ]
    assert Task.from_arrays((X, Y), 0.5, validation=0).validation is None
    assert not same(Task.from_arrays((X, Y), split_seed=1), task)


def test_axes_in_any_order():
    plain = Task.from_arrays((X[..., None], Y), (X[..., None], Y))
    turned = np.transpose(X[..., None], (1, 2, 3, 0))
    assert same(Task.from_arrays((turned, Y), (turned, Y), order="HWCN"), plain)
    first = np.transpose(X[..., None], (0, 3, 1, 2))
    assert same(Task.from_arrays((first, Y), (first, Y), order="nchw"), plain)
    for order in ("HWC", "NHWX", "NNHW", "NHW", 5):
        assert line_of(lambda o=order: Task.from_arrays((first, Y), order=o)).startswith("order: ")


def test_layouts():
    shapes = {n: Task.from_arrays((X, Y), layout=n).input_shape for n in ("rows", "flat", "image")}
    assert shapes == {"rows": (8, 6), "flat": (48,), "image": (8, 6, 1)}
    color = np.repeat(X[..., None], 3, axis=-1)
    assert Task.from_arrays((color, Y), layout="rows").input_shape == (8, 18)
    assert "layout: unknown layout" in line_of(lambda: Task.from_arrays((X, Y), layout="tiles"))
    flat = X.reshape(N, -1)
    assert "layout: does not fit" in line_of(lambda: Task.from_arrays((flat, Y), layout="rows"))


def test_a_number_that_is_missing_is_told_by_its_own_example():
    inputs = np.random.default_rng(0).normal(size=(40, 3, 2))
    inputs[7, 2, 1] = np.nan
    line = line_of(lambda: Task.from_arrays((inputs, np.arange(40) % 2)))
    assert line.startswith(
        "inputs: inputs are not all finite (found nan at example 7, place (2, 1)"
    )


def test_standardized_inputs():
    wide = RNG.normal([5.0, 1e5], [1.0, 1e4], (N, 2))
    with pytest.warns(UserWarning, match="spreads differ by more than a thousand"):
        Task.from_arrays((wide, Y))
    task = Task.from_arrays((wide, Y), scale="standard")
    np.testing.assert_allclose(task.train.inputs.mean(axis=0), 0, atol=1e-5)
    np.testing.assert_allclose(task.train.inputs.std(axis=0), 1, atol=1e-5)


def test_what_is_odd_about_inputs_is_told():
    with pytest.warns(UserWarning, match="inputs of 0 to 255 that are not uint8"):
        Task.from_arrays((X.astype(np.int64), Y), (X.astype(np.int64), Y))
    twice = np.repeat(X[:30], 2, axis=0)
    with pytest.warns(UserWarning, match="test inputs are also among the training inputs"):
        Task.from_arrays((twice, Y))
    holes = np.where(np.arange(N)[:, None] == 4, np.nan, np.zeros((N, 2)))
    line = line_of(lambda: Task.from_arrays((holes, Y), (holes, Y)))
    assert line.startswith("train: inputs are not all finite (found nan at example 4, place (0,))")


# ---- other libraries ----


class Tensor:
    """What PyTorch's tensors have: NumPy takes none that learns or lies on a device."""

    def __init__(self, array, home=False):
        self.array, self.home = array, home

    def detach(self):
        return self

    def cpu(self):
        return Tensor(self.array, home=True)

    def numpy(self):
        return self.array

    def __array__(self, dtype=None, copy=None):
        if not self.home:
            raise TypeError("can't convert a device tensor to numpy")
        return self.array


class TensorDataset:
    def __init__(self, *tensors):
        self.tensors = tensors


def test_arrays_of_other_libraries():
    plain = Task.from_arrays((X, Y), (X, Y))
    assert same(Task.from_arrays(TensorDataset(Tensor(X), Tensor(Y)), (Tensor(X), Y)), plain)
    flat = X.reshape(N, -1)
    frame = pd.DataFrame(flat)
    assert same(
        Task.from_arrays((frame, pd.Series(Y)), (frame, Y)), Task.from_arrays((flat, Y), (flat, Y))
    )
    named = {"images": X, "labels": Y}
    assert same(Task.from_arrays(named, named), plain)


# ---- files ----

KEYS = {
    "X and y": ("X", "y"),
    "images and labels": ("images", "labels"),
    "data and target": ("data", "target"),
    "strange": ("first", "second"),
    "of a library": ("trainX", "trainY"),
}


@pytest.mark.parametrize(("inputs", "targets"), KEYS.values(), ids=KEYS)
def test_keys_are_guessed(tmp_path, inputs, targets):
    np.savez(tmp_path / "a.npz", **{inputs: X, targets: Y[:, None]})
    assert same(arrays(tmp_path / "a.npz"), Task.from_arrays((X, Y)))


def test_parts_are_found_by_name(tmp_path):
    parts = {"train": slice(0, 40), "val": slice(40, 50), "test": slice(50, 60)}
    for form in ("{}_images {}_labels", "x_{} y_{}", "{}Data {}Labels"):
        inputs, targets = form.split()
        found = {inputs.format(p): X[at] for p, at in parts.items()}
        found |= {targets.format(p): Y[at][:, None] for p, at in parts.items()}
        np.savez_compressed(tmp_path / "a.npz", **found)
        task = arrays(tmp_path / "a.npz")
        sizes = [s.n_examples for s in (task.train, task.validation, task.test)]
        assert sizes == [40, 10, 10], form
    without = {n: a for n, a in found.items() if not n.startswith("val")}
    np.savez(tmp_path / "b.npz", **without)
    task = arrays(tmp_path / "b.npz", validation=0.25)
    assert [s.n_examples for s in (task.train, task.validation, task.test)] == [30, 10, 10]
    assert arrays(tmp_path / "b.npz", validation=0).validation is None


def test_names_that_are_told(tmp_path):
    np.savez(tmp_path / "a.npz", images=X, coarse=Y % 2, fine=Y)
    assert arrays(tmp_path / "a.npz", targets="fine").n_outputs == 3
    line = line_of(lambda: arrays(tmp_path / "a.npz"))
    assert "which arrays are inputs and targets?" in line
    assert "coarse (60,)" in line
    assert "did you mean 'fine'?" in line_of(lambda: arrays(tmp_path / "a.npz", targets="fin"))


def test_a_file_of_svhn(tmp_path):
    """Examples last, labels 1 to 10 in a column."""
    pictures, labels = RNG.integers(0, 256, (32, 32, 3, 200), np.uint8), np.arange(200) % 10 + 1
    scipy.io.savemat(tmp_path / "train_32x32.mat", {"X": pictures, "y": labels[:, None]})
    task = arrays(tmp_path / "train_32x32.mat")
    assert task.input_shape == (32, 32, 3)
    assert task.classes == tuple(map(str, range(1, 11)))


def test_files_of_matlab_and_hdf5(tmp_path):
    scipy.io.savemat(tmp_path / "5.mat", {"data": X, "labels": Y})
    scipy.io.savemat(tmp_path / "4.mat", {"X": X.reshape(N, -1), "y": Y}, format="4")
    with h5py.File(tmp_path / "7.mat", "w", userblock_size=512) as file:
        file["X"], file["y"] = X.T, Y[None]  # MATLAB writes the last axis first
        file["#refs#/a"] = [1, 2]
    with h5py.File(tmp_path / "a.h5", "w") as file:
        file["train/images"], file["train/labels"] = X, [str(y) for y in Y]
    plain = Task.from_arrays((X, Y))
    assert same(arrays(tmp_path / "5.mat"), plain)
    assert same(arrays(tmp_path / "7.mat"), plain)
    assert same(arrays(tmp_path / "a.h5"), plain)
    assert arrays(tmp_path / "4.mat").input_shape == (48,)


def test_a_folder_of_one_array_a_file(tmp_path):
    np.save(tmp_path / "X.npy", X.astype(np.int64))
    np.save(tmp_path / "y.npy", np.array(["a", "b", "c"])[Y])
    task = arrays(tmp_path)
    assert task.classes == ("a", "b", "c")
    assert task.train.inputs.dtype == np.uint8, "pixels are read as such"


class Marker:
    """What touches a file when it is unpickled."""

    def __init__(self, path):
        self.path = path

    def __reduce__(self):
        return (open, (str(self.path), "w"))


def test_nothing_that_is_read_is_run(tmp_path):
    mark = tmp_path / "mark"
    np.save(tmp_path / "X.npy", np.array([Marker(mark)], object), allow_pickle=True)
    np.savez(tmp_path / "a.npz", X=np.array([Marker(mark)], object), y=Y)
    (tmp_path / "a.pkl").write_bytes(pickle.dumps(Marker(mark)))
    (tmp_path / "a.npy").write_bytes(pickle.dumps(Marker(mark)))
    for name in ("a.npz", "a.npy", "X.npy"):
        line = line_of(lambda name=name: arrays(tmp_path / name), DataCorruptError)
        assert "pickled objects" in line
    assert "can run code" in line_of(lambda: arrays(tmp_path / "a.pkl"), DataError)
    assert not mark.exists()


BAD_FILES = {
    "an unknown version": ("a.mat", b"MATLAB 9.9 MAT-file" + b" " * 600, "of an unknown version"),
    "no matrix": ("b.mat", b"\xff" * 600, "of an unknown version"),
    "half a file": ("c.npz", b"PK\x03\x04", "cannot be read"),
    "no hdf5": ("d.h5", b"x" * 700, "cannot be read"),
    "nothing": ("e.npy", b"", "an empty file"),
    "another kind": ("f.bin", b"xx", "not a file of arrays"),
}


@pytest.mark.parametrize(("name", "content", "what"), BAD_FILES.values(), ids=BAD_FILES)
def test_files_that_hold_no_arrays(tmp_path, name, content, what):
    (tmp_path / name).write_bytes(content)
    line = line_of(lambda: arrays(tmp_path / name), DataError)
    assert what in line
    assert name in line


# ---- IDX ----


def idx_bytes(array):
    head = bytes([0, 0, 8, array.ndim]) + b"".join(n.to_bytes(4, "big") for n in array.shape)
    return head + array.astype(np.uint8).tobytes()


def write_set(folder, form, packed=False, prefix=""):
    folder.mkdir(exist_ok=True)
    for part, n in (("train", 48), ("t10k", 12)):
        for kind, dims, array in (("images", 3, X[:n]), ("labels", 1, Y[:n])):
            name = prefix + form.format(part=part, kind=kind, dims=dims)
            content = idx_bytes(array)
            path = folder / (name + ".gz" * packed)
            path.write_bytes(gzip.compress(content) if packed else content)


@pytest.mark.filterwarnings("ignore:.*also among the training inputs")
@pytest.mark.parametrize("packed", [True, False])
@pytest.mark.parametrize("form", ["{part}-{kind}-idx{dims}-ubyte", "{part}-{kind}.idx{dims}-ubyte"])
def test_idx_pairs_in_either_spelling_packed_or_not(tmp_path, form, packed):
    write_set(tmp_path, form, packed)
    task = idx(tmp_path, validation=0.25, layout="image")
    assert task.input_shape == (8, 6, 1)
    assert [s.n_examples for s in (task.train, task.validation, task.test)] == [36, 12, 12]


@pytest.mark.filterwarnings("ignore:.*also among the training inputs")
def test_one_of_several_sets_by_the_beginning_of_its_names(tmp_path):
    form = "{part}-{kind}-idx{dims}-ubyte"
    write_set(tmp_path, form, prefix="emnist-letters-")
    write_set(tmp_path, form, prefix="emnist-digits-")
    assert "IDX files of several sets" in line_of(lambda: idx(tmp_path))
    task = idx(tmp_path / "emnist-letters", turned=True, validation=0)
    assert (task.train.inputs == np.swapaxes(X[:48], 1, 2)).all()


def test_idx_files_that_are_not_whole(tmp_path):
    assert "no IDX files" in line_of(lambda: idx(tmp_path))
    write_set(tmp_path, "{part}-{kind}-idx{dims}-ubyte")
    path = tmp_path / "train-images-idx3-ubyte"
    path.write_bytes(path.read_bytes()[:-1])
    assert "not as long as its header says" in line_of(lambda: idx(tmp_path), DataCorruptError)
    path.unlink()
    assert "not a pair of IDX files" in line_of(lambda: idx(tmp_path), DataCorruptError)


def long_header(*shape):
    """The head of an IDX file of bytes."""
    return bytes([0, 0, 8, len(shape)]) + b"".join(size.to_bytes(4, "big") for size in shape)


@pytest.mark.parametrize("shape", [(0, *[2**32 - 1] * 3), (0,) * 70, (2**32 - 1,) * 20, (12,) * 19])
def test_idx_files_of_a_shape_that_no_array_has(tmp_path, shape):
    write_set(tmp_path, "{part}-{kind}-idx{dims}-ubyte")
    (tmp_path / "train-images-idx3-ubyte").write_bytes(long_header(*shape))
    assert len(line_of(lambda: idx(tmp_path), DataCorruptError)) <= 300


def test_warnings_are_told_once_a_task():
    with warnings.catch_warnings(record=True) as told:
        warnings.simplefilter("always")
        Task.from_arrays((X.astype(float), Y))
    assert len(told) == 1
