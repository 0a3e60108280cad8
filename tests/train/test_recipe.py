from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor

from train.manifest import read_manifest
from train.recipe import Inputs, to_device
from train.recipes import RECIPES, plan
from train.words import WordBatch


@dataclass(frozen=True)
class Pair:
    a: Tensor
    names: list[str]


def test_tensors_of_a_batch_move_and_the_rest_stays() -> None:
    x = torch.zeros(2)
    batch = WordBatch(x, x, x, x, x, x, 0.5)
    assert to_device(batch, "cpu") is batch
    moved = to_device([Pair(x, ["a"]), x], "meta")
    assert moved[0].a.device.type == moved[1].device.type == "meta"
    assert moved[0].names == ["a"]
    assert to_device(batch, "meta").label.device.type == "meta"


def test_inputs_give_a_split(manifest: Path, tmp_path: Path) -> None:
    inputs = Inputs(read_manifest(manifest), manifest.parent, tmp_path)
    assert [u.utterance for u in inputs.of_split("dev")] == ["d0", "d1"]
    assert list(inputs.progress(inputs.utterances)) == inputs.utterances


def test_every_recipe_has_a_plan() -> None:
    for name in RECIPES:
        assert plan(name).variants
