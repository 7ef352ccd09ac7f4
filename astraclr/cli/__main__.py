"""Run the command line as ``python -m astraclr.cli``."""

from astraclr.cli import main

if __name__ == "__main__":
    main()
