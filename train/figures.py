"""Figures on dev that several recipes report while they train."""

from collections.abc import Sequence

import numpy as np
from torch import Tensor

from stdsearch.metrics.discrimination import cross_modal, pair_scores, same_different


def discrimination(spans: Tensor, words: Sequence[str], texts: Tensor, types: Sequence[str]) -> dict[str, float]:
    """Acoustic and cross-modal AP of spans (n, D) of words (n,) and of texts (m, D) of types (m,).

    Empty if no word recurs: there is no pair to find.
    """
    if len(set(words)) == len(words):
        return {}
    sound, text, word = spans.float().cpu().numpy(), texts.float().cpu().numpy(), np.array(words)
    return {
        "acoustic_ap": same_different(pair_scores(sound), word).all.average_precision,
        "crossmodal_ap": cross_modal(text, np.array(types), sound, word).average_precision,
    }
