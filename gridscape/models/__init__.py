"""Families of models. A name is short for the import string of a factory.

A factory takes (input_shape, n_outputs) and keyword-only options, and returns a Model.
"""

NAMES = {
    "gru": "gridscape.models.recurrent:gru",
    "lenet5": "gridscape.models.feedforward:lenet5",
    "lstm": "gridscape.models.recurrent:lstm",
    "mlp": "gridscape.models.feedforward:mlp",
    "point": "gridscape.models.point:point",
    "recurrent": "gridscape.models.recurrent:recurrent",
    "rnn": "gridscape.models.recurrent:rnn",
}
