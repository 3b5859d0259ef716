"""A landscape as event files of TensorBoard, written by its own writer: a folder for each trial."""

import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any

from gridscape.grid.axes import Axis
from gridscape.store.tracked import TrackedRun


def write_events(
    folder: Path, runs: Iterable[TrackedRun], axes: Sequence[Axis], metrics: Sequence[str]
) -> None:
    """Write every run as scalars by update, and its cell as the hyperparameters of a session.

    Raises ImportError where tensorboard is not installed.
    """
    from tensorboard.compat.proto.summary_pb2 import Summary
    from tensorboard.plugins.hparams import api_pb2, summary_v2

    with _events(folder) as add:
        add(
            summary_v2.hparams_config_pb(
                hparams=[summary_v2.HParam(axis.name, _domain(axis)) for axis in axes],
                metrics=[summary_v2.Metric(name) for name in metrics],
                time_created_secs=time.time(),
            )
        )
    failed, unknown = api_pb2.Status.STATUS_FAILURE, api_pb2.Status.STATUS_UNKNOWN
    for number, run in enumerate(runs):
        place = folder / run.name
        with _events(place if not place.exists() else folder / f"{run.name}-{number}") as add:
            hyper: Mapping[str, Any] = {**run.cell, "replicate": run.replicate}
            add(summary_v2.hparams_pb(hyper, trial_id=run.key, start_time_secs=time.time()))
            for name in run.names:
                for step, value in run.points(name):
                    add(Summary(value=[Summary.Value(tag=name, simple_value=value)]), step)
            without = unknown if run.was_stopped else failed  # it has no word for stopped
            add(_session_end(api_pb2.Status.STATUS_SUCCESS if run.has_finished else without))


def _domain(axis: Axis) -> Any:
    """The values of an axis, for the panel to choose among; None where they are of two kinds."""
    from tensorboard.plugins.hparams.summary_v2 import Discrete

    kinds = {float if type(value) is int else type(value) for value in axis.values}
    kind = kinds.pop()
    return None if kinds else Discrete([kind(value) for value in axis.values])


def _session_end(status: int) -> Any:
    """What tells how a session ended; the function of TensorBoard for it needs TensorFlow."""
    from tensorboard.compat.proto.summary_pb2 import Summary
    from tensorboard.plugins.hparams import metadata, plugin_data_pb2

    end = plugin_data_pb2.SessionEndInfo(status=status, end_time_secs=time.time())
    content = plugin_data_pb2.HParamsPluginData(session_end_info=end)
    value = Summary.Value(
        tag=metadata.SESSION_END_INFO_TAG,
        metadata=metadata.create_summary_metadata(content),
        tensor=metadata.NULL_TENSOR,
    )
    return Summary(value=[value])


@contextmanager
def _events(folder: Path) -> Iterator[Any]:
    """A function that adds a summary to a file of events in a folder."""
    from tensorboard.compat.proto.event_pb2 import Event
    from tensorboard.summary.writer.event_file_writer import EventFileWriter

    with closing(EventFileWriter(str(folder))) as writer:
        yield lambda summary, step=0: writer.add_event(
            Event(summary=summary, step=step, wall_time=time.time())
        )
