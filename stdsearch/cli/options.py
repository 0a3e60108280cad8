"""Kinds of values that options of several commands take."""

from typing import Any

import click


class Real(click.FloatRange):
    """A range of real numbers, which nan and infinity are not: they compare with nothing, so ranges let them in."""

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> float:
        """The number; fails, as click's types do, for what is none of the range."""
        number: float = super().convert(value, param, ctx)
        if not abs(number) < float("inf"):
            self.fail(f"{value!r} is not a valid float.", param, ctx)
        return number

    def _describe_range(self) -> str:
        """What help shows of the range, nothing where all numbers are in it."""
        return "" if self.min is None and self.max is None else super()._describe_range()
