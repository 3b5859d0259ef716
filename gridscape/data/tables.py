"""Tables from files and from other libraries, as pandas has them. Nothing that is read is run."""

import csv
import gzip
import warnings
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from gridscape.data.paths import readable
from gridscape.errors import DataCorruptError, DataError, UsageError, one_line

if TYPE_CHECKING:
    import pandas as pd

TEXTS = (".csv", ".tsv", ".tab", ".txt", ".data")
DELIMITERS = ",;\t|"
PACKED = (".gz", ".bz2", ".xz", ".zip", ".zst")
NEEDS = {".parquet": "pyarrow", ".feather": "pyarrow", ".xlsx": "openpyxl", ".ods": "odfpy"}
OTHERS = (".parquet", ".feather", ".xlsx", ".xls", ".ods", ".json", ".jsonl", ".dta", ".sas7bdat")
SUFFIXES = (*TEXTS, *OTHERS)


def suffix_of(path: Path) -> str:
    """The suffix that tells the kind of a file: .csv for data.csv.gz."""
    found = path.suffix.lower()
    return Path(path.stem).suffix.lower() if found in PACKED else found


def read_table(path: Path) -> "pd.DataFrame":
    """The table in a file: .csv and .tsv (packed as well), .parquet, and what pandas reads.

    Raises DataError for a file that cannot be read, of another kind, or without rows,
    DataCorruptError for rows of different lengths.
    """
    kind = suffix_of(path)
    if kind not in SUFFIXES:
        readable(path)  # says what is wrong with a pickle, or that it is not there
        raise DataError(
            "not a table",
            where=path,
            expected=f"one of {', '.join(SUFFIXES)}",
            found=path.suffix or "a name without a suffix",
        )
    reader = _reader(kind)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            warnings.filterwarnings("error", message="Length of header")  # a longer row
            found = reader(readable(path))
    except DataError:
        raise
    except ImportError as error:
        package = NEEDS.get(kind, "a package of its own")
        raise DataError(
            f"reading it needs {package}", where=path, hint=f"pip install {package}"
        ) from error
    except Exception as error:  # the libraries raise many kinds
        raise DataCorruptError("cannot be read", where=path, found=_cause(error)) from error
    return checked(found, path)


def as_table(table: Any, where: object = "table") -> "pd.DataFrame":
    """A table of another library, or of columns by name, as pandas has it.

    Raises UsageError for what is none.
    """
    import pandas as pd

    if isinstance(table, str | Path):
        return read_table(Path(table))
    try:
        if isinstance(table, Mapping):
            table = pd.DataFrame({str(name): list(column) for name, column in table.items()})
        elif not isinstance(table, pd.DataFrame) and hasattr(table, "to_pandas"):
            table = table.to_pandas()  # Polars, Arrow, data sets of Hugging Face
        elif not isinstance(table, pd.DataFrame) and hasattr(table, "__arrow_c_stream__"):
            import pyarrow

            table = pyarrow.table(table).to_pandas()
    except Exception as error:  # a user's object may raise anything
        raise UsageError("not a table", where=where, found=one_line(error)) from error
    if not isinstance(table, pd.DataFrame):
        expected = "a table of pandas, Polars or Arrow, columns by name, or a path"
        found = type(table).__name__
        raise UsageError("not a table", where=where, expected=expected, found=found)
    return checked(table, where)


def checked(table: "pd.DataFrame", where: object) -> "pd.DataFrame":
    """A table with rows, and columns that each have a name; raises DataCorruptError."""
    table = table.rename(columns=str)
    if table.shape[0] == 0 or table.shape[1] == 0:
        found = f"{table.shape[0]} rows and {table.shape[1]} columns"
        raise DataCorruptError("a table without rows", where=where, found=found)
    twice = table.columns[table.columns.duplicated()]
    if len(twice):
        raise DataCorruptError("two columns of one name", where=where, found=repr(twice[0]))
    return table


def _reader(kind: str) -> "Callable[[Path], pd.DataFrame]":
    import pandas as pd

    readers: dict[str, Callable[..., Any]] = {
        ".parquet": pd.read_parquet,
        ".feather": pd.read_feather,
        ".json": lambda path: pd.read_json(path, precise_float=True),
        ".jsonl": lambda path: pd.read_json(path, lines=True, precise_float=True),
        ".dta": pd.read_stata,
        ".sas7bdat": pd.read_sas,
    }
    if kind in TEXTS:
        return lambda path: _read_text(path, kind)
    return readers.get(kind, pd.read_excel)


def _read_text(path: Path, kind: str) -> "pd.DataFrame":
    """Delimited text, in UTF-8 or, where it is not, in Latin-1."""
    import pandas as pd

    delimiter = "\t" if kind in (".tsv", ".tab") else _delimiter(path)
    options: dict[str, Any] = {"sep": delimiter, "index_col": False, "skipinitialspace": True}
    try:
        found = pd.read_csv(path, encoding="utf-8-sig", **options)
    except UnicodeDecodeError:
        found = pd.read_csv(path, encoding="cp1252", **options)
    _refuse_numbers_as_names(found, path)
    return found


def _delimiter(path: Path) -> str:
    """What stands between the names of the first line."""
    opened = gzip.open if path.suffix.lower() == ".gz" else open
    try:
        with opened(path, "rt", encoding="utf-8-sig", errors="replace") as file:
            line = file.readline(100_000)
    except OSError:
        return ","
    try:
        return csv.Sniffer().sniff(line, DELIMITERS).delimiter
    except csv.Error:  # one column, or names that puzzle it
        return max(DELIMITERS, key=line.count)


def _refuse_numbers_as_names(table: "pd.DataFrame", path: Path) -> None:
    """Raise DataCorruptError for a file whose first line holds values, and no names."""
    names = [str(name) for name in table.columns]
    numbers = [name for name in names if _is_number(name)]
    if len(names) > 1 and len(numbers) > len(names) / 2 and not _counts(numbers):
        raise DataCorruptError(
            "the first line holds values, and no names of columns",
            where=path,
            found=", ".join(names)[:60],
            hint="write a first line with a name for every column",
        )


def _counts(numbers: list[str]) -> bool:
    """Whether names are 0, 1, 2 ..., as a table without names is written."""
    return all(name.isdecimal() for name in numbers) and len(set(numbers)) == len(numbers)


def _is_number(text: str) -> bool:
    try:
        float(text)
    except ValueError:
        return False
    return True


def _cause(error: Exception) -> str:
    text = one_line(error)
    ragged = text.partition("Expected ")[2]
    if "Length of header" in text:
        return "rows with more values than there are names"
    return f"expected {ragged}" if ragged else text[:150]
