"""Tables from files and from other libraries, as pandas has them. Nothing that is read is run."""

import codecs
import csv
import gzip
import warnings
from collections import Counter
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
DECIMAL_COMMA = r"[-+]?\d+(,\d+)?([eE][-+]?\d+)?"
THOUSANDS = r"[-+]?\d{1,3}(,\d{3})+|[-+]?\d{1,3}"  # what 1,234 is, one cannot know


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
    return _in_days(table)


def _in_days(table: "pd.DataFrame") -> "pd.DataFrame":
    """A table with lengths of time as days."""
    lengths = table.select_dtypes("timedelta")
    made = {str(name): column.dt.total_seconds() / 86_400 for name, column in lengths.items()}
    return table.assign(**made) if made else table


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
    """Delimited text, in UTF-8 or UTF-16 or, where it is neither, in Latin-1."""
    import pandas as pd

    encoding, line = _begin(path)
    delimiter = "\t" if kind in (".tsv", ".tab") else _delimiter(line)
    options: dict[str, Any] = {"sep": delimiter, "index_col": False, "skipinitialspace": True}
    _refuse_names_twice(line, delimiter, path)
    try:
        found = pd.read_csv(path, encoding=encoding, **options)
    except UnicodeDecodeError:
        found = pd.read_csv(path, encoding="cp1252", **options)
    _refuse_numbers_as_names(found, path)
    return _without_numbers_of_rows(_with_decimal_commas(found))


def _begin(path: Path) -> tuple[str, str]:
    """The encoding of a text, and its first line; "" of one that is packed in another way than .gz.

    Raises DataCorruptError for what is no text.
    """
    packed = path.suffix.lower()
    if packed in PACKED and packed != ".gz":
        return "utf-8", ""
    with (gzip.open if packed == ".gz" else open)(path, "rb") as file:
        begin = file.readline(100_000)
        is_wide = begin[:2] in (codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)
        begin += file.readline(100_000) if is_wide else file.read(1_000)
    if is_wide:
        return "utf-16", begin.decode("utf-16", "ignore").partition("\n")[0]
    if b"\0" in begin:
        raise DataCorruptError("no text", where=path, expected="delimited text")
    return "utf-8", begin.decode("utf-8-sig", "replace").partition("\n")[0]


def _refuse_names_twice(line: str, delimiter: str, path: Path) -> None:
    """Raise DataCorruptError for two columns of one name, which pandas would number."""
    names = next(csv.reader([line], delimiter=delimiter, skipinitialspace=True), [])
    twice = [name for name, count in Counter(names).items() if name and count > 1]
    if twice:
        raise DataCorruptError("two columns of one name", where=path, found=repr(twice[0]))


def _with_decimal_commas(table: "pd.DataFrame") -> "pd.DataFrame":
    """Texts such as "3,14" as numbers; told in ``attrs``."""
    commas = [str(name) for name, column in table.items() if _has_decimal_commas(column)]
    if not commas:
        return table
    made = {name: table[name].str.replace(",", ".").astype("float64") for name in commas}
    return _telling(table.assign(**made), f"read with decimal commas: {_some(commas)}")


def _has_decimal_commas(column: "pd.Series[Any]") -> bool:
    import pandas as pd

    if not pd.api.types.is_string_dtype(column.dtype):
        return False
    some = column.dropna()
    # A look at the first rows spares most columns the whole.
    return all(
        len(texts) > 0
        and bool(texts.str.fullmatch(DECIMAL_COMMA).all())
        and not bool(texts.str.fullmatch(THOUSANDS).all())
        for texts in (some.head(100), some)
    )


def _without_numbers_of_rows(table: "pd.DataFrame") -> "pd.DataFrame":
    """A table without a first column that has no name and numbers the rows, as pandas writes it."""
    first = str(table.columns[0])
    if not first.startswith("Unnamed: ") or table.shape[1] < 2 or not len(table):
        return table
    values = table[first].to_numpy()
    is_number = values.dtype.kind in "iu" and bool((values == values[0] + range(len(table))).all())
    if not is_number:
        return table
    told = "left out: a first column without a name that numbers the rows"
    return _telling(table.drop(columns=first), told)


def _telling(table: "pd.DataFrame", line: str) -> "pd.DataFrame":
    """A table with what is to be told of its reading, in ``attrs``, a line more."""
    table.attrs["told"] = (*table.attrs.get("told", ()), line)
    return table


def _some(names: list[str]) -> str:
    more = f" and {len(names) - 4} more" if len(names) > 4 else ""
    return ", ".join(map(repr, names[:4])) + more


def _delimiter(line: str) -> str:
    """What stands between the names of the first line."""
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
