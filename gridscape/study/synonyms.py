"""What the names of PyTorch, Keras and scikit-learn are called in a study, and where they stand."""

import re
from collections.abc import Iterable, Mapping
from itertools import chain
from typing import NamedTuple

# The names of ours that stand in a table, or among the axes; others are keys of the study itself.
TABLES: Mapping[str, tuple[str, ...]] = {
    "hyperparameters": (
        *("learning_rate", "l2", "weight_decay", "momentum", "decay", "b1", "b2", "eps"),
        *("keep", "init_scale", "init_sd", "init_bias", "forget_bias"),
    ),
    "model_options": (
        *("hidden_size", "layers", "activation", "output_activation", "bias", "init"),
        *("directions", "returns", "kernel_size", "cell"),
    ),
    "task_options": ("n_train", "subset", "subset_seed", "center", "validation"),
}


class Meaning(NamedTuple):
    """Our name, other names for it without dashes and underscores, and what differs."""

    ours: str
    others: str
    note: str = ""


MEANINGS = (
    Meaning(
        "updates",
        "epoch epochs nepochs nepoch numepochs nbepoch maxepochs maxepoch numtrainepochs"
        " trainepochs maxiter",
        "updates = epochs x examples / batch_size",
    ),
    Meaning(
        "updates",
        "iterations iteration niter niterations numiterations steps nsteps numsteps maxsteps"
        " trainsteps numtrainsteps nupdates",
    ),
    Meaning("batch_size", "batch batches bs minibatch minibatchsize trainbatchsize"),
    Meaning("learning_rate", "lr lrs eta eta0 rate stepsize learningrateinit baselr initiallr"),
    Meaning(
        "hidden_size",
        "units nunits numunits hidden nhidden numhidden hiddenunits hiddendim hiddensizes neurons"
        " nneurons width widths outfeatures",
    ),
    Meaning("layers", "hiddenlayersizes hiddenlayers", 'such as "64-32"'),
    Meaning("layers", "nlayers numlayers nhiddenlayers depth"),
    Meaning("l2", "alpha", "the penalty of scikit-learn; alpha of PyTorch's RMSprop is 'decay'"),
    Meaning("l2", "weightdecay wd", "of adamw it is 'weight_decay'"),
    Meaning("l2", "l2reg l2penalty l2regularization kernelregularizer lambda lambd"),
    Meaning("keep", "dropout dropoutrate dropoutprob pdropout", "keep = 1 - dropout"),
    Meaning("keep", "keepprob keeprate"),
    Meaning("b1", "beta1 betas"),
    Meaning("b2", "beta2"),
    Meaning("eps", "epsilon"),
    Meaning("decay", "rho"),
    Meaning("optimizer", "solver optim optimiser opt algorithm"),
    Meaning("optimizer", "nesterov nesterovsmomentum usenesterov", 'optimizer = "nesterov"'),
    Meaning("loss", "criterion lossfn lossfunction objective"),
    Meaning("task", "dataset data datasetname"),
    Meaning("model", "network net architecture arch estimator"),
    Meaning("activation", "nonlinearity act activationfn activationfunction"),
    Meaning("init", "initializer kernelinitializer weightinit"),
    Meaning("directions", "bidirectional", "2 reads from both ends"),
    Meaning("returns", "returnsequences", '"every" or "last"'),
    Meaning("bias", "usebias fitintercept"),
    Meaning("seed", "randomstate randomseed rngseed"),
    Meaning("replicates", "runs nruns repeats repeat nrepeats repetitions seeds nseeds trials"),
    Meaning("precision", "dtype mixedprecision amp"),
    Meaning("sampling", "shuffle replacement"),
)


def hint(name: str, table: str, known: Iterable[str], keys: Iterable[str]) -> str | None:
    """What to say instead of an unknown name, and where; None where nothing is known of it.

    table: in which the name stands, "" for the study itself. known: the names that it may hold.
    keys: those of the study itself.

    >>> hint("lr", "", ["updates"], ["updates"])
    "use 'learning_rate', under [axes] or [hyperparameters]"
    >>> hint("n-epochs", "axes", ["updates"], ["updates"])
    "use 'updates': updates = epochs x examples / batch_size"
    """
    found = meaning(name)
    place = found and _place(found.ours, table, set(known), set(keys))
    if found is None or place is None:
        return None
    if found.ours == name:
        return f"it is {place}"
    told = f"use {found.ours!r}" + (f", {place}" if place else "")
    return told + (f": {found.note}" if found.note else "")


def _place(ours: str, table: str, known: set[str], keys: set[str]) -> str | None:
    """Where a name of ours stands, seen from a table; None where no part here has it."""
    if ours in known:
        return ""
    if ours in keys:
        return "a key of the study itself"
    homes = [home for home, names in TABLES.items() if ours in names]
    if not homes or table in ("axes", *homes):
        return None
    return f"under [axes] or [{homes[0]}]"


def meaning(name: str) -> Meaning | None:
    """What a name stands for, however it is written; None where nothing is known of it."""
    bare = _bare(name)
    for one in MEANINGS:
        if bare in one.others.split():
            return one
    ours = [*(one.ours for one in MEANINGS), *chain(*TABLES.values())]
    return next((Meaning(own, "") for own in ours if _bare(own) == bare), None)


def _bare(name: str) -> str:
    return re.sub("[^a-z0-9]", "", name.lower())
