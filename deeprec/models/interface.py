"""What every exported model can be asked: users' ratings in, predicted ratings out.

Some kinds know each user's vector alone. Others also look from the movies' side, over everybody's
ratings; that is worked out once (`movie_side`) and then serves any number of users. Models whose
predictions are products of codes can be asked for these too (`Factors`).

Shape legend: B users in a batch, M movies of the vocabulary, C a code.
"""

from collections.abc import Mapping
from typing import Protocol

from deeprec.config.models import Activation
from deeprec.ratings import Floats, RatingMatrix

MovieSide = Mapping[str, Floats]


class Model(Protocol):
    """A model that has been exported; users come with movies in the vocabulary's order."""

    @property
    def looks_at_movies(self) -> bool:
        """Whether `movie_side` gives anything, and so needs everybody's ratings."""

    @property
    def needs_days(self) -> bool:
        """Whether ratings must come with their days."""

    def movie_side(self, everyone: RatingMatrix) -> MovieSide:
        """What has to be worked out once, over all ratings that are known."""

    def predict(self, users: RatingMatrix, side: MovieSide, *, counted: bool) -> Floats:
        """B x M: predicted ratings, before the clip.

        Args:
            users: some users' ratings.
            side: of everybody's ratings.
            counted: whether these users are among everybody; those who are not are new here.
        """


class Factors(Protocol):
    """A model whose unclipped predictions are products of a code a user and a code a movie."""

    @property
    def activation(self) -> Activation:
        """What the products go through: increasing, and so without a say in the order."""

    @property
    def unit(self) -> float:
        """What comes of them there is counted in it."""

    def user_codes(self, users: RatingMatrix, side: MovieSide, *, counted: bool) -> Floats:
        """B x C; arguments as of `Model.predict`."""

    def movie_codes(self, side: MovieSide) -> Floats:
        """M x C."""

    def products(self, user_codes_BC: Floats, movie_codes_MC: Floats) -> Floats:
        """B x M: of codes of any length, of any movies."""
