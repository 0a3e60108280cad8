"""Parameter types and checks that the commands of `stdsearch train` share."""

from pathlib import Path

import click

from stdsearch.errors import StdSearchError

FILE = click.Path(path_type=Path)


class Assignment(click.ParamType):
    """NAME=VALUE on the command line, a pair in Python."""

    name = "name=value"

    def __init__(self, value_type: click.ParamType) -> None:
        self.value_type = value_type

    def convert(
        self, value: object, param: click.Parameter | None, ctx: click.Context | None
    ) -> tuple[str, str | float]:
        """The pair."""
        name, equals, given = str(value).partition("=")
        if not (name and equals):
            self.fail(f"{value!r} is not of the form NAME=VALUE", param, ctx)
        return name, self.value_type.convert(given, param, ctx)


def check_folder(path: Path) -> None:
    """Raise StdSearchError, before what takes long, if there is no folder to write a file to."""
    if not path.parent.is_dir():
        raise StdSearchError(f"{path}: {path.parent} is no folder; make it first, or choose another")
