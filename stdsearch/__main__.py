"""`python -m stdsearch` is the `stdsearch` command."""

from stdsearch.cli import main

if __name__ == "__main__":
    main()
