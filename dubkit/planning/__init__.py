"""Before anything is rendered: what a film holds, what may go wrong, how long it takes."""

from dubkit.planning.film import FilmPlan, plan_film
from dubkit.planning.risk import Level
from dubkit.planning.shots import ShotPlan

__all__ = ["FilmPlan", "Level", "ShotPlan", "plan_film"]
