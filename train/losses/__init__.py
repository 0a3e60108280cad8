"""Losses of the papers, one short class each."""

from train.losses.aam import AAMSoftmaxLoss
from train.losses.adams import AdaMSLoss
from train.losses.adversarial import ModalityAdversarialLoss, reverse_gradient
from train.losses.asyp import AsyPLoss
from train.losses.clap import CLAPLoss
from train.losses.dwd import DWDLoss
from train.losses.focal import FocalLoss
from train.losses.infonce import PhonemeInfoNCELoss
from train.losses.monotonic import MonotonicMatchingLoss
from train.losses.proxy_bd import ProxyBDLoss
from train.losses.proxy_ms import ProxyMSLoss
from train.losses.relational import RelationalProxyLoss, angle_loss, distance_loss, prototypical_loss
from train.losses.sphereface2 import SphereFace2Loss
from train.losses.triplet import TripletLoss

__all__ = [
    "AAMSoftmaxLoss",
    "AdaMSLoss",
    "AsyPLoss",
    "CLAPLoss",
    "DWDLoss",
    "FocalLoss",
    "ModalityAdversarialLoss",
    "MonotonicMatchingLoss",
    "PhonemeInfoNCELoss",
    "ProxyBDLoss",
    "ProxyMSLoss",
    "RelationalProxyLoss",
    "SphereFace2Loss",
    "TripletLoss",
    "angle_loss",
    "distance_loss",
    "prototypical_loss",
    "reverse_gradient",
]
