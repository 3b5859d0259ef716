"""The version of Gridscape, and those of the packages around it."""

__version__ = "0.1.0"


def version_of(package: str) -> str | None:
    """The installed version of a package; None where it is not installed."""
    from importlib import metadata  # here: `import gridscape` costs nothing

    try:
        return metadata.version(package)
    except metadata.PackageNotFoundError:
        return None
