"""Learning-rate schedules, laid out by the share of the steps that is done, so that they scale with a run."""

import math
from typing import Literal

Schedule = Literal["cosine", "onecycle", "halving", "constant"]

LOWEST = {"cosine": 1e-2, "onecycle": 1 / 25e4}  # of the peak, at the end
ONECYCLE_START = 1 / 25  # of the peak; as the one above, torch's OneCycleLR
HALVINGS = 5  # ADML: 100 epochs, halved every 20


def learning_rate(step: int, steps: int, peak: float, schedule: Schedule, *, warm_up: float) -> float:
    """The learning rate of a step, counted from 0.

    cosine: a linear rise over the share `warm_up` of the steps, then half a cosine down to a hundredth of the peak.
    onecycle: half a cosine up from a 25th, then half a cosine down to almost nothing (Smith and Topin, 2017).
    halving: the linear rise, then halved after each fifth of the steps. constant: the linear rise, then the peak.
    """
    rise = round(warm_up * steps)
    if step < rise:
        if schedule == "onecycle":
            return peak * (ONECYCLE_START + (1 - ONECYCLE_START) * (1 - math.cos(math.pi * step / rise)) / 2)
        return peak * (step + 1) / rise
    if schedule == "constant":
        return peak
    if schedule == "halving":
        return peak * 0.5 ** (HALVINGS * step // steps)
    share = (step - rise) / max(1, steps - rise)
    lowest = LOWEST[schedule]
    return peak * (lowest + (1 - lowest) * (1 + math.cos(math.pi * share)) / 2)
