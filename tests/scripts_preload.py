"""What the process of ``scripts`` imports, as under ``python -W error``; no device is begun."""

import importlib
import warnings

warnings.simplefilter("error")

for name in (
    "jax",
    "optax",
    "pandas",
    "scipy.stats",
    "sklearn",
    "xarray",
    "gridscape.cli.commands",
    "gridscape.landscape",
    "gridscape.report",
    "gridscape.sweep",
):
    importlib.import_module(name)
