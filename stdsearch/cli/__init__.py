"""The `stdsearch` command: its group of subcommands and its way to end.

Subcommand modules import what is heavy (torch, faiss, numba, duckdb) inside the function that runs,
so that `stdsearch --help` and `stdsearch score` start at once.
"""

import atexit
import errno
import faulthandler
import gc
import importlib
import io
import os
import sys
from typing import TextIO

import click

from stdsearch import __version__
from stdsearch.errors import StdSearchError

ADVICE = {  # for what an operating system may refuse of any path; all else is a bug
    errno.ENOSPC: "make room and run again",
    errno.EDQUOT: "make room and run again",
    errno.EACCES: "give yourself the right to it, or name another path",
    errno.EPERM: "give yourself the right to it, or name another path",
    errno.EROFS: "name a path that can be written",
    errno.ENAMETOOLONG: "give it a shorter name",
    errno.ELOOP: "mend the links that lead to each other",
    errno.EIO: "check the disk",
}
# stdsearch.cli.NAME holds the command NAME
BUILT_IN = ("convert", "info", "pronounce", "query", "score", "spot", "sql", "verify")


class CommandGroup(click.Group):
    """The built-in subcommands and those of the entry-point group `stdsearch.commands`."""

    def invoke(self, ctx: click.Context) -> object:
        """Run the subcommand; that nobody reads on, as in `stdsearch query ... | head`, is no failure."""
        try:
            return super().invoke(ctx)
        except BrokenPipeError:
            _to_nowhere(sys.stdout)
            return 0

    def list_commands(self, ctx: click.Context) -> list[str]:
        """Every subcommand's name, sorted."""
        from importlib.metadata import entry_points  # which brings email and much else

        return sorted({*BUILT_IN, *(entry.name for entry in entry_points(group="stdsearch.commands"))})

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """The subcommand, imported when asked for."""
        if cmd_name in BUILT_IN:
            command: click.Command = getattr(importlib.import_module(f"stdsearch.cli.{cmd_name}"), cmd_name)
            return command
        from importlib.metadata import entry_points

        for entry in entry_points(group="stdsearch.commands", name=cmd_name):
            loaded: click.Command = entry.load()
            return loaded
        return None


@click.group(cls=CommandGroup, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(__version__, prog_name="stdsearch")
def cli() -> None:
    """Find where a word or phrase is said in hours or years of recordings, without transcripts."""


def _to_nowhere(stream: TextIO) -> None:
    """Let go what is still to be written, which would fail again."""
    with open(os.devnull, "w") as nowhere:
        os.dup2(nowhere.fileno(), stream.fileno())


def _hush_decoders() -> None:
    """Keep for Python alone what is standard error now.

    libmpg123 writes there, from C, of every MP3 frame that it has to mend; a crash is still told, by faulthandler.
    """
    stderr = sys.stderr
    if stderr is not sys.__stderr__ or stderr is None:  # somebody reads it, as a test does, or there is none
        return
    try:
        own = os.fdopen(os.dup(2), "w", buffering=1, encoding=stderr.encoding, errors="backslashreplace")
    except OSError:
        return
    with open(os.devnull, "w") as nowhere:
        os.dup2(nowhere.fileno(), 2)
    sys.stderr = own
    faulthandler.enable(own)


def run() -> None:
    """`main` as a process of its own, which then ends at once: to take apart what libraries built takes it 0.6 s."""
    code: object = 1

    def leave() -> None:
        try:
            try:
                sys.stdout.flush()
            except BrokenPipeError:
                _to_nowhere(sys.stdout)
            sys.stderr.flush()
        except (OSError, ValueError):
            return  # Python tries once more, and tells
        os._exit(code if isinstance(code, int) else 1)

    atexit.register(leave)  # before libraries register what they have to do, so it is the last
    try:
        main()
    except SystemExit as ended:
        code = ended.code or 0
        raise


def main() -> None:
    """Run the command line; a StdSearchError becomes one line on stderr and exit code 1."""
    if sys.stdout is None:  # it was closed, and what is to be seen there must not fail
        sys.stdout = open(os.devnull, "w")  # noqa: SIM115
    if sys.stderr is None:  # so was this; another file that got its number would be written to by libmpg123
        os.dup2(os.open(os.devnull, os.O_WRONLY), 2)
        sys.stderr = open(2, "w", closefd=False)  # noqa: SIM115
    if isinstance(sys.stdout, io.TextIOWrapper) and not sys.stdout.isatty():
        sys.stdout.reconfigure(encoding="utf-8")  # as in files; a terminal's own may lack letters
    collected_after = gc.get_threshold()
    gc.set_threshold(20_000)  # else a tenth of the start of a process goes into collecting what libraries define
    _hush_decoders()
    try:
        sys.exit(cli.main(prog_name="stdsearch", standalone_mode=False) or 0)
    except StdSearchError as error:
        click.echo(f"stdsearch: {error}", err=True)
        sys.exit(1)
    except click.ClickException as error:
        error.show()
        sys.exit(error.exit_code)
    except (click.Abort, KeyboardInterrupt):
        click.echo("stdsearch: interrupted", err=True)
        sys.exit(130)
    except RuntimeError as error:
        if "Query interrupted" not in str(error):  # by which DuckDB says it
            raise
        click.echo("stdsearch: interrupted", err=True)
        sys.exit(130)
    except OSError as error:
        if error.errno not in ADVICE:
            raise
        _to_nowhere(sys.stdout)
        named = error.filename or "the output"
        click.echo(f"stdsearch: {named}: {error.strerror}; {ADVICE[error.errno]}", err=True)
        sys.exit(1)
    finally:
        gc.set_threshold(*collected_after)
