"""`stdsearch train export`: a run becomes a model."""

from pathlib import Path

import click

from train.cli.options import FILE, check_folder


@click.command()
@click.argument("run", type=FILE)
@click.argument("model", type=FILE)
def export(run: Path, model: Path) -> None:
    """Write the averaged encoder of RUN to MODEL (.safetensors), with a model card beside it."""
    from train.export import export as write

    check_folder(model)
    figures = write(run, model)
    for name, value in figures.items():
        if name.startswith("dev_"):
            click.echo(f"{name}\t{value}")
