"""`python -m astraclr.cli`: the same as `astraclr`."""

from astraclr.cli import main

if __name__ == "__main__":
    main()
