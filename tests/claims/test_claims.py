"""Every rule of the first study: it holds, fails, or cannot be decided."""

import pytest
from study_1 import CASES, CLAIMS, PARAMETERS, UNDECIDED, built, verdict

from gridscape.claims.records import Outcome


@pytest.mark.parametrize(("id", "outcome", "options"), CASES)
def test_rule_says_the_truth(id, outcome, options):
    found = verdict(id, built(options), **PARAMETERS.get(id, {}))
    assert found.outcome is outcome, found
    assert found.rule == found.claim.rule_in_words
    assert bool(found.note) or outcome is not UNDECIDED
    for estimate in found.estimates:
        assert estimate.name
        assert estimate.asks
    if options.get("replicates") == 1:
        assert "fewer than 3" in found.note
        assert not any(e.interval.known for e in found.estimates)
    assert not {x.cell for x in found.excluded} & set(found.used)


def test_every_rule_is_tested_in_every_outcome():
    reached = {(CLAIMS[p.values[0]].rule, p.values[1]) for p in CASES}
    judged = set(Outcome) - {Outcome.NOT_COMPARABLE}  # which no rule says: test_conditions.py
    reached |= {("budget_fit", outcome) for outcome in judged}  # test_budget_rule.py
    of_study = {claim.rule for claim in CLAIMS.values()}  # the others: test_rules.py
    assert reached == {(rule, outcome) for rule in of_study for outcome in judged}
