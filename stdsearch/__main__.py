"""`python -m stdsearch` is the `stdsearch` command."""

from stdsearch.cli import run

if __name__ == "__main__":
    run()
