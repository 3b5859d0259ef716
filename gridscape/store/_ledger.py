"""The ledger of a results folder: one row per trial, and a copy of the study, in one SQLite file.

Write-ahead logging lets others read while one process writes, and a row is in or not in.
"""

import re
import sqlite3
from collections.abc import Iterable, Sequence
from contextlib import closing
from pathlib import Path
from typing import Any, NamedTuple, Self

from gridscape.errors import StoreError
from gridscape.store.blobs import DamagedError, publish, temporary_of

_SCHEMA = """
CREATE TABLE meta (name TEXT PRIMARY KEY, value TEXT NOT NULL) WITHOUT ROWID;
CREATE TABLE trials (
    key TEXT PRIMARY KEY,
    record TEXT NOT NULL,       -- cell, replicate, status and numbers of the trial, as JSON
    blob TEXT NOT NULL,         -- file of its arrays, maybe with others; it holds the record too
    size_bytes INTEGER NOT NULL, -- of the file
    checksum TEXT NOT NULL      -- over record and arrays
) WITHOUT ROWID;
"""
# Several trials may share a blob. Ledgers of before lack it until they are written again.
_INDEX = "CREATE INDEX IF NOT EXISTS trials_of_blob ON trials (blob)"
_FEW = 20  # blobs, for each of which a ledger without that index is gone through
_AT_ONCE = 500  # keys of a query: the oldest SQLite takes 999
_COLUMNS = "key, record, blob, size_bytes, checksum"
_INSERT = f"INSERT OR REPLACE INTO trials ({_COLUMNS}) VALUES (?, ?, ?, ?, ?)"
_SELECT = f"SELECT {_COLUMNS} FROM trials"
# Files of the folder of blobs: a path of any other form could lead out of it.
NAME = r"\w[\w.,=+-]*"
_BLOB = re.compile(rf"{NAME}\.safetensors")


class Row(NamedTuple):
    """What the ledger tells of a trial.

    blob: the name of a file in the folder of blobs; "" where the ledger has anything else.
    """

    key: str
    record: str
    blob: str
    size_bytes: int
    checksum: str


class Ledger:
    """An open ledger. Its methods raise sqlite3.Error; a damaged file raises DamagedError."""

    def __init__(self, path: Path, connection: sqlite3.Connection) -> None:
        self.path, self._connection = path, connection

    @classmethod
    def write(cls, path: Path) -> Self:
        """Open an existing ledger for writing."""
        connection = _open(path, "mode=rw")
        try:
            connection.execute(_INDEX)
        except sqlite3.Error:
            connection.close()
            raise
        return cls(path, connection)

    @classmethod
    def read(cls, path: Path) -> Self:
        """Open an existing ledger for reading; the file is not changed, whatever its state."""
        try:
            return cls(path, _open(path, "mode=ro"))
        except sqlite3.OperationalError:
            log = _beside(path, "-wal")
            if log.exists() and log.stat().st_size:
                raise
            # A read-only file system has no place for SQLite's index of the log; without a log
            # none is needed.
            return cls(path, _open(path, "immutable=1"))

    def check(self) -> None:
        """Raise DamagedError when a page is missing or out of order."""
        (finding,) = self._connection.execute("PRAGMA quick_check(1)").fetchone()
        if finding != "ok":
            raise damaged_ledger(self.path, finding)

    def rows(self) -> list[Row]:
        """All trials, in the order of their keys."""
        return [_row(found) for found in self._connection.execute(f"{_SELECT} ORDER BY key")]

    def __len__(self) -> int:
        (n,) = self._connection.execute("SELECT COUNT(*) FROM trials").fetchone()
        return int(n)

    def row(self, key: str) -> Row | None:
        """One trial, or None."""
        found = self._connection.execute(f"{_SELECT} WHERE key = ?", (key,)).fetchone()
        return None if found is None else _row(found)

    def rows_by_key(self, keys: Iterable[str]) -> list[Row]:
        """Some trials, each once, as far as they are there."""
        wanted, found = list(dict.fromkeys(keys)), list[Row]()
        for first in range(0, len(wanted), _AT_ONCE):
            some = wanted[first : first + _AT_ONCE]
            asked = f"{_SELECT} WHERE key IN ({', '.join('?' * len(some))})"
            found += [_row(each) for each in self._connection.execute(asked, some)]
        return found

    def rows_of(self, blob: str) -> list[Row]:
        """The trials of a blob, in the order of their keys."""
        found = self._connection.execute(f"{_SELECT} WHERE blob = ? ORDER BY key", (blob,))
        return [_row(each) for each in found]

    def rows_of_all(self, blobs: Sequence[str]) -> list[Row]:
        """The trials of several blobs, in the order of these."""
        if len(blobs) < _FEW:
            return [row for blob in blobs for row in self.rows_of(blob)]
        of: dict[str, list[Row]] = {}
        for row in self.rows():
            of.setdefault(row.blob, []).append(row)
        return [row for blob in blobs for row in of.get(blob, ())]

    def enter(self, *rows: Row, without: Iterable[str] = ()) -> None:
        """Put in rows, in place of those with the same keys, and take out others: all or nothing.

        without: the keys of those that are taken out.
        """
        with self._connection as connection:
            connection.execute("BEGIN")
            gone = [(key,) for key in without]
            connection.executemany("DELETE FROM trials WHERE key = ?", gone)
            connection.executemany(_INSERT, rows)

    @property
    def study(self) -> str | None:
        """The copy of study.json, None where there is none yet."""
        row = self._connection.execute("SELECT value FROM meta WHERE name = 'study'").fetchone()
        return None if row is None else str(row[0])

    @study.setter
    def study(self, text: str) -> None:
        self._connection.execute("INSERT OR REPLACE INTO meta VALUES ('study', ?)", (text,))

    def close(self) -> None:
        """Close the file; what the disk has no room for stays in the log."""
        self._connection.close()


def build_ledger(path: Path) -> None:
    """A new ledger without rows, complete or not there."""
    temporary = temporary_of(path)
    with closing(_connect(temporary, "mode=rw")) as connection:
        connection.executescript(_SCHEMA)
        # The switch to the log comes last: all is then in the one file that gets the name.
        (mode,) = connection.execute("PRAGMA journal_mode = WAL").fetchone()
    if mode != "wal":
        temporary.unlink()
        raise no_log(path)
    for name in ("-wal", "-shm"):  # of a ledger that was lost: SQLite would play them into this one
        _beside(path, name).unlink(missing_ok=True)
    publish({temporary: path})


def no_log(path: Path) -> StoreError:
    """The error for a file system on which processes cannot share a log, as NFS and Lustre."""
    return StoreError(
        "this file system has no place for the ledger",
        where=path.parent,
        expected="one with locks and shared memory, as a local disk has",
        hint="name a folder on a local disk with --dir, and copy it here when the run has ended",
    )


def damaged_ledger(path: Path, finding: str) -> DamagedError:
    """The error for a ledger that SQLite cannot make sense of."""
    return DamagedError(
        f"is damaged: {finding}",
        where=path,
        hint="put it back from a copy, or move it away and run the study again: "
        "it is rebuilt from the blobs",
    )


def _row(found: tuple[Any, ...]) -> Row:
    row = Row._make(found)
    return row if _BLOB.fullmatch(str(row.blob)) else row._replace(blob="")


def _open(path: Path, mode: str) -> sqlite3.Connection:
    # SQLite takes an empty file for a new database, and deletes the log beside it.
    with path.open("rb") as file:
        if file.read(16) != b"SQLite format 3\0":
            raise damaged_ledger(path, "file is not a database")
    connection = _connect(path, mode)
    try:
        # What views and triggers of a ledger that came from elsewhere may call.
        connection.execute("PRAGMA trusted_schema = OFF")
        # A row that enter() returned from survives a power cut, not only a crash.
        connection.execute("PRAGMA synchronous = FULL")
        connection.execute("SELECT name FROM meta LIMIT 1")
    except sqlite3.Error:
        connection.close()
        raise
    return connection


def _beside(path: Path, suffix: str) -> Path:
    return path.with_name(path.name + suffix)


def _connect(path: Path, mode: str) -> sqlite3.Connection:
    return sqlite3.connect(f"{path.resolve().as_uri()}?{mode}", uri=True, isolation_level=None)
