"""``python -m gridscape``: the command line."""

from gridscape.cli import main

if __name__ == "__main__":
    main()
