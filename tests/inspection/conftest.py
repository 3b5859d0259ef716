"""How tests of inspection look at few examples at once."""

import pytest

from gridscape.inspection import _chunks


@pytest.fixture
def small_chunks(monkeypatch):
    """Chunks of 4, the last one of them smaller, of the 10 examples of ``random_task``."""
    monkeypatch.setattr(_chunks, "CHUNK", 4)
