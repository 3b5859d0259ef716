"""The page and the verdicts of a study of which every network failed."""

import pytest

import gridscape as gs
from gridscape.engine.training import Training


@pytest.mark.parametrize(
    ("name", "axes"),
    [
        ("recall", {}),
        ("binary-addition", {"loss": ["mse", "bce"], "operands": ["report"]}),  # of 72 programs
        ("momentum-quadratic", {}),
        ("quickstart", {"hidden_size": [16, 32]}),
    ],
)
def test_a_study_of_which_all_networks_failed_is_told(tmp_path, monkeypatch, name, axes):
    def advance(training, stop):
        raise ValueError("nothing works")

    monkeypatch.setattr(Training, "advance", advance)
    study = gs.Study.load(name).override(axes, replicates=2, updates=3)
    land = gs.run(study, directory=tmp_path / "run", quiet=True)
    assert land.counts()["failed"] == sum(land.counts().values()) > 0
    verdicts = gs.claims.verdicts(tmp_path / "run") if study.claims else []
    assert {verdict.outcome.value for verdict in verdicts} <= {"undecided", "not comparable"}
    page = gs.report.write(tmp_path / "run").read_text(encoding="utf-8")
    assert "nothing works" in page
