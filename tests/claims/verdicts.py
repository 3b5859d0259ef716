"""Verdicts on made-up landscapes."""

from gridscape.claims.judging import judge
from gridscape.claims.records import Claim, Outcome
from gridscape.grid.trials import Status

HOLDS, FAILS, UNDECIDED = Outcome.HOLDS, Outcome.FAILS, Outcome.UNDECIDED


CELLS = {"cell": ["rnn", "gru", "lstm"], "hidden_size": [64, 128]}


MOMENTA = {"momentum": [0.0, 0.5, 0.9, 1.0, 1.05]}


ORDER = {"cells": [{"cell": "rnn"}, {"cell": "lstm"}, {"cell": "gru"}]}


ALIKE = {"where": {"cell": ["gru", "lstm"]}, "worse": {"cell": "rnn"}, "margin": 0.02}


def by_cell(**accuracies):
    return lambda c: accuracies[c["cell"]]


def diverging(**where):
    """Every trial of the cells with these values diverges."""

    def status(cell, replicate):
        inside = all(cell[name] in values for name, values in where.items())
        return Status.DIVERGED if inside else Status.FINISHED

    return status


def verdict(rule, land, parameters, along=None, folder=None, axes=None):
    claim = Claim("x", "It is so.", "A report", rule, parameters, "in words", axes or land.axes)
    claim = Claim(**{**claim.__dict__, "along": along or {}})
    (found,) = judge(land, [claim], folder=folder)
    return found
