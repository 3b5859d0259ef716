"""What the page shows of single networks, as plain data: pictures are PNG in data URIs.

Pictures hold pixels only; all words are text of the page, and so are read in light and in dark.
"""

import base64
from collections.abc import Callable, Mapping, Sequence
from typing import Any, cast

import numpy as np

from gridscape.inspection import images as mosaics
from gridscape.inspection.images import common_scale, map_sheet, own_scale
from gridscape.inspection.kinds import Look, blocks, sample_lines, spread_groups, stage
from gridscape.inspection.records import (
    Confusion,
    Deconvnet,
    Example,
    Filters,
    LayerStatistics,
    Mistakes,
    Sample,
    Tiles,
)
from gridscape.report.contract import (
    BlockData,
    ConfusionData,
    DeconvData,
    ExampleData,
    FiltersData,
    MistakesData,
    NetworkData,
    Picture,
    SamplesData,
    StageData,
    StartEnd,
)

MOST_FILTERS = 32
MOST_MAPS = 16  # of a deconvnet: some 15 kB each
MOST_CHANNELS = 256  # of a chart


def network(look: Look, cell: int) -> NetworkData:
    """One network: the number of its cell, its replicate from 0, and its records by kind."""
    trial, groups = look.network.trial, look.network.task.groups
    plain: dict[str, Any] = {kind: PLAIN[kind](record) for kind, record in look.records.items()}
    name = groups.name if groups else ""
    about = {"cell": cell, "replicate": trial.replicate, "group": name}
    return cast(NetworkData, about | plain)


def uri(pixels: np.ndarray) -> str:
    """Pixels as the address of a picture that is inside the page."""
    return f"data:image/png;base64,{base64.b64encode(mosaics.png(pixels)).decode()}"


def _picture(pixels: np.ndarray) -> Picture:
    """A picture with its size in pixels."""
    return {"src": uri(pixels), "width": pixels.shape[1], "height": pixels.shape[0]}


def _mistakes(record: Mistakes) -> MistakesData:
    return {
        "n_wrong": record.n_wrong,
        "n_examples": record.n_examples,
        "wrong": [_example(example) for example in record.wrong],
        "right": [_example(example) for example in record.right],
    }


def _example(example: Example) -> ExampleData:
    symbols = mosaics.is_symbols(example.inputs)
    inputs = example.inputs[example.inputs >= 0] if symbols else example.inputs
    return {
        "index": example.index,
        "truth": example.truth,
        "answer": example.answer,
        "names": example.names,
        "probability": example.probability,
        "loss": example.loss,
        "symbols": " ".join(map(str, inputs.ravel())) if symbols else None,
        "picture": None if symbols else _picture(mosaics.photograph(example)),
    }


def _confusion(record: Confusion) -> ConfusionData:
    return {
        "counts": record.counts.tolist(),
        "shares": record.shares.tolist(),
        "classes": record.classes,
    }


def _filters(record: Filters) -> FiltersData:
    n = min(len(record.start.values), MOST_FILTERS)
    columns = mosaics.square_columns(n, 0.5)

    def drawn(scaled: Any) -> StartEnd:
        def sheet(tiles: Tiles) -> Picture:
            return _picture(mosaics.sheet(scaled(tiles, record.limit)[:n], columns))

        return {"start": sheet(record.start), "end": sheet(record.end)}

    return {
        "layer": record.layer,
        "n": len(record.start.values),
        "shown": n,
        "shape": list(record.start.values.shape[1:]),
        "limit": record.limit,
        "own": drawn(own_scale),
        "common": drawn(common_scale),
    }


def _activations(record: Sequence[LayerStatistics]) -> list[BlockData]:
    return [
        {
            "layer": block[0].layer,
            "shape": list(block[0].shape),
            "stages": [_stage(of_layer) for of_layer in block],
        }
        for block in blocks(record)
    ]


def _stage(of_layer: LayerStatistics) -> StageData:
    channels, total = of_layer.channels, of_layer.total
    few = slice(MOST_CHANNELS)
    return {
        "layer": of_layer.layer,
        "stage": stage(of_layer),
        "mean": _digits(channels.mean[few]),
        "sd": _digits(channels.sd[few]),
        "zeros": _digits(channels.zero_share[few]),
        "total": (float(total.mean), float(total.sd), float(total.zero_share)),
        "silent": int((channels.zero_share == 1).sum()),
    }


def _digits(values: np.ndarray) -> list[float]:
    return [float(f"{value:.4g}") for value in values.tolist()]


def _deconv(record: Deconvnet) -> DeconvData:
    n = min(len(record.channels), MOST_MAPS)
    return {
        "layer": record.layer,
        "n": len(record.channels),
        "maps": [
            {
                "channel": int(record.channels[i]),
                "strongest": float(record.activations[i, 0]),
                "indices": record.indices[i].tolist(),
                "picture": _picture(map_sheet(record, i)),
            }
            for i in range(n)
        ],
    }


def _samples(record: Sequence[Sample]) -> SamplesData:
    return {
        "n_right": sum(sample.is_right for sample in record),
        "n": len(record),
        "shown": [
            {
                "group": sample.group,
                "right": sample.is_right,
                "lines": [
                    {
                        "name": line.name,
                        "symbols": line.symbols,
                        "wrong": line.wrong,
                        "number": line.number,
                    }
                    for line in sample_lines(sample)
                ],
            }
            for sample in spread_groups(record)
        ],
    }


PLAIN: Mapping[str, Callable[[Any], Any]] = {
    "mistakes": _mistakes,
    "confusion": _confusion,
    "filters": _filters,
    "activations": _activations,
    "deconv": _deconv,
    "samples": _samples,
}
