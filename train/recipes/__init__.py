"""Recipes: what is trained, on what, with which losses; one module each, which holds its PLAN."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:  # torch, which the list of recipes must not bring
    from train.loop import LoopSettings
    from train.recipe import Inputs, Recipe

RECIPES = {
    "span": "CLAP + DWD + phones on spans of whole utterances: the encoder that ships",
    "jmcl": "joint CLAP + DWD on cut words, BiLSTM (arXiv 2512.14115)",
    "plcl": "phoneme-level contrastive learning of a verifier (arXiv 2412.20805)",
    "adml": "adversarial deep metric learning on cut words, ECAPA-TDNN (arXiv 2505.16735)",
}


@dataclass(frozen=True, slots=True)
class Plan:
    """A recipe as it is run unless told otherwise.

    variants: settings by name, the first being the whole method, the others rows of the paper's tables; small: makes
    of such settings those of a network for two cores; epochs: instead of loop.steps, None to keep those. takes: what
    the recipe heeds of Inputs that not every recipe does.
    """

    make: "Callable[[Any, Inputs], Recipe]"
    variants: Mapping[str, Any]
    loop: "LoopSettings"
    epochs: int | None = None
    small: Callable[[Any], Any] | None = None
    takes: frozenset[str] = frozenset({"start_from"})


def plan(name: str) -> Plan:
    """The plan of a recipe of RECIPES; its module is imported when asked for."""
    found: Plan = import_module(f"train.recipes.{name}").PLAN
    return found
