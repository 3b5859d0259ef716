"""What a landscape shows, in plain words that are true of its numbers."""

from synthetic import landscape

from gridscape.grid.trials import Status
from gridscape.report.findings import gather
from gridscape.report.story import story, works

AXES = {"hidden_size": [16, 32, 64], "learning_rate": [0.001, 0.01, 0.1, 1.0]}
GUESSING = {"guessing": 0.1}


def falling(cell):
    """The best rate is 0.1 at 16 and 0.01 at 64; nothing is learned at 1."""
    best = 0.1 if cell["hidden_size"] == 16 else 0.01
    if cell["learning_rate"] == 1.0:
        return 0.1
    return 0.95 if cell["learning_rate"] == best else 0.7


def test_the_words_are_those_of_the_numbers():
    def lost(cell, replicate):
        is_lost = cell["learning_rate"] == 1.0 and cell["hidden_size"] == 64
        return Status.DIVERGED if is_lost else Status.FINISHED

    found = gather(landscape(AXES, falling, status=lost, study=GUESSING))
    told = story(found)
    assert told.startswith("Learning works in 9 of 12 cells: there test accuracy reaches 52.")
    assert "It does at a learning rate of 0.001 to 0.1, and at no other tried." in told
    assert "best learning rate falls from 0.1 at hidden_size=16 to 0.01 at hidden_size=64" in told
    assert "3 networks diverged, at learning rate 1." in told
    assert "collapsed" not in told
    assert sum(map(bool, works(found))) == 9


def test_what_has_not_ended_is_not_told():
    land = landscape(AXES, falling, status=lambda cell, r: Status.MISSING, study=GUESSING)
    found = gather(land)
    assert story(found) == ""
    assert set(works(found)) == {None}


def test_what_collapsed_does_not_work_whatever_it_reaches():
    def collapsed(cell, replicate):
        return cell["learning_rate"] == 1.0

    found = gather(landscape(AXES, lambda cell: 0.9, collapsed=collapsed))
    assert "9 of 12 cells" in story(found)
    assert "9 networks collapsed to one answer, at learning rate 1." in story(found)


def test_equal_best_values_are_said_at_once():
    def same(cell):
        return 0.9 if cell["learning_rate"] == 0.01 else 0.7

    assert "the best learning rate is 0.01 in every row" in story(gather(landscape(AXES, same)))
