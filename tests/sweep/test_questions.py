"""What a look says of the best value and of the order of values, on landscapes of known truth."""

import numpy as np
import pytest
from synthetic import landscape

from gridscape.analysis.looks import Level, Looks
from gridscape.grid.trials import Status
from gridscape.landscape import Landscape
from gridscape.sweep.questions import Among, BestValue, OrderOf

RATES = (0.001, 0.01, 0.1)
LOOKS = Looks.up_to(20)


def world(truth, *, seed=0, noise=0.01, replicates=20, **more):
    """One row of rates with these true means."""
    means = dict(zip(RATES, truth, strict=False))
    axes = {"learning_rate": RATES[: len(truth)]}
    accuracy = lambda cell: means[cell["learning_rate"]]  # noqa: E731
    return landscape(
        axes, accuracy, replicates=replicates, noise=noise, shared_noise=noise, seed=seed, **more
    )


def ask(kind, land, margin=0.0):
    return kind(Among.of(land, "learning_rate", None, False, margin))


def decided(question, land):
    """The first settled word, and the look at which it fell; the last one where none fell."""
    memories, open_at = {}, {}
    for number in LOOKS.numbers:
        part = Landscape(land.data.isel(replicate=slice(0, number)), land.study)
        (said,) = question.look(part, LOOKS.level(number), memories)
        memories, open_at[number] = {said.name: said.memory}, said.open
        if not said.open:
            break
    return said, number, open_at


def test_the_best_value_is_found_and_others_get_no_more():
    land = world([0.5, 0.7, 0.72])
    said, number, open_at = decided(ask(BestValue, land), land)
    assert (said.outcome, said.answer) == ("decided", "0.1")
    assert 3 < number <= 20
    left = [{cell["learning_rate"] for cell in cells} for cells in open_at.values()]
    assert left[-1] == set()
    assert left[-2] == {0.01, 0.1}  # 0.001 is out


def test_values_within_the_margin_are_equal():
    land = world([0.5, 0.7, 0.7005], noise=0.004)
    said, _, _ = decided(ask(BestValue, land, margin=0.01), land)
    assert (said.outcome, said.answer) == ("practically equal", "0.01, 0.1")


def test_the_order_is_told_with_what_is_equal():
    land = world([0.5, 0.7, 0.7005], noise=0.004)
    said, _, _ = decided(ask(OrderOf, land, margin=0.01), land)
    assert said.outcome == "decided"
    assert said.answer in ("0.1 = 0.01 > 0.001", "0.01 = 0.1 > 0.001")


def test_values_that_fail_are_set_aside():
    def status(cell, replicate):
        return Status.DIVERGED if cell["learning_rate"] == 0.1 else Status.FINISHED

    land = world([0.5, 0.7, 0.9], status=status)
    for kind in (BestValue, OrderOf):
        said, _, _ = decided(ask(kind, land), land)
        assert said.note == "set aside, half or more did not finish: 0.1"
        assert "0.1" not in said.answer.split()


def test_no_scatter_is_no_proof():
    no_fraction = {"metrics": {"accuracy": {"better": "higher", "unit": "points"}}}
    land = world([0.5, 0.7, 0.9], noise=0.0, study=no_fraction)
    for kind in (BestValue, OrderOf):
        said, number, _ = decided(ask(kind, land), land)
        assert (said.outcome, number) == ("open", 20)


def test_fractions_scatter_at_least_as_their_examples_do():
    """Of 100 examples .5 and .52 are not told apart, .5 and .9 are, though no replicate differs."""
    for truth, outcome in (([0.5, 0.52], "open"), ([0.5, 0.9], "decided")):
        land = world(truth, noise=0.0, study={"n_examples": {"test": 100}})
        said, _, _ = decided(ask(BestValue, land), land)
        assert said.outcome == outcome


@pytest.mark.parametrize("kind", [BestValue, OrderOf])
def test_equal_values_are_rarely_told_apart(kind):
    """The error of all looks together: at most 5 % of rows, by 120 of them."""
    n = 120
    false = 0
    for seed in range(n):
        land = world([0.7, 0.7], seed=seed)
        said, _, _ = decided(ask(kind, land), land)
        false += said.outcome == "decided"
    # Three standard errors above 5 %.
    assert false <= 0.05 * n + 3 * np.sqrt(0.05 * 0.95 * n)
    assert false > 0


def test_a_further_value_makes_another_statement():
    two, three = world([0.5, 0.7]), world([0.5, 0.7, 0.9])
    (a,), (b,) = (ask(BestValue, land).look(land, Level(0.01), {}) for land in (two, three))
    assert (a.name, a.content != b.content) == (b.name, True)
