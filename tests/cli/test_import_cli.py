"""``gridscape import``: a table of runs on the command line, to its page and its claims."""

import json

import pandas as pd
import pytest

CLAIMS = """
[axes]
h = [16, 32]
opt = ["adam"]

[[claim]]
id = "a"
statement = "The wide ones learn."
source = "an example"
rule = "levels"
words = "Every mean of the wide ones is above 0.6."
[claim.parameters]
parts = [{ where = { h = 32 }, above = 0.6 }]
"""


@pytest.fixture
def runs(quiet_place):
    rows = [
        (h, "<script>alert(1)</script>" if o else "adam", seed, 0.35 + h / 100 + seed / 500)
        for h in (16, 32)
        for o in (0, 1)
        for seed in range(6)
    ]
    names = ["params.h", "params.opt", "params.seed", "metrics.accuracy"]
    made = pd.DataFrame(rows, columns=names)
    made.to_csv("runs.csv", index=False)
    made.to_csv("runs.tsv", index=False, sep="\t")
    made.to_parquet("runs.parquet")
    return ["--axes", "h,opt", "--replicate", "seed", "--metric", "accuracy"]


@pytest.mark.parametrize("kind", ["csv", "tsv", "parquet"])
def test_import_shows_the_landscape(call, runs, kind):
    status, out, err = call("import", f"runs.{kind}", *runs)
    assert (status, err) == (0, "")
    assert "24 networks: 2 h" in out
    assert "Results: runs/runs" in out
    assert "gridscape confirm" not in out
    shown = json.loads(call("show", "runs", "--json")[1])
    assert shown["study"] == "runs"


def test_the_page_escapes_and_commands_are_refused(call, runs, quiet_place):
    status, out, _ = call("import", "runs.csv", *runs, "--dir", "out", "--json")
    assert (status, json.loads(out)["report"]) == (0, "out/report.html")
    page = (quiet_place / "out" / "report.html").read_text()
    assert "<script>alert(1)" not in page
    assert "gridscape replay" not in page
    for command in ("replay out --cell h=16,opt=adam", "inspect out", "refine out --optimum"):
        status, _, err = call(*command.split())
        assert status == 1
        assert "holds runs made elsewhere" in err
        assert err.count("\n") == 1
        assert len(err) < 300
    assert call("export", "out", "--output", "again.csv")[0] == 0
    assert call("import", "again.csv", "--axes", "h,opt", "--metric", "test_accuracy")[0] == 0


def test_claims_of_a_file_are_judged(call, runs, quiet_place):
    (quiet_place / "claims.toml").write_text(CLAIMS)
    call("import", "runs.csv", *runs, "--claims", "claims.toml", "--dir", "out")
    status, out, err = call("claims", "out", "--json")
    assert (status, err) == (0, "")
    assert [claim["outcome"] for claim in json.loads(out)["claims"]] == ["holds"]


@pytest.mark.parametrize(
    ("words", "message"),
    [
        ("import none.csv --axes h", "none.csv: cannot be read"),
        ("import runs.csv --axes hh", "did you mean"),
        ("import runs.csv", "missing option '--axes'"),
        ("import runs.csv --axes h --claims none.toml", "cannot be read"),
        ("import runs.csv --axes h --better upper", "expected higher or lower"),
        ("import runs.pkl --axes h", "a file of this kind can run code"),
        ("imort runs.csv", "did you mean 'import'"),
    ],
)
def test_mistakes_are_told_in_one_line(call, runs, words, message):
    status, out, err = call(*words.split())
    assert status in (1, 2)
    assert out == ""
    assert message in err
    assert err.count("\n") == 1
