"""Normalised cross entropy, MediaEval's measure of how much information the scores carry.

Scores are natural log likelihood ratios (llr). C_xe is the information still missing, in bits a trial, weighed by a
prior; C_nxe is C_xe / C_prior, where C_prior is what is missing without any system. 0 is perfect, 1 is worthless, and
badly calibrated scores may exceed 1. Source: Rodriguez-Fuentes and Penagarikano, "MediaEval 2013 spoken web search
task: system performance measures", 2013.
"""

import numpy as np

EFFECTIVE_PRIOR = 0.08 / (
    0.08 + 0.9992
)  # P_target · C_miss / (P_target · C_miss + (1 - P_target) · C_fa), .0008, 100, 1
MEDIAEVAL_BETA = 0.01 * (1 / 0.0008 - 1)  # 12.49: the weight of a false alarm under the same costs and prior
STEPS = 200
CONVERGED = 1e-12


def normalised_cross_entropy(target_llr: np.ndarray, other_llr: np.ndarray, prior: float = EFFECTIVE_PRIOR) -> float:
    """C_nxe of the scores as they stand (MediaEval's actCnxe).

    >>> round(normalised_cross_entropy(np.zeros(3), np.zeros(5)), 12)
    1.0
    """
    if not len(target_llr) or not len(other_llr):
        raise ValueError("normalised cross entropy needs trials of both kinds")
    return _cross_entropy(target_llr, other_llr, prior) / _prior_entropy(prior)


def minimum_cross_entropy(target_scores: np.ndarray, other_scores: np.ndarray, prior: float = EFFECTIVE_PRIOR) -> float:
    """C_nxe after the best calibration llr = γ · score + δ (MediaEval's minCnxe).

    The best γ and δ are those of a logistic regression in which targets weigh as the prior says; found by Newton's
    method with halved steps, which converges as the cost is convex.
    """
    if not len(target_scores) or not len(other_scores):
        raise ValueError("normalised cross entropy needs trials of both kinds")
    scores = np.concatenate([target_scores, other_scores]).astype(np.float64)
    scores = (scores - scores.mean()) / (scores.std() or 1.0)
    n_targets = len(target_scores)
    targets, others = scores[:n_targets], scores[n_targets:]
    weight = np.repeat([prior / n_targets, (1 - prior) / len(others)], [n_targets, len(others)])
    sign = np.repeat([1.0, -1.0], [n_targets, len(others)])
    design = np.stack([scores, np.ones_like(scores)])

    def cost(parameters: np.ndarray) -> float:
        gamma, delta = parameters
        return _cross_entropy(gamma * targets + delta, gamma * others + delta, prior)

    parameters = np.zeros(2)
    best = cost(parameters)
    for _ in range(STEPS):
        wrong = _logistic(-sign * (parameters @ design + _logit(prior)))
        gradient = -design @ (weight * sign * wrong)
        curvature = (design * weight * wrong * (1 - wrong)) @ design.T
        step = np.linalg.lstsq(curvature, gradient, rcond=None)[0]
        while (candidate := cost(parameters - step)) > best and np.abs(step).max() > CONVERGED:
            step = step / 2
        if best - candidate < CONVERGED:
            break
        parameters, best = parameters - step, candidate
    return best / _prior_entropy(prior)


def _cross_entropy(target_llr: np.ndarray, other_llr: np.ndarray, prior: float) -> float:
    """C_xe in bits a trial."""
    missing = prior * np.logaddexp(0, -(target_llr + _logit(prior))).mean()
    missing += (1 - prior) * np.logaddexp(0, other_llr + _logit(prior)).mean()
    return float(missing / np.log(2))


def _prior_entropy(prior: float) -> float:
    return float(-prior * np.log2(prior) - (1 - prior) * np.log2(1 - prior))


def _logit(p: float) -> float:
    return float(np.log(p / (1 - p)))


def _logistic(x: np.ndarray) -> np.ndarray:
    return np.exp(-np.logaddexp(0, -x))
