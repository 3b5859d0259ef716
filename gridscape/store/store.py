"""The results folder: one writer, any number of readers, whole after a crash at any moment.

    study.json                        the study: format, version of Gridscape, axes, replicates
    ledger.sqlite                     one row per trial (WAL), and a copy of study.json
    blobs/<key>.safetensors           the curves of a trial, and its parameters when they are kept
    blobs/<key>.and-99.safetensors    those of a hundred: its own and others (see _together.py)
    checkpoints/<name>.safetensors    cohorts in flight
    decisions.json                    verdicts that fell while replicates were added
    training.json, running.json       what is being trained now (see execution/deaths.py)
    progress.json                     how far the run is (see store/progress.py)
    acts/<id>.json                    what somebody asks of the run (see store/acts.py)
    .lock                             held by the writer (see store/_lock.py)

A trial is stored blob first, row last, so no row refers to an incomplete blob. A blob repeats its
row: one that a crash left without a row is entered when the folder is next opened for writing, and
so are all of them when the ledger is lost. A trial that is stored again goes to a second name, so
that the old blob stays until the new row is in. Then the file goes, or is written anew with what
others have in it.
"""

import errno
import itertools
import json
import os
import re
import shutil
import sqlite3
import warnings
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from contextlib import ExitStack, closing, suppress
from dataclasses import replace
from pathlib import Path
from types import TracebackType
from typing import Any, Self, TypeVar

import numpy as np

from gridscape.errors import StoreError, StoreFullError
from gridscape.grid.asked import asked_more
from gridscape.grid.axes import Cell
from gridscape.grid.trials import Status, Trial, TrialResult
from gridscape.store import acts
from gridscape.store._entries import arrays_of, read_record, record_of
from gridscape.store._ledger import NAME, Ledger, Row, build_ledger, damaged_ledger, no_log
from gridscape.store._lock import LOCK, MADE, locked
from gridscape.store._together import together
from gridscape.store.blobs import (
    BlobFile,
    Content,
    DamagedError,
    file_status,
    read_blob,
    require_within,
    temporary_of,
    write_blobs,
    write_whole,
)
from gridscape.store.progress import NAME as _PROGRESS
from gridscape.store.record import (
    OTHER_FOLDER,
    merge_studies,
    parse_study,
    require_same,
    study_document,
)

_STUDY, _LEDGER, _BLOBS, _CHECKPOINTS = "study.json", "ledger.sqlite", "blobs", "checkpoints"
_PAGES, _DECISIONS = ("report.html", "predict.html"), "decisions.json"
_TRAINING, _RUNNING = "training.json", "running.json"
_DOCUMENTS = (_STUDY, _TRAINING, _RUNNING, _PROGRESS, _DECISIONS)
_OWN_NAMES = {_BLOBS, _CHECKPOINTS, acts.FOLDER, LOCK, MADE, *_PAGES, "figures"}
_TRAIN_AGAIN = "run the study again: it trains this trial again"
_TRAINED_NOW = "the next run that includes this trial will train it again"
_NAME = re.compile(NAME)

T = TypeVar("T")
Entry = tuple[Trial, TrialResult]


class StoreWarning(UserWarning):
    """Something in a results folder was damaged and is repaired, left out or removed."""


class Store:
    """The results of one study in a folder; a context manager, used by one thread.

    ``study`` is the study as stored (plain data): "name", "axes" (axis -> values), "replicates"
    and whatever else determines or describes it. ``before`` is what the folder held of it when it
    was opened for writing, None where it was new. ``acts`` are what is asked of its run.

    >>> import tempfile
    >>> study = {"name": "tiny", "axes": {"hidden_size": [16]}, "replicates": 1}
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     with Store.create(folder, study) as store:
    ...         trial = Trial(Cell.of(hidden_size=16), replicate=0, key="a1")
    ...         curves = {"train_loss": np.array([2.3, 0.4])}
    ...         result = TrialResult(
    ...             "a1", Status.FINISHED, 400, {"test_accuracy": 0.9}, curves, 1.5, 1242, 1e9, 9936
    ...         )
    ...         store.put(trial, result)
    ...     with Store.read(folder) as store:
    ...         store.statuses(), store.get("a1").metrics
    ({'a1': <Status.FINISHED: 'finished'>}, {'test_accuracy': 0.9})
    """

    def __init__(
        self,
        directory: Path,
        study: dict[str, Any],
        ledger: Ledger,
        *,
        writable: bool,
    ) -> None:
        self.directory, self.study = directory, study
        self.before: dict[str, Any] | None = None
        self._ledger, self._writable = ledger, writable
        self.acts, self._unsettled_told = acts.Queue(directory), False
        self._require_here: Callable[[], None] = lambda: None
        self._resources = ExitStack()
        self._last: tuple[Any, BlobFile] | None = None  # the shared file that was read last
        self._left = set[str]()  # files that a trial has left
        self._gone = set[str]()  # those that were removed: by a new name a reader sees a new file
        self._damaged: set[str] = (
            set()
        )  # keys whose blob was found damaged when the folder was opened

    @classmethod
    def create(cls, directory: str | os.PathLike[str], study: Mapping[str, Any]) -> Self:
        """Open a folder for writing: a new one, or one that holds results of the same study.

        Values of axes and replicates that the folder lacks are added to its study; those that it
        has stay. Raises StoreLockedError while another process writes, StoreFullError when there
        is no room, and StoreError for a folder that is not writable, holds anything else, results
        of another study or of a newer Gridscape, or is damaged beyond repair.
        """
        directory, asked = Path(directory), json.loads(_to_json(study))
        with _StoreErrors(directory), ExitStack() as resources:
            _refuse_foreign(directory)
            directory.mkdir(parents=True, exist_ok=True)
            _refuse_links(directory)
            require_here = resources.enter_context(locked(directory))
            stored = _stored_study(directory)
            merged = asked if stored is None else merge_studies(stored, asked, directory)
            _prepare(directory)
            ledger = resources.enter_context(closing(Ledger.write(directory / _LEDGER)))
            store = cls(directory, merged, ledger, writable=True)
            store.before, store._require_here = stored, require_here
            store._write_study()
            store._recover()
            store.acts.tidy()
            store._resources = resources.pop_all()
            return store

    @classmethod
    def read(cls, directory: str | os.PathLike[str]) -> Self:
        """Open a folder for reading, also while another process writes it.

        Raises StoreError for a folder that holds no results, or of a newer Gridscape, or is
        damaged beyond repair.
        """
        directory = Path(directory)
        with _StoreErrors(directory), ExitStack() as resources:
            _refuse_links(directory)
            study, path = _stored_study(directory), directory / _LEDGER
            if study is None:
                hint = "run a study first, or name its folder"
                raise StoreError("holds no results", where=directory, hint=hint)
            if not path.exists():
                hint = "run the study again: the ledger is rebuilt from the blobs"
                raise StoreError("is missing", where=path, hint=hint)
            ledger = resources.enter_context(closing(Ledger.read(path)))
            store = cls(directory, study, ledger, writable=False)
            store._resources = resources.pop_all()
            return store

    @classmethod
    def check_room(cls, directory: str | os.PathLike[str], study: Mapping[str, Any]) -> None:
        """Raise the StoreError with which ``create`` would refuse the folder to this study.

        Touches nothing, and does not ask who writes there.
        """
        directory, asked = Path(directory), json.loads(_to_json(study))
        with _StoreErrors(directory):
            _refuse_foreign(directory)
            stored = _stored_study(directory)
            if stored is not None:
                merge_studies(stored, asked, directory)

    def ask(self, more: Mapping[Cell, int]) -> None:
        """Ask for at least so many replicates of these cells, which name every axis.

        When this returns, it survives a crash; what is asked for already stays.
        """
        self._require_writer()
        with _StoreErrors(self.directory):
            self.study = json.loads(_to_json(asked_more(self.study, more)))
            self._write_study()

    def widen(self, study: Mapping[str, Any]) -> None:
        """Ask for the values and replicates of a study as well; see ``create``.

        When this returns, it survives a crash. Raises StoreError where it is another study.
        """
        self._require_writer()
        with _StoreErrors(self.directory):
            asked = json.loads(_to_json(study))
            self.study = merge_studies(self.study, asked, self.directory)
            self._write_study()

    def settle(self, asked: acts.Asked, state: acts.State, words: str) -> None:
        """Tell what became of an act, for good; when this returns, it survives a crash.

        Where that cannot be written, as in somebody else's folder, the act is settled as long as
        this is open: no act ends a run.
        """
        self._require_writer()
        try:
            self.acts.settle(asked, state, words)
        except OSError as error:
            self._tell_unsettled(error)

    def _tell_unsettled(self, error: OSError) -> None:
        if self._unsettled_told:
            return
        self._unsettled_told = True
        what = f"what came of acts cannot be noted: {error.strerror or error}"
        hint = "the next run does them again: let who trains write there, or remove that folder"
        _warn(str(StoreError(what, where=self.directory / acts.FOLDER, hint=hint)))

    def statuses(self) -> dict[str, Status]:
        """The status of every stored trial by key; a trial whose blob is damaged is left out."""
        return dict(self._each(self._status))

    def trials(self) -> list[Trial]:
        """Every trial that the ledger tells of, those aside whose rows are damaged.

        No blob is looked at.
        """
        with _StoreErrors(self.directory):
            rows = self._ledger.rows()
        return [trial for trial, _ in self._read_each(rows, self._facts)]

    def put(self, trial: Trial, result: TrialResult) -> None:
        """Store a trial; when this returns, it survives a crash. The same key again replaces it.

        Raises StoreFullError when there is no room: the folder then is as it was before.
        """
        self.put_all([(trial, result)])

    def put_all(self, ended: Sequence[tuple[Trial, TrialResult]]) -> None:
        """Store trials as ``put`` does, which takes far less time each than one by one.

        Of several results of one trial the last stays. A crash meanwhile may leave some stored.
        """
        ended = list({trial.key: (trial, result) for trial, result in ended}.values())
        for trial, result in ended:
            if result.key != trial.key:
                message = "the result is of another trial"
                raise StoreError(message, expected=trial.key, found=result.key)
        self._require_writer()
        with _StoreErrors(self.directory):
            contents = {
                trial.key: Content(_to_json(record_of(trial, result)), _arrays(result))
                for trial, result in ended
            }
            old = {row.blob for row in self._ledger.rows_by_key(contents) if row.blob}
            self._write(contents)
            self._damaged.difference_update(contents)
            self._left |= old
            # All is stored by now. Without room for the rest, who stores next tries again.
            with suppress(OSError, sqlite3.Error):
                self._tidy()

    def forget(self, keys: Iterable[str]) -> None:
        """Let trials be as if they had not ended; a crash meanwhile may leave some as they were."""
        self._require_writer()
        with _StoreErrors(self.directory):
            rows = self._ledger.rows_by_key(keys)
            self._left |= {row.blob for row in rows if row.blob}
            self._ledger.enter(without=[row.key for row in rows])
            self._tidy()

    def _write(self, contents: Mapping[str, Content], without: Iterable[str] = ()) -> None:
        """Store blobs by the keys of their trials; then take other trials out of the ledger."""
        files: dict[Path, list[str]] = {}
        keys = list(contents)
        for numbers in together(list(contents.values())):
            shared = [keys[k] for k in numbers]
            files[self._free_file(shared, files.keys())] = shared
        try:
            checksums = write_blobs({p: [contents[k] for k in of] for p, of in files.items()})
            rows = [
                Row(key, contents[key].text, path.name, path.stat().st_size, checksum)
                for (path, shared), told in zip(files.items(), checksums, strict=True)
                for key, checksum in zip(shared, told, strict=True)
            ]
            self._ledger.enter(*rows, without=without)
        except (OSError, sqlite3.Error):
            for path in files:
                path.unlink(missing_ok=True)  # a full disk needs the room
            raise

    def _tidy(self) -> None:
        """Remove files that trials have left; those of others are written anew without them.

        So a file never holds what a trial was before, which might be taken for what it is.
        """
        for name in sorted(self._left):
            if rows := self._ledger.rows_of(name):
                contents = dict(self._read_each(rows, self._content))
                self._write(contents, without={row.key for row in rows} - contents.keys())
            (self.directory / _BLOBS / name).unlink(missing_ok=True)
            self._left.discard(name)
            self._gone.add(name)

    def _free_file(self, keys: Sequence[str], taken: Collection[Path]) -> Path:
        """Where trials may be written that share a file, beside the ones that they have already."""
        stem = keys[0] if len(keys) == 1 else f"{keys[0]}.and-{len(keys) - 1}"
        names = itertools.chain([stem], (f"{stem}.{n}" for n in itertools.count(2)))
        paths = (self._file(_BLOBS, name) for name in names)
        return next(
            path
            for path in paths
            if path not in taken
            and path.name not in self._gone
            and not self._ledger.rows_of(path.name)
        )

    def get(self, key: str) -> TrialResult:
        """The result of a trial, with curves and, when they were kept, parameters.

        Raises StoreError when the folder has no such trial, or has it damaged.
        """
        with _StoreErrors(self.directory):
            row = self._ledger.row(key)
            if row is None:
                raise StoreError("holds no such trial", where=self.directory, found=key)
            return self._steady(row, self._trial)[1]

    def results(self) -> Iterator[tuple[Trial, TrialResult]]:
        """Every stored trial, one at a time; a damaged one is left out with a StoreWarning.

        In the order of their files, so that each is read once.
        """
        return self._each(self._trial, by_file=True)

    def finals(self) -> Iterator[tuple[Trial, TrialResult]]:
        """Every stored trial without its arrays: of a blob only the size is looked at."""
        sizes = self._sizes()
        return self._each(lambda row: self._final(row, sizes))

    def curves(self, keys: Iterable[str]) -> Iterator[tuple[str, dict[str, np.ndarray]]]:
        """The curves of some trials; a damaged one is left out with a StoreWarning."""
        with _StoreErrors(self.directory):
            rows = self._ledger.rows_by_key(keys)
        rows.sort(key=_file_of)
        for trial, result in self._read_each(rows, self._trial):
            yield trial.key, result.curves

    @property
    def n_trials(self) -> int:
        """How many trials are stored."""
        with _StoreErrors(self.directory):
            return len(self._ledger)

    def save_checkpoint(
        self, name: str, meta: Mapping[str, Any], arrays: Mapping[str, np.ndarray]
    ) -> None:
        """Store a cohort in flight (plain data and arrays), in place of what had this name."""
        self._require_writer()
        with _StoreErrors(self.directory):
            write_blobs({self._file(_CHECKPOINTS, name): [Content(_to_json(meta), arrays)]})

    def checkpoints(self) -> Iterator[tuple[str, dict[str, Any], dict[str, np.ndarray]]]:
        """Name, plain data and arrays of each; a damaged one is removed with a StoreWarning."""
        for path in sorted((self.directory / _CHECKPOINTS).glob("*.safetensors")):
            with _StoreErrors(self.directory):
                try:
                    blob = read_blob(path)
                except DamagedError as error:
                    _warn(f"{error}; its segments are trained again")
                    if self._writable:
                        path.unlink()
                    continue
            yield path.stem, json.loads(blob.text), blob.arrays

    def drop_checkpoint(self, name: str) -> None:
        """Remove a checkpoint, if there is one of this name."""
        self._require_writer()
        with _StoreErrors(self.directory):
            self._file(_CHECKPOINTS, name).unlink(missing_ok=True)

    def note(self, content: Mapping[str, Any] | None) -> None:
        """Keep plain data for who writes here next, in place of the old; None removes it.

        It survives the death of this process, but is not waited for on its way to the disk: when
        the machine goes down, there is nobody to blame.
        """
        self._note(_TRAINING, content)

    def note_running(self, keys: Sequence[str]) -> None:
        """Keep beside the note, in the same way, which trials run at this moment."""
        self._note(_RUNNING, keys or None)

    def _note(self, name: str, content: Any) -> None:
        self._require_writer()
        path = self.directory / name
        with _StoreErrors(self.directory):
            if content is None:
                path.unlink(missing_ok=True)
                return
            temporary = temporary_of(path)
            temporary.write_text(_to_json(content))
            os.replace(temporary, path)

    def noted(self) -> dict[str, Any]:
        """What ``note`` kept; nothing where it cannot be read."""
        content = _plain_data(self.directory / _TRAINING)
        return content if isinstance(content, dict) else {}

    def noted_running(self) -> list[str]:
        """The keys that ``note_running`` kept; none where they cannot be read."""
        keys = _plain_data(self.directory / _RUNNING)
        return [key for key in keys if isinstance(key, str)] if isinstance(keys, list) else []

    def tell(self, content: Mapping[str, Any]) -> None:
        """Let readers know how far the run is (plain data), in place of what was told before.

        Not waited for on its way to the disk, as ``note``.
        """
        self._require_writer()
        path = self.directory / _PROGRESS
        with _StoreErrors(self.directory):
            temporary = temporary_of(path)
            try:
                temporary.write_text(_to_json(content))
                os.replace(temporary, path)
            except OSError:
                temporary.unlink(missing_ok=True)
                raise

    def blobs(self) -> set[str]:
        """The names of all files of trials; listing them takes far less time than reading one."""
        with _StoreErrors(self.directory), os.scandir(self.directory / _BLOBS) as entries:
            return {entry.name for entry in entries if entry.name.endswith(".safetensors")}

    def checksums(self) -> dict[str, int]:
        """A number for the trials of every file, by its name, which others would have otherwise."""
        found: dict[str, list[tuple[str, str]]] = {}
        with _StoreErrors(self.directory):
            for row in self._ledger.rows():
                found.setdefault(row.blob, []).append((row.key, row.checksum))
        return {blob: hash(tuple(trials)) for blob, trials in found.items()}

    def entries(self, blobs: Iterable[str]) -> Iterator[tuple[str, Entry | None]]:
        """Trials by the names of their files, without arrays: only these rows are read.

        Of a file of another size than was written the trials are None. One whose row is still on
        its way, or has another file by now, is left out.
        """
        with _StoreErrors(self.directory):
            rows = self._ledger.rows_of_all(list(blobs))
        for row in rows:
            try:
                with _StoreErrors(self.directory):
                    found = self._final(row, {})
            except DamagedError:
                yield row.blob, None
            else:
                yield row.blob, found

    def decisions(self) -> dict[str, Any]:
        """What ``decided`` kept last; nothing where nothing was."""
        path = self.directory / _DECISIONS
        with _StoreErrors(self.directory):
            text = path.read_text() if path.exists() else "{}"
        try:
            content = json.loads(text)
        except ValueError:
            content = None
        if not isinstance(content, dict):
            hint = "put it back from a copy; without it, what was decided is decided afresh"
            raise DamagedError("is no record of decisions", where=path, hint=hint)
        return content

    def decided(self, content: Mapping[str, Any]) -> None:
        """Keep verdicts (plain data) in place of the old; when this returns, they survive."""
        self._require_writer()
        with _StoreErrors(self.directory):
            write_whole(self.directory / _DECISIONS, _to_json(content).encode())

    def close(self) -> None:
        """Release the ledger and the lock; again does nothing."""
        self._resources.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    def _require_writer(self) -> None:
        if not self._writable:
            raise StoreError("is open for reading only", where=self.directory)
        self._require_here()

    def _file(self, family: str, name: str) -> Path:
        if not _NAME.fullmatch(name):
            raise StoreError(
                "no name for a file", expected="letters, digits and _.,=+-", found=repr(name)
            )
        return self.directory / family / f"{name}.safetensors"

    def _each(self, read: Callable[[Row], T], by_file: bool = False) -> Iterator[T]:
        """``read`` of every row, without those whose blob is damaged."""
        with _StoreErrors(self.directory):
            rows = [row for row in self._ledger.rows() if row.key not in self._damaged]
        return self._read_each(sorted(rows, key=_file_of) if by_file else rows, read)

    def _read_each(self, rows: Iterable[Row], read: Callable[[Row], T]) -> Iterator[T]:
        telling = _StoreErrors(self.directory)
        for row in rows:
            try:
                with telling:
                    found = self._steady(row, read)
            except DamagedError as error:
                _warn(str(error))
                continue
            yield found

    def _steady(self, row: Row, read: Callable[[Row], T]) -> T:
        """``read(row)``, once more where the writer replaced row and blob in between."""
        while True:
            try:
                return read(row)
            except DamagedError as error:
                newer = self._ledger.row(row.key)
                if newer is None or newer == row:
                    error.hint = _TRAIN_AGAIN
                    raise
                row = newer

    def _status(self, row: Row) -> tuple[str, Status]:
        """Cheap enough for a page that asks every second: of the blob it takes the size only."""
        self._require_size(row)
        return row.key, self._facts(row)[1].status

    def _facts(self, row: Row) -> Entry:
        """What the ledger says of a trial."""
        return read_record(row.record, self._ledger.path)

    def _final(self, row: Row, sizes: Mapping[str, int]) -> tuple[Trial, TrialResult]:
        if sizes.get(row.blob) != row.size_bytes:
            self._require_size(row)
        return self._facts(row)

    def _sizes(self) -> dict[str, int]:
        """The sizes of all blobs by name; of many it takes far less time than one by one."""
        with _StoreErrors(self.directory), os.scandir(self.directory / _BLOBS) as entries:
            found: dict[str, int] = {}
            for entry in entries:
                with suppress(FileNotFoundError):  # the writer has just replaced it
                    if entry.is_file(follow_symlinks=False):
                        found[entry.name] = entry.stat(follow_symlinks=False).st_size
            return found

    def _require_size(self, row: Row) -> None:
        """Raise DamagedError where a blob is missing, or of another size than it was written."""
        path = self._blob_of(row)
        try:
            size_bytes = file_status(path).st_size
        except FileNotFoundError as error:
            raise DamagedError("is missing", where=path) from error
        if size_bytes != row.size_bytes:
            expected = f"{row.size_bytes} bytes"
            raise DamagedError(
                "is torn", where=path, expected=expected, found=f"{size_bytes} bytes"
            )

    def _trial(self, row: Row) -> tuple[Trial, TrialResult]:
        trial, result = self._facts(row)
        return trial, replace(result, **arrays_of(self._content(row)[1].arrays))

    def _content(self, row: Row) -> tuple[str, Content]:
        """The key of a trial and what its blob holds."""
        path = self._blob_of(row)
        file = self._opened(path)
        if row.record not in file.texts:
            raise DamagedError(f"is not the file that {_LEDGER} tells of", where=path)
        blob = file.read(file.texts.index(row.record))
        if blob.checksum != row.checksum:
            raise DamagedError(f"is not the file that {_LEDGER} tells of", where=path)
        return row.key, Content(blob.text, blob.arrays)

    def _opened(self, path: Path) -> BlobFile:
        """A file of blobs; one that trials share is kept for the next of them."""
        try:
            found = file_status(path)
        except FileNotFoundError as error:
            raise DamagedError("is missing", where=path) from error
        stamp = (path, found.st_ino, found.st_size, found.st_mtime_ns)
        if self._last is not None and self._last[0] == stamp:
            return self._last[1]
        file = BlobFile(path)
        self._last = (stamp, file) if len(file.texts) > 1 else None
        return file

    def _blob_of(self, row: Row) -> Path:
        if not row.blob:
            where = self.directory / _LEDGER
            raise DamagedError("names no file of this folder", where=where, found=row.key)
        return self.directory / _BLOBS / row.blob

    def _write_study(self) -> None:
        """Bring study.json and its copy up to date."""
        text, path = study_document(self.study), self.directory / _STUDY
        if not path.exists() or path.read_bytes() != text.encode():
            write_whole(path, text.encode())
        if self._ledger.study != text:
            self._ledger.study = text

    def _recover(self) -> None:
        """Make the ledger agree with the blobs, each of which says what it is; find what is lost.

        After a crash there may be a blob without its row, or a file with what a trial was before;
        after damage, a row without its blob.
        """
        rows = self._ledger.rows()
        known, file_of = set(rows), {row.key: row.blob for row in rows}
        named, torn, whole = set(file_of.values()), dict[Path, DamagedError](), set[str]()
        paths = (self.directory / _BLOBS).glob("*.safetensors")
        for path in sorted(
            paths, key=lambda path: (path.name not in named, -path.lstat().st_mtime)
        ):
            found, damage = _rows_of(path)
            if damage:
                torn[path] = damage
            current = [row for row in found if row.key not in whole]
            if path.name in named:  # a trial whose row names another file is there by now
                current = [r for r in current if file_of.get(r.key, path.name) == path.name]
            if not current and not damage:  # replaced, or about to replace
                path.unlink()
                continue
            if len(current) < len(found):
                self._left.add(path.name)
            whole.update(row.key for row in current)
            if new := [row for row in current if row not in known]:
                self._ledger.enter(*new)
        self._damaged = {row.key for row in rows} - whole
        self._tell_damage(torn)
        self._tidy()

    def _tell_damage(self, torn: Mapping[Path, DamagedError]) -> None:
        """Warn of trials that are lost; remove torn blobs that no row tells of."""
        rows = self._ledger.rows()
        lost: dict[Path, list[str]] = {path: [] for path in torn}
        for row in rows:
            if row.key in self._damaged:
                path = self.directory / _BLOBS / (row.blob or f"{row.key}.safetensors")
                lost.setdefault(path, []).append(row.key)
        named = {self.directory / _BLOBS / row.blob for row in rows}
        for path, keys in lost.items():
            lacks = "does not hold what the ledger tells of" if path.exists() else "is missing"
            what = torn.get(path, f"{path}: {lacks}")
            of = f" ({len(keys)} trials)" if len(keys) > 1 else ""
            removed = "" if path in named or keys else " removed:"
            _warn(f"{what}{of};{removed} {_TRAINED_NOW}")
            if removed:
                path.unlink()


# The folder


def _refuse_foreign(directory: Path) -> None:
    """Raise StoreError, before anything is touched, for a folder of something else."""
    study, blobs = directory / _STUDY, directory / _BLOBS
    _refuse_links(directory)
    if not directory.exists() or (directory / _LEDGER).exists():
        return
    if study.exists():
        parse_study(study.read_bytes(), study)
        return
    foreign = [path.name for path in directory.iterdir() if not _is_own(path.name)]
    if blobs.exists():  # results come after study.json: these are not ours
        foreign += [f"{_BLOBS}/{path.name}" for path in blobs.iterdir()]
    if foreign:
        raise StoreError(
            f"holds files but no {_STUDY}",
            where=directory,
            expected="an empty folder or the results of a study",
            found=min(foreign),
            hint=OTHER_FOLDER,
        )


def _refuse_links(directory: Path) -> None:
    """Raise StoreError where what is read and written here is, or leads to, something else.

    A journal is none of ours (the ledger has a log), and SQLite deletes the file that one names.
    """
    for name in (
        *_DOCUMENTS,
        _LEDGER,
        f"{_LEDGER}-wal",
        f"{_LEDGER}-shm",
        LOCK,
        MADE,
    ):
        try:
            file_status(directory / name)
        except (FileNotFoundError, NotADirectoryError):
            continue
        except DamagedError as error:
            error.hint = f"remove it, or {OTHER_FOLDER}"
            raise
    for name in (_BLOBS, _CHECKPOINTS, acts.FOLDER):
        require_within(directory, directory / name)
    if os.path.lexists(directory / f"{_LEDGER}-journal"):
        hint = f"remove it, or {OTHER_FOLDER}"
        raise StoreError("is not of Gridscape", where=directory / f"{_LEDGER}-journal", hint=hint)


def _is_own(name: str) -> bool:
    """Whether a study's folder may hold a file of this name, also right after a crash."""
    begins = (*_DOCUMENTS, _LEDGER, *(f"{page}." for page in _PAGES))
    return name in _OWN_NAMES or name.startswith(begins)


def _prepare(directory: Path) -> None:
    """Make what is missing of a folder, and remove what a crash left half written."""
    names = (*(f"{name}.*tmp" for name in (*_DOCUMENTS, *_PAGES)), f"{_LEDGER}.*tmp*")
    for pattern in (*names, f"{_BLOBS}/*.tmp", f"{_CHECKPOINTS}/*.tmp"):
        for path in directory.glob(pattern):
            path.unlink()
    acts.prepare(directory)
    (directory / _BLOBS).mkdir(exist_ok=True)
    (directory / _CHECKPOINTS).mkdir(exist_ok=True)
    ledger = directory / _LEDGER
    if not ledger.exists():
        if any((directory / _BLOBS).iterdir()):
            _warn(f"{ledger}: is missing; rebuilt from the blobs")
        build_ledger(ledger)


def _stored_study(directory: Path) -> dict[str, Any] | None:
    """The study of a folder, None for a new one; where study.json is damaged, the ledger's copy."""
    path = directory / _STUDY
    try:
        study = parse_study(path.read_bytes(), path) if path.exists() else None
        damage = DamagedError("is missing", where=path)
    except DamagedError as error:
        study, damage = None, error
    copy = _study_copy(directory)
    if study is None:
        if copy is not None:
            _warn(f"{damage}; restored from {_LEDGER}")
        elif path.exists():
            raise damage
        return copy
    if copy is not None:
        require_same(copy, study, directory, f"{_STUDY} and {_LEDGER} belong to different studies")
    return study


def stored_study(directory: Path) -> dict[str, Any]:
    """The study in a folder's study.json, which a run may have widened since it was last read.

    Raises StoreError where there is none, or a damaged one.
    """
    path = directory / _STUDY
    with _StoreErrors(directory):
        file_status(path)
        return parse_study(path.read_bytes(), path)


def _study_copy(directory: Path) -> dict[str, Any] | None:
    """The study as the ledger has it, None where it has none; a damaged ledger raises StoreError.

    Asked through a connection that cannot write, so that a damaged ledger stays as it is.
    """
    path = directory / _LEDGER
    if not path.exists():
        return None
    with closing(Ledger.read(path)) as ledger:
        ledger.check()
        text = ledger.study
    return None if text is None else parse_study(text, path)


# Plain data


def _rows_of(path: Path) -> tuple[list[Row], DamagedError | None]:
    """The rows that a file asks for, and the first damage where not all of it is whole."""
    found, damage = list[Row](), None
    try:
        file = BlobFile(path)
    except DamagedError as error:
        return [], error
    size_bytes = path.stat().st_size
    for number in range(len(file.texts)):
        try:
            text, _, checksum = file.read(number)
            trial, _ = read_record(text, path)
            # A file is named after its first trial.
            if number == 0 and not path.name.startswith(f"{trial.key}."):
                raise DamagedError("is not the blob of this trial", where=path)
        except DamagedError as error:
            damage = damage or error
            continue
        found.append(Row(trial.key, text, path.name, size_bytes, checksum))
    return found, damage


def _file_of(row: Row) -> tuple[str, str]:
    return row.blob, row.key


def _arrays(result: TrialResult) -> dict[str, np.ndarray]:
    curves = {f"curve/{name}": array for name, array in result.curves.items()}
    return curves | {f"params/{name}": array for name, array in (result.params or {}).items()}


def _plain_data(path: Path) -> Any:
    """What a JSON file holds; None where it cannot be read."""
    try:
        return json.loads(path.read_text())
    except (OSError, ValueError, RecursionError):
        return None


def _to_json(data: Any) -> str:
    """JSON that reads back to the same numbers, nan and inf too; NumPy's become Python's."""
    return json.dumps(data, default=_to_plain)


def _to_plain(value: Any) -> Any:
    if isinstance(value, np.generic | np.ndarray):
        return value.tolist()
    raise TypeError(f"{type(value).__name__} is no plain data: {value!r}")


# Errors


class _StoreErrors:
    """Tell what the file system and SQLite raise as a StoreError, with the next step."""

    def __init__(self, directory: Path) -> None:
        self._directory = directory

    def __enter__(self) -> None: ...

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if isinstance(error, OSError | sqlite3.Error):
            raise _store_error(self._directory, error) from error


_FULL = {errno.ENOSPC, errno.EDQUOT, errno.EFBIG}
_NOT_WRITABLE = {errno.EACCES, errno.EPERM, errno.EROFS}
# SQLite tells a quota or a limit on file sizes as a failed write, a full disk under its index as
# a failed extension of it.
_SQLITE_FULL = {sqlite3.SQLITE_FULL, sqlite3.SQLITE_IOERR_WRITE, sqlite3.SQLITE_IOERR_SHMSIZE}
_SQLITE_NO_LOG = {
    *(sqlite3.SQLITE_IOERR_SHMOPEN, sqlite3.SQLITE_IOERR_SHMMAP, sqlite3.SQLITE_IOERR_SHMLOCK),
    *(sqlite3.SQLITE_IOERR_LOCK, sqlite3.SQLITE_IOERR_RDLOCK, sqlite3.SQLITE_IOERR_UNLOCK),
}
_SQLITE_DAMAGED = {sqlite3.SQLITE_ERROR, sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB}


def _store_error(directory: Path, error: OSError | sqlite3.Error) -> StoreError:
    number, code = getattr(error, "errno", None), getattr(error, "sqlite_errorcode", 0)
    reason = getattr(error, "strerror", None) or str(error)
    if number in _FULL or code in _SQLITE_FULL:
        return StoreFullError(
            f"the disk or a quota is full: {reason}",
            where=directory,
            found=f"{_bytes_free(directory):,} bytes free",
            hint="make room and run again: what is stored stays, only the rest is trained",
        )
    if code in _SQLITE_NO_LOG or code & 0xFF == sqlite3.SQLITE_PROTOCOL:
        return no_log(directory / _LEDGER)
    if code & 0xFF in _SQLITE_DAMAGED:
        return damaged_ledger(directory / _LEDGER, reason)
    if number in _NOT_WRITABLE or code & 0xFF == sqlite3.SQLITE_READONLY:
        return StoreError(f"is not writable: {reason}", where=directory, hint=OTHER_FOLDER)
    return StoreError(f"cannot be used: {reason}", where=directory, hint=OTHER_FOLDER)


def _bytes_free(directory: Path) -> int:
    existing = next(path for path in (directory, *directory.parents) if path.exists())
    return shutil.disk_usage(existing).free


def _warn(message: str) -> None:
    warnings.warn(message, StoreWarning, stacklevel=3)
