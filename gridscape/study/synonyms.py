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
        *("clip_norm", "label_smoothing", "gradient_noise", "gradient_noise_decay", "ema"),
        *("warmup", "final"),
    ),
    "model_options": (
        *("hidden_size", "layers", "activation", "output_activation", "bias", "init"),
        *("directions", "returns", "kernel_size", "cell"),
    ),
    "task_options": ("n_train", "subset", "subset_seed", "center", "validation"),
}


class Synonym(NamedTuple):
    """Our name, other names for it without dashes and underscores, and what differs."""

    ours: str
    others: str
    note: str = ""


SYNONYMS = (
    Synonym(
        "epochs",
        "epoch nepochs nepoch numepochs nbepoch maxepochs maxepoch numtrainepochs trainepochs"
        " maxiter",
        "walks through the training examples",
    ),
    Synonym("examples", "nexamples numexamples samples nsamples numsamples", "in all updates"),
    Synonym("flops", "flop nflops numflops compute", "in all updates"),
    Synonym(
        "updates",
        "iterations iteration niter niterations numiterations steps nsteps numsteps maxsteps"
        " trainsteps numtrainsteps nupdates",
    ),
    Synonym("batch_size", "batch batches bs minibatch minibatchsize trainbatchsize"),
    Synonym("learning_rate", "lr lrs eta eta0 rate stepsize learningrateinit baselr initiallr"),
    Synonym(
        "hidden_size",
        "units nunits numunits hidden nhidden numhidden hiddenunits hiddendim hiddensizes neurons"
        " nneurons width widths outfeatures",
    ),
    Synonym("layers", "hiddenlayersizes hiddenlayers", 'such as "64-32"'),
    Synonym("layers", "nlayers numlayers nhiddenlayers depth"),
    Synonym("l2", "alpha", "the penalty of scikit-learn; alpha of PyTorch's RMSprop is 'decay'"),
    Synonym("l2", "weightdecay wd", "of adamw it is 'weight_decay'"),
    Synonym("l2", "l2reg l2penalty l2regularization kernelregularizer lambda lambd"),
    Synonym("keep", "dropout dropoutrate dropoutprob pdropout", "keep = 1 - dropout"),
    Synonym("keep", "keepprob keeprate"),
    Synonym("clip_norm", "clip gradclip gradclipnorm gradientclipval maxgradnorm clipnorm"),
    Synonym(
        "warmup",
        "warmupsteps nwarmupsteps warmupupdates warmupiters warmupepochs warmupratio warmupfraction"
        " warmupproportion warmuptime",
        "the share of all updates in which the rate rises",
    ),
    Synonym("final", "finallr minlr etamin endlr alphaf", "the share of the rate at the end"),
    Synonym("label_smoothing", "smoothing labelsmooth labelsmoothingfactor"),
    Synonym("gradient_noise", "gradnoise noise", "the variance of the noise of the first update"),
    Synonym("ema", "emadecay modelema modelemadecay polyak polyakdecay useema emamomentum"),
    Synonym("b1", "beta1 betas"),
    Synonym("b2", "beta2"),
    Synonym("eps", "epsilon"),
    Synonym("decay", "rho"),
    Synonym("optimizer", "solver optim optimiser opt algorithm"),
    Synonym("optimizer", "nesterov nesterovsmomentum usenesterov", 'optimizer = "nesterov"'),
    Synonym("loss", "criterion lossfn lossfunction objective"),
    Synonym("metrics", "metric measures measured"),
    Synonym("task", "dataset data datasetname"),
    Synonym("model", "network net architecture arch estimator"),
    Synonym("activation", "nonlinearity act activationfn activationfunction"),
    Synonym("init", "initializer kernelinitializer weightinit"),
    Synonym("directions", "bidirectional", "2 reads from both ends"),
    Synonym("returns", "returnsequences", '"every" or "last"'),
    Synonym("bias", "usebias fitintercept"),
    Synonym("seed", "randomstate randomseed rngseed"),
    Synonym("replicates", "runs nruns repeats repeat nrepeats repetitions seeds nseeds trials"),
    Synonym("precision", "dtype mixedprecision amp"),
    Synonym("sampling", "shuffle replacement"),
)


def hint(name: str, table: str, known: Iterable[str], keys: Iterable[str]) -> str | None:
    """What to say instead of an unknown name, and where; None where nothing is known of it.

    table: in which the name stands, "" for the study itself. known: the names that it may hold.
    keys: those of the study itself.

    >>> hint("lr", "", ["updates"], ["updates"])
    "use 'learning_rate', under [axes] or [hyperparameters]"
    >>> hint("n-epochs", "axes", ["epochs"], ["epochs"])
    "use 'epochs': walks through the training examples"
    >>> hint("keep_parameters", "axes", ["epochs"], ["keep_parameters"])
    'it is a key of the study itself'
    """
    bare, keys = _bare(name), list(keys)
    found = meaning(name) or next((Synonym(key, "") for key in keys if _bare(key) == bare), None)
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


def meaning(name: str) -> Synonym | None:
    """What a name stands for, however it is written; None where nothing is known of it."""
    bare = _bare(name)
    for one in SYNONYMS:
        if bare in one.others.split():
            return one
    ours = [*(one.ours for one in SYNONYMS), *chain(*TABLES.values())]
    return next((Synonym(own, "") for own in ours if _bare(own) == bare), None)


def _bare(name: str) -> str:
    return re.sub("[^a-z0-9]", "", name.lower())
