"""How good a dubbed film is: measures, and what they cannot see."""

from dubkit.evaluation.evaluate_films import Evaluation, Pair, evaluate, pairs_of
from dubkit.metrics.definitions import BY_NAME, MEASURES

__all__ = ["BY_NAME", "MEASURES", "Evaluation", "Pair", "evaluate", "pairs_of"]
