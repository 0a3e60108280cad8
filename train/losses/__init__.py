"""Losses of the papers, one short class each."""

from train.losses.clap import CLAPLoss
from train.losses.dwd import DWDLoss

__all__ = ["CLAPLoss", "DWDLoss"]
