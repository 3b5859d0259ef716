"""Verdicts on made-up landscapes."""

from gridscape.claims.judging import judge
from gridscape.claims.records import Claim, Outcome

HOLDS, FAILS, UNDECIDED = Outcome.HOLDS, Outcome.FAILS, Outcome.UNDECIDED


CELLS = {"cell": ["rnn", "gru", "lstm"], "hidden_size": [64, 128]}


MOMENTA = {"momentum": [0.0, 0.5, 0.9, 1.0, 1.05]}


def verdict(rule, land, parameters, along=None, folder=None, axes=None):
    claim = Claim("x", "It is so.", "A report", rule, parameters, "in words", axes or land.axes)
    claim = Claim(**{**claim.__dict__, "along": along or {}})
    (found,) = judge(land, [claim], folder=folder)
    return found
