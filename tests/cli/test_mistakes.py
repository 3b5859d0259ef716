"""A mistake is one clear line, with exit status 1 or 2, and nothing is written."""

import pytest

from gridscape.cli import commands

pytestmark = pytest.mark.usefixtures("quiet_place")

MISTAKES = [
    ("rnu", 2, "unknown command 'rnu'; did you mean 'run'?"),
    ("data chek", 2, "unknown command 'chek'; did you mean 'check'?"),
    ("data", 2, "missing command; see gridscape data --help"),
    (
        "run --n-epochs 5",
        2,
        "unknown option '--n-epochs'; use --epochs: walks through the training examples",
    ),
    ("run --lr 0.1", 2, "unknown option '--lr'; use --set learning_rate=..."),
    ("show x --lr 3", 2, "unknown option '--lr'; see gridscape show --help"),
    ("--versoin", 2, "unknown option '--versoin'; did you mean '--version'?"),
    ("run --replicats 3", 2, "unknown option '--replicats'; did you mean '--replicates'?"),
    ("run --zzz", 2, "unknown option '--zzz'; see gridscape run --help"),
    ("run a b", 2, "too many arguments: b; see gridscape run --help"),
    ("run --updates", 2, "'--updates' requires an argument"),
    ("replay x", 2, "missing option '--cell'; see gridscape replay --help"),
    ("run quickstrat", 2, "unknown study 'quickstrat'; did you mean 'quickstart'?"),
    ("run no.toml", 2, "no.toml: no such study file"),
    ("run --set hiden_size=4", 2, "unknown axis 'hiden_size'; did you mean 'hidden_size'?"),
    ("run --set hidden_size=", 2, "axis hidden_size: an axis needs at least one value"),
    ("run --set hidden_size", 2, "--set: not an axis (expected AXIS=V1,V2"),
    ("run --set =4", 2, "--set: not an axis (expected AXIS=V1,V2"),
    ("run --set hidden_size=4 --set hidden_size=8", 2, "--set: the same axis twice"),
    ("run --set hidden_size=4,4", 2, "lists each value once"),
    ("run --set status=1", 2, "axes.status: no name for an axis: every landscape has something of"),
    ("plan --set a/b=1", 2, "axes: no name for an axis (expected printable text without '/'"),
    ("run --set hidden_size=0", 2, "hidden_size: out of range"),
    ("run --set hidden_size=big", 2, "hidden_size: out of range"),
    ("run --set learning_rate=0", 2, "learning_rate: out of range"),
    ("run --set learning_rate=-1", 2, "learning_rate: out of range"),
    ("run --set learning_rate=nan", 2, "learning_rate: out of range"),
    ("run --set learning_rate=1:0:3", 2, "axis learning_rate: not a range"),
    ("run --set learning_rate=fast", 2, "learning_rate: out of range"),
    ("run --task minst-rows", 2, "unknown task 'minst-rows'; did you mean 'mnist-rows'?"),
    ("run --replicates 0", 2, "replicates: "),
    ("run --replicates many", 2, "'--replicates'"),
    ("run --updates 0", 2, "updates: "),
    ("run --batch-size 100000", 2, "batch_size: larger than the training set"),
    ("run --seed -1", 2, "seed: "),
    ("run --executor lokal", 2, "unknown executor 'lokal'; did you mean 'local'?"),
    ("plan --executor lokal", 2, "unknown executor 'lokal'; did you mean 'local'?"),
    ("run --executor rai", 2, "unknown executor 'rai'; did you mean 'ray'?"),
    ("run --address auto", 2, "--address: the executor 'local' has no address (found 'auto')"),
    ("run --precision float16", 2, "precision: "),
    ("plan quickstrat", 2, "did you mean 'quickstart'?"),
    ("plan --set hidden_size=0", 2, "hidden_size: out of range"),
    ("show", 2, "no results folder is named (expected DIR, found runs/ has none)"),
    ("show nothing", 2, "unknown results folder 'nothing'"),
    ("show .", 1, "holds no results"),
    ("claims .", 1, "holds no results"),
    ("report .", 1, "holds no results"),
    ("export .", 1, "holds no results"),
    ("replay . --cell hidden_size=4", 1, "holds no results"),
    ("replay . --cell four", 2, "--cell: not a cell"),
    ("export --format xls", 2, "unknown format 'xls'"),
    ("data fetch mnits", 2, "unknown data set 'mnits'; did you mean 'mnist'?"),
    ("data check cifar10-gray28", 1, "not on this machine"),
    ("run --task cifar10-gray28-rows", 1, "not on this machine"),
]


@pytest.mark.parametrize(("line", "status", "words"), MISTAKES, ids=[m[0] for m in MISTAKES])
def test_a_mistake_is_one_line_and_writes_nothing(call, quiet_place, line, status, words):
    found, out, err = call(*line.split())
    assert words in err
    assert (found, out) == (status, "")
    assert err.startswith("gridscape: ")
    assert err.count("\n") == 1
    assert list(quiet_place.iterdir()) == []


def test_all_mistakes_of_a_study_file_are_told_at_once(call, quiet_place):
    (quiet_place / "mine.toml").write_text(
        'task = "digits-rows"\nmodel = "lstm"\nupdate = 5\nreplicates = 0\n[axes]\n'
        "hidden_size = [4]\n"
    )
    status, _, err = call("run", "mine.toml")
    assert status == 2
    assert "2 mistakes" in err
    assert "line 3: update: unknown key 'update'; did you mean 'updates'?" in err
    assert "line 4: replicates" in err


def test_debug_shows_the_trace(call):
    status, out, err = call("run", "quickstrat", "--debug")
    assert (status, out) == (2, "")
    assert "Traceback (most recent call last)" in err
    assert err.splitlines()[-1].startswith("gridscape: unknown study")


def test_an_unexpected_error_is_one_line_and_has_its_trace_on_demand(call, monkeypatch):
    def broken(*_, **__):
        raise ZeroDivisionError("no\nway")

    monkeypatch.setattr("gridscape.sweep.plan", broken)
    expected = "gridscape: unexpected ZeroDivisionError: no way; --debug shows the trace\n"
    assert call("plan") == (1, "", expected)
    status, _, err = call("plan", "--debug")
    assert status == 1
    assert "Traceback" in err


def test_a_warning_is_one_line_too(call, monkeypatch, recwarn):
    import warnings

    def careless(*_, **__):
        warnings.warn("something is odd", UserWarning, stacklevel=1)
        raise commands.UsageError("stop")

    monkeypatch.setattr("gridscape.sweep.plan", careless)
    warnings.simplefilter("default")
    status, _, err = call("plan")
    assert (status, err) == (2, "gridscape: warning: something is odd\ngridscape: stop\n")
