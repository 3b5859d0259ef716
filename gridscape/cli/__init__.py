"""The command line: ``python -m gridscape``, and the script of that name."""


def main(arguments: list[str] | None = None) -> None:
    """Run a command, that of the process by default, and end the process with its status."""
    from gridscape.cli import commands  # here: a module of this room costs no command line

    commands.main(arguments)
