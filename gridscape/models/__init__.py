"""Families of models. A name is short for the import string of a factory.

A factory takes (input_shape, n_outputs) and keyword-only options, and returns a Model.
"""

NAMES = {
    "lstm": "gridscape.models.recurrent:lstm",
}
