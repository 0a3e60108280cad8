"""`stdsearch train`: from transcribed speech to an encoder."""

from pathlib import Path

import click

from train.prepare.sources import FORMATS


@click.group()
def train() -> None:
    """Make an encoder from transcribed speech."""


@train.command()
@click.argument("format", type=click.Choice(FORMATS))
@click.argument("source", type=click.Path(path_type=Path))
@click.option("--out", type=click.Path(path_type=Path), required=True, help="The manifest to write (JSON lines).")
def prepare(format: str, source: Path, out: Path) -> None:
    """Find the times of words and phones in SOURCE and write them as a manifest."""
