"""What the server of ``forks`` imports, as under ``python -W error``; no device is begun."""

import importlib
import warnings

with warnings.catch_warnings():
    warnings.simplefilter("error")
    for name in (
        "jax",
        "optax",
        "pandas",
        "pytest",
        "scipy.stats",
        "sklearn",
        "xarray",
        "gridscape.cli.commands",
        "gridscape.landscape",
        "gridscape.report",
        "gridscape.sweep",
    ):
        importlib.import_module(name)
