"""A study of somebody's own data, from a path: sensible axes where none are given."""

import warnings
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from gridscape import models
from gridscape.base.data import Sequences
from gridscape.data.kinds import task_for
from gridscape.errors import UnknownNameError, check_known
from gridscape.study.parts import load_task, model_factory, model_options, task_options
from gridscape.study.settings import name_of_file
from gridscape.study.study import Study
from gridscape.tasks import fetch

LEARNING_RATES = [0.0001, 0.001, 0.01, 0.1]
WIDTHS = [16, 64]
MOST_BATCH = 100
BATCHES_EACH = 8  # of an epoch, where there are few examples
LAYOUTS = {"lenet5": "image", **dict.fromkeys(("lstm", "gru", "rnn", "recurrent"), "rows")}


def own_study(
    path: str | Path,
    *,
    model: str | None = None,
    axes: Mapping[str, Any] | None = None,
    data_dir: str | Path | None = None,
    options: Mapping[str, Any] | None = None,
    metrics: Any = None,
    class_weights: Any = None,
) -> Study:
    """A study of the data at a path: a file or folder that the tasks of one's own data read.

    model: by default "mlp", for sequences of different lengths "lstm"; where there is a target for
    each step, it answers at every one. axes: instead of the learning rate by decades and, where the
    model has one, two widths. options: of the task. metrics, class_weights: as a study has them.
    Raises UnknownNameError for an option that the task does not take, and what the task raises.
    """
    place = found_at(path, data_dir)
    task, given = task_for(place), dict(options or {})
    known = task_options(task)
    for name in given:
        if name not in known:
            raise UnknownNameError(f"option of the task {task!r}", name, known)
    if model is not None and ":" not in model:
        check_known("model", model, models.NAMES)
    if "layout" in known and model in LAYOUTS:
        given.setdefault("layout", LAYOUTS[model])
    given["path"] = str(place)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # the run tells what is odd about the data
        examples = load_task(task, given, data_dir).train_examples
    if model is None:
        model = "lstm" if isinstance(examples.inputs, Sequences) else "mlp"
    has_returns = "returns" in model_options(model_factory(model))
    every_step = has_returns and isinstance(examples.targets, Sequences)
    widths = {"hidden_size": WIDTHS} if "hidden_size" in model_options(model_factory(model)) else {}
    return Study(
        name=name_of_file(place),
        title=f"{model} on {place.name}",
        task=task,
        task_options=given,
        model=model,
        model_options={"returns": "every"} if every_step else {},
        metrics=metrics,
        class_weights=class_weights,
        axes=dict(axes or {**widths, "learning_rate": LEARNING_RATES}),
        keep_parameters="best",  # the page shows their mistakes
        batch_size=max(1, min(MOST_BATCH, examples.n_examples // BATCHES_EACH)),
    )


def found_at(path: str | Path, data_dir: str | Path | None = None) -> Path:
    """The whole path of data, as given or below a folder of data sets, whether it is there or not.

    A path that is the beginning of names, as of IDX files, counts as there.
    """
    given = Path(path).expanduser()
    places = [given, *(folder / given for folder in fetch.search_folders(data_dir))]
    there = (p for p in places if p.exists() or any(p.parent.glob(f"{p.name}*idx?-ubyte*")))
    return next(there, given).absolute()
