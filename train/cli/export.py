"""`stdsearch train export`: a run becomes a model."""

from pathlib import Path

import click

from train.cli.options import FILE, check_folder


@click.command()
@click.argument("run", type=FILE)
@click.argument("model", type=FILE)
@click.option("--mean-with", type=FILE, help="Encoder that RUN started from: write the mean of its weights and RUN's.")
def export(run: Path, model: Path, mean_with: Path | None) -> None:
    """Write the averaged encoder of RUN to MODEL (.safetensors), with a model card beside it."""
    from train.export import export as write

    check_folder(model)
    figures = write(run, model, mean_with=mean_with)
    for name, value in figures.items():
        if name.startswith("dev_"):
            click.echo(f"{name}\t{value}")
