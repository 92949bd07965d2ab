"""How good a dubbed film is: measures, and what they cannot see."""

from dubkit.evaluation.evaluate import Evaluation, evaluate
from dubkit.evaluation.measures import BY_NAME, MEASURES
from dubkit.evaluation.pairs import Pair, pairs_of

__all__ = ["BY_NAME", "MEASURES", "Evaluation", "Pair", "evaluate", "pairs_of"]
