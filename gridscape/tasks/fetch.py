"""Where data sets are looked for, and how they are fetched: always by their pinned SHA-256.

A data set is looked for in ``data_dir``, then in $GRIDSCAPE_DATA, then in the user's cache; in
each in the folder itself and in its sub-folder of the data set's name. What is found is used as it
is or refused, never replaced. What is missing is fetched into the cache, where the data set has
mirrors. Nothing here imports JAX.
"""

import hashlib
import os
import sys
import threading
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple
from urllib.parse import urlsplit

import platformdirs

from gridscape.data.paths import content_of
from gridscape.errors import DataCorruptError, DataError, DataMissingError, UnknownNameError

if TYPE_CHECKING:
    from rich.progress import Progress

ANSWER_SECONDS = 5  # how long all mirrors together have to answer at all
STALL_SECONDS = 10  # how long a mirror that answered may stay silent
CHUNK_BYTES = 1 << 16
SHOWN = 16  # digits of a checksum in an error: enough to tell two apart


class DataFile(NamedTuple):
    """A file of a data set, as published."""

    name: str
    sha256: str
    size_bytes: int


@dataclass(frozen=True)
class DataSet:
    """A data set: its files, the addresses that serve them, and whose it is.

    No files: the data set comes with a package. No mirrors: only the user can put it in place.
    ``instead`` lists other files, any one of which holds all the same; they are used where they
    are found, and never fetched.
    """

    name: str
    files: tuple[DataFile, ...]
    mirrors: tuple[str, ...]
    note: str
    instead: tuple[DataFile, ...] = ()

    @property
    def editions(self) -> list[tuple[DataFile, ...]]:
        """The groups of files, each of which is the whole data set; the first can be fetched."""
        return [self.files, *((file,) for file in self.instead)]


@dataclass(frozen=True)
class DataSetStatus:
    """What is known of a data set on this machine.

    files: the names of its files, of those found where several do; none when it is embedded.
    found_at: the folder that has all of them, or None.
    size_bytes: of all its files, as published.
    checksum_ok: True when verified, False when a size is already wrong, None when not checked.
    embedded: whether it comes with a package, so that nothing needs to be fetched.
    note: its source and licence.
    """

    name: str
    files: tuple[str, ...]
    found_at: Path | None
    size_bytes: int
    checksum_ok: bool | None
    embedded: bool
    note: str


DATA_SETS = {
    data_set.name: data_set
    for data_set in (
        DataSet(
            name="digits",
            files=(),
            mirrors=(),
            note="Optical Recognition of Handwritten Digits (Alpaydin and Kaynak, 1998), "
            "CC BY 4.0; comes with scikit-learn",
        ),
        DataSet(
            name="mnist",
            files=(
                DataFile(
                    "train-images-idx3-ubyte.gz",
                    "440fcabf73cc546fa21475e81ea370265605f56be210a4024d2ca8f203523609",
                    9_912_422,
                ),
                DataFile(
                    "train-labels-idx1-ubyte.gz",
                    "3552534a0a558bbed6aed32b30c495cca23d567ec52cac8be1a0730e8010255c",
                    28_881,
                ),
                DataFile(
                    "t10k-images-idx3-ubyte.gz",
                    "8d422c7b0a1c1c79245a5bcf07fe86e33eeafee792b84584aec276f5a2dbc4e6",
                    1_648_877,
                ),
                DataFile(
                    "t10k-labels-idx1-ubyte.gz",
                    "f7ae60f92e00ec6debd23a6088c31dbd2371eca3ffa0defaefb259924204aec6",
                    4_542,
                ),
            ),
            mirrors=(
                "https://storage.googleapis.com/cvdf-datasets/mnist/",
                "https://ossci-datasets.s3.amazonaws.com/mnist/",
            ),
            note="MNIST (LeCun, Cortes, Burges), CC BY-SA 3.0",
        ),
        DataSet(
            name="cifar10-gray28",
            files=(
                DataFile(
                    "cifar10-gray28.zip",
                    "3f76eb3a6cb59d558b6d03fe107557394637a2d084e73fa22ae5391552441d5e",
                    9_076_652,
                ),
            ),
            mirrors=(),
            note="the first 1,000 + 100 images of each class of CIFAR-10 (Krizhevsky, 2009), "
            "28 x 28, gray; no mirror",
        ),
        DataSet(
            name="cifar10",
            files=(
                DataFile(
                    "cifar-10-binary.tar.gz",
                    "c4a38c50a1bc5f3a1c5537f2155ab9d68f9f25eb1ed8d9ddda3db29a59bca1dd",
                    170_052_171,
                ),
            ),
            instead=(
                DataFile(
                    "cifar-10-python.tar.gz",
                    "6d958be074577803d12ecdefd02955f39262c83c16fe9348329d7fe0b5c001ce",
                    170_498_071,
                ),
            ),
            mirrors=("https://www.cs.toronto.edu/~kriz/",),
            note="CIFAR-10 (Krizhevsky, 2009), 32 x 32, color; the binary or the Python archive",
        ),
    )
}


def search_folders(data_dir: str | Path | None = None) -> list[Path]:
    """The folders in which data sets are looked for, the first one first."""
    given = (data_dir, os.environ.get("GRIDSCAPE_DATA"), cache_folder())
    return list(dict.fromkeys(Path(folder).expanduser() for folder in given if folder))


def cache_folder() -> Path:
    """The user's cache of data sets."""
    return platformdirs.user_cache_path("gridscape")


def status(data_dir: str | Path | None = None) -> list[DataSetStatus]:
    """What is known of every data set, without reading or fetching any.

    >>> [data_set.name for data_set in status()]
    ['digits', 'mnist', 'cifar10-gray28', 'cifar10']
    """
    return [_status(data_set, data_dir) for data_set in DATA_SETS.values()]


def absent(data_dir: str | Path | None = None) -> set[str]:
    """The data sets that would have to be fetched."""
    return {s.name for s in status(data_dir) if not s.embedded and s.found_at is None}


def check(name: str, data_dir: str | Path | None = None) -> DataSetStatus:
    """The status of a data set after verifying every checksum.

    Raises UnknownNameError; DataMissingError where it is not on this machine; DataCorruptError
    where a file is truncated or altered.
    """
    data_set = _data_set(name)
    found = _find(data_set, data_dir)
    if found is None:
        raise _missing(data_set, data_dir)
    for file in found.files:
        _read(data_set, found.folder / file.name, file)
    return _status(data_set, data_dir, checksum_ok=True)


def fetch(name: str, data_dir: str | Path | None = None) -> DataSetStatus:
    """Fetches what is missing of a data set into ``data_dir``, else the user's cache; checks all.

    Raises what ``check`` raises, and DataError where the folder cannot be written.
    """
    data_set = _data_set(name)
    if _find(data_set, data_dir) is None:
        place = Path(data_dir).expanduser() if data_dir else cache_folder()
        _fetch_into(place, data_set, data_dir)
    return check(name, data_dir)


def load(name: str, data_dir: str | Path | None = None) -> dict[str, bytes]:
    """The verified contents of a data set's files, by name; fetched into the cache when missing.

    Raises what ``fetch`` raises.
    """
    data_set = _data_set(name)
    found = _find(data_set, data_dir) or _fetch_into(cache_folder(), data_set, data_dir)
    return {file.name: _read(data_set, found.folder / file.name, file) for file in found.files}


def keep(name: str, contents: Mapping[str, bytes]) -> None:
    """Put the files of a data set, by name, into the cache, as ``load`` gave them elsewhere.

    Raises DataError where they cannot be written; who loads them verifies them.
    """
    folder = cache_folder() / name
    try:
        folder.mkdir(parents=True, exist_ok=True)
        for file_name, content in contents.items():
            part = folder / f"{file_name}.{os.getpid()}.part"  # others may bring the same
            part.write_bytes(content)
            part.replace(folder / file_name)
    except OSError as error:
        raise _cannot_be_written(folder, error) from error


def _data_set(name: str) -> DataSet:
    if name not in DATA_SETS:
        raise UnknownNameError("data set", name, DATA_SETS)
    return DATA_SETS[name]


def _status(
    data_set: DataSet, data_dir: str | Path | None, checksum_ok: bool | None = None
) -> DataSetStatus:
    found = _find(data_set, data_dir) if data_set.files else None
    files = found.files if found else data_set.files
    if found and any((found.folder / f.name).stat().st_size != f.size_bytes for f in files):
        checksum_ok = False
    return DataSetStatus(
        name=data_set.name,
        files=tuple(file.name for file in files),
        found_at=found.folder if found else None,
        size_bytes=sum(file.size_bytes for file in files),
        checksum_ok=checksum_ok,
        embedded=not data_set.files,
        note=data_set.note,
    )


class _Found(NamedTuple):
    """A folder, and the files in it that are the data set."""

    folder: Path
    files: tuple[DataFile, ...]


def _find(data_set: DataSet, data_dir: str | Path | None) -> _Found | None:
    """The first folder that has all files of an edition of the data set."""
    for folder in _places(data_set, search_folders(data_dir)):
        for files in data_set.editions:
            if not _absent(files, folder):
                return _Found(folder, files)
    return None


def _places(data_set: DataSet, folders: list[Path]) -> list[Path]:
    return [place for folder in folders for place in (folder, folder / data_set.name)]


def _absent(files: tuple[DataFile, ...], folder: Path) -> list[DataFile]:
    # os.path.isfile is False, not an error, where a folder may not be entered.
    return [file for file in files if not os.path.isfile(folder / file.name)]


def _read(data_set: DataSet, path: Path, file: DataFile) -> bytes:
    try:
        content = content_of(path)
    except OSError as error:
        raise DataError("cannot be read", where=path, found=error.strerror) from error
    found = hashlib.sha256(content).hexdigest()
    if found != file.sha256:
        again = (
            f"run `gridscape data fetch {data_set.name}`" if data_set.mirrors else "copy it anew"
        )
        raise DataCorruptError(
            "the file is truncated or altered",
            where=path,
            expected=f"SHA-256 {file.sha256[:SHOWN]}... and {file.size_bytes} bytes",
            found=f"{found[:SHOWN]}... and {len(content)} bytes",
            hint=f"delete it and {again}",
        )
    return content


def _missing(
    data_set: DataSet, data_dir: str | Path | None, failures: tuple[str, ...] = ()
) -> DataMissingError:
    """What is missing, where it may be put, why no mirror helped, and what to do."""
    folders = search_folders(data_dir)
    place = folders[0] / data_set.name
    untried = data_set.mirrors and not failures
    fetch_it = f"run `gridscape data fetch {data_set.name}`, " if untried else ""
    return DataMissingError(
        "not on this machine" + (f", and {'; '.join(failures)}" if failures else ""),
        where=data_set.name,
        expected=_wanted(data_set),
        found=_found_in_part(data_set, folders),
        hint=f"{fetch_it}put them into {place}, or take --task digits",
    )


def _wanted(data_set: DataSet) -> str:
    names = [[file.name for file in files] for files in data_set.editions]
    return ", or ".join(", ".join(some) for some in names)


def _found_in_part(data_set: DataSet, folders: list[Path]) -> str | None:
    for folder in _places(data_set, folders):
        absent = [file.name for file in _absent(data_set.files, folder)]
        if 0 < len(absent) < len(data_set.files):
            return f"{folder} without {', '.join(absent)}"
    return None


def _fetch_into(place: Path, data_set: DataSet, data_dir: str | Path | None) -> _Found:
    """Fetches the files that the place lacks, from the first mirror that serves them."""
    folder = place / data_set.name
    failures = _silent_mirrors(data_set)
    for mirror in data_set.mirrors:
        if mirror in failures:
            continue
        try:
            for file in _absent(data_set.files, folder):
                _retrieve(mirror + file.name, file, folder)
            return _Found(folder, data_set.files)
        except _MirrorFailedError as failure:
            failures[mirror] = str(failure)
    by_reason = {
        why: [urlsplit(m).netloc for m in failures if failures[m] == why]
        for why in failures.values()
    }
    told = tuple(f"{', '.join(hosts)} {why}" for why, hosts in by_reason.items())
    raise _missing(data_set, data_dir, told)


class _MirrorFailedError(Exception):
    """What a mirror did wrong."""


def _retrieve(url: str, file: DataFile, folder: Path) -> None:
    """One file by pooch: to a temporary name, verified, then renamed."""
    import pooch  # slow to import, and only needed once
    from requests import RequestException

    pooch.get_logger().setLevel("WARNING")  # the bar alone tells the progress
    try:
        with _progress_bar(file.name) as bar:
            pooch.retrieve(
                url,
                known_hash=f"sha256:{file.sha256}",
                fname=file.name,
                path=folder,
                downloader=pooch.HTTPDownloader(
                    progressbar=bar, chunk_size=CHUNK_BYTES, timeout=(ANSWER_SECONDS, STALL_SECONDS)
                ),
            )
    except RequestException as error:
        raise _MirrorFailedError(f"failed ({type(error).__name__})") from error
    except ValueError as error:
        raise _MirrorFailedError("sent other files, by their SHA-256") from error
    except OSError as error:
        raise _cannot_be_written(folder, error) from error


def _cannot_be_written(folder: Path, error: OSError) -> DataError:
    return DataError(
        "cannot be written",
        where=folder,
        found=error.strerror or str(error),
        hint="make room or choose another folder with --data-dir or GRIDSCAPE_DATA",
    )


def _silent_mirrors(data_set: DataSet) -> dict[str, str]:
    """The mirrors that do not serve the first file, and why.

    All are asked at once, in threads that are left behind: looking up a server's name has no time
    limit of its own, and a machine without network must learn so within seconds.
    """
    from pooch import HTTPDownloader

    failures = dict.fromkeys(data_set.mirrors, "did not answer")

    def ask(mirror: str) -> None:
        head = HTTPDownloader(timeout=ANSWER_SECONDS)
        try:
            served = head(mirror + data_set.files[0].name, None, None, check_only=True)
        except OSError:  # which requests' errors are
            return
        if served:
            del failures[mirror]
        else:
            failures[mirror] = "does not serve it"

    threads = [threading.Thread(target=ask, args=(m,), daemon=True) for m in data_set.mirrors]
    deadline = time.monotonic() + ANSWER_SECONDS
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(max(0.0, deadline - time.monotonic()))
    return dict(failures)


@contextmanager
def _progress_bar(label: str) -> Iterator["_Bar | bool"]:
    """A bar on standard error when that is a terminal, else False."""
    if not sys.stderr.isatty():
        yield False
        return
    from rich.console import Console
    from rich.progress import Progress

    with Progress(console=Console(stderr=True), transient=True) as progress:
        yield _Bar(progress, label)


class _Bar:
    """What pooch asks of a progress bar, on a rich one."""

    def __init__(self, progress: "Progress", label: str) -> None:
        self._progress = progress
        self._task = progress.add_task(label, total=None)

    @property
    def total(self) -> float | None:
        return self._progress.tasks[self._task].total

    @total.setter
    def total(self, n_bytes: int) -> None:
        self._progress.update(self._task, total=n_bytes or None)

    def update(self, n_bytes: int) -> None:
        self._progress.advance(self._task, n_bytes)

    def reset(self) -> None:
        self._progress.reset(self._task)

    def close(self) -> None:
        self._progress.refresh()
