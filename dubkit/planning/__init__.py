"""Before anything is rendered: what a film holds, what may go wrong, how long it takes."""

from dubkit.planning.film_cast import FilmCast, make_cast
from dubkit.planning.film_plan import FilmPlan, plan_film
from dubkit.planning.shot_plan import Level, ShotPlan

__all__ = ["FilmCast", "FilmPlan", "Level", "ShotPlan", "make_cast", "plan_film"]
