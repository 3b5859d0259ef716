"""What tests of acts share."""

import pytest
from bowls import bowl
from runs import stored

from gridscape.store import acts
from gridscape.sweep import run


@pytest.fixture
def attentive(monkeypatch):
    """Looked for at every event."""
    monkeypatch.setattr(acts, "POLL_SECONDS", 0.0)


@pytest.fixture(scope="module")
def whole(tmp_path_factory):
    """What the bowl comes to, trained without any act."""
    folder = tmp_path_factory.mktemp("whole")
    run(bowl(), directory=folder)
    return stored(folder)
