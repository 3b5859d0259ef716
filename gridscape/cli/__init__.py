"""The command line: ``python -m gridscape``, and the script of that name."""

import shlex
import sys
from typing import NoReturn

from gridscape.errors import LONGEST, cut


def main(arguments: list[str] | None = None) -> NoReturn:
    """Run a command, that of the process by default, and end the process with its status."""
    # Before all that takes long to import: Ctrl-C may come at any moment.
    from gridscape.execution.interrupt import STATUS, Guard, is_interruption
    from gridscape.grid.many import many_records

    given = sys.argv[1:] if arguments is None else list(arguments)
    guard = Guard(interrupted(given)).begin()
    try:
        with many_records():  # what imports make stays
            from gridscape.cli import commands  # here: a module of this room costs no command line
            from gridscape.cli._streams import stand_in

        stand_in()
        status = commands.exit_status(given)
    except BaseException as error:  # outside of the command
        if not is_interruption(error):
            raise
        print(f"gridscape: {guard.line}", file=sys.stderr)
        status = STATUS
    guard.end(status)
    sys.exit(status)


def interrupted(arguments: list[str], kept: str = "and what is stored is kept") -> str:
    """What is said of a command that a signal has ended; a very long one is not repeated."""
    line = f"interrupted {kept}; to go on: {shlex.join(['gridscape', *arguments])}"
    if len(line) <= LONGEST and line.isprintable():
        return line
    again = "; to go on: the same command"
    return cut(f"interrupted {kept}", LONGEST - len(again)) + again
