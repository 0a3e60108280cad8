"""`stdsearch train`: from transcribed speech to an encoder."""

import importlib

import click

from train.recipes import RECIPES

COMMANDS = ("calibrate", "choose", "export", "prepare", "render")  # train.cli.NAME holds the command NAME


class TrainGroup(click.Group):
    """Preparation, a command for each recipe, and what follows training."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        """Every subcommand's name, sorted."""
        return sorted((*COMMANDS, "list", *RECIPES))

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """The subcommand, imported when asked for."""
        if cmd_name in COMMANDS:
            command: click.Command = getattr(importlib.import_module(f"train.cli.{cmd_name}"), cmd_name)
            return command
        from train.cli.recipe import list_recipes, recipe_command

        if cmd_name == "list":
            return list_recipes
        return recipe_command(cmd_name) if cmd_name in RECIPES else None


@click.group(cls=TrainGroup)
def train() -> None:
    """Make an encoder from transcribed speech."""
