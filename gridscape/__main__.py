"""``python -m gridscape``: the command line."""

from gridscape.cli.commands import main

if __name__ == "__main__":
    main()
