"""A file of claims of one's own lies beside its study, and is checked before anything trains."""

import shutil
from pathlib import Path

import pytest

from gridscape import sweep
from gridscape.claims.files import load_claims
from gridscape.errors import StudyFileError
from gridscape.study.study import Study

EXAMPLES = Path(__file__).parents[2] / "examples"


def test_the_claims_of_the_lab_lie_beside_its_study(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    study = Study.load(EXAMPLES / "lab.toml")
    assert study.claims == str(EXAMPLES / "lab_claims.toml")
    assert [claim.id for claim in load_claims(study.claims)] == ["1", "2", "3"]


def test_a_wrong_claim_is_told_at_once(tmp_path: Path) -> None:
    shutil.copy(EXAMPLES / "lab.toml", tmp_path)
    text = (EXAMPLES / "lab_claims.toml").read_text(encoding="utf-8")
    wrong = text.replace('"levels"', '"level"').replace('axis = "hidden_size"', 'axis = "width"')
    (tmp_path / "lab_claims.toml").write_text(wrong, encoding="utf-8")
    with pytest.raises(StudyFileError, match=r"claim 1: unknown rule 'level'.*claim 2.*'width'"):
        sweep.prepare(tmp_path / "lab.toml")
    (tmp_path / "lab_claims.toml").unlink()
    with pytest.raises(StudyFileError, match=r"lab_claims.toml: cannot be read"):
        sweep.prepare(tmp_path / "lab.toml")
