"""Angles moved by a margin, in cosines: what SphereFace2 of type A and AAM-softmax share."""

import math

from torch import Tensor

SINE_FLOOR = 1e-3  # keeps the gradient of the root finite where vectors coincide


def widen_angle(cosine: Tensor, margin: float) -> Tensor:
    """The cosine of θ + margin from cos θ; beyond θ = π - margin, where that would rise again, cos θ - 1 + cos(margin).

    Continuous, and falling over the whole of [0, π].
    """
    moved = cosine * math.cos(margin) - sine(cosine) * math.sin(margin)
    return moved.where(cosine > -math.cos(margin), cosine - 1 + math.cos(margin))


def narrow_angle(cosine: Tensor, margin: float) -> Tensor:
    """The cosine of θ - margin from cos θ."""
    return cosine * math.cos(margin) + sine(cosine) * math.sin(margin)


def sine(cosine: Tensor) -> Tensor:
    """The sine of θ in [0, π] from cos θ, at least SINE_FLOOR."""
    return (1 - cosine.square()).clamp_min(SINE_FLOOR**2).sqrt()
