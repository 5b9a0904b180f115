"""Recommenders of other people behind one small interface; each is imported when it is asked for.

Shape legend: R pairs of a user and a movie.
"""

from collections.abc import Callable, Mapping
from importlib import import_module
from typing import Protocol

from pydantic import ValidationError

from deeprec.errors import ConfigError
from deeprec.ratings import Floats, Ids, RatingMatrix

Settings = Mapping[str, int | float]

_ADAPTERS = {  # the distribution, and the class that speaks to it
    "surprise-svd": ("scikit-surprise", "surprise_svd.SVD"),
    "surprise-svdpp": ("scikit-surprise", "surprise_svd.SVDpp"),
    "lenskit-als": ("lenskit", "lenskit_als.BiasedMF"),
    "myfm-mf": ("myfm", "myfm_gibbs.BayesianMF"),
    "myfm-svdpp": ("myfm", "myfm_gibbs.BayesianSVDppFlipped"),
}
PEERS = tuple(_ADAPTERS)


class Predict(Protocol):
    """A fitted peer."""

    def __call__(self, user_R: Ids, movie_R: Ids) -> Floats:
        """Predicted ratings, not clipped; nan for a user or movie that the peer cannot predict.

        Args:
            user_R: rows of the matrix that was fitted, ascending.
            movie_R: its columns.
        """


class Peer(Protocol):
    """A recommender with its settings and seed."""

    def fit(self, train: RatingMatrix) -> Predict:
        """Learn from these ratings and no others; users and movies without any may be asked for."""


def distribution(name: str) -> str:
    """The package that a peer comes in.

    Raises:
        ConfigError: there is no such peer.
    """
    try:
        return _ADAPTERS[name][0]
    except KeyError:
        raise ConfigError(f"{name}: no such peer; there are {', '.join(PEERS)}") from None


def builder(name: str) -> Callable[[Settings, int], Peer]:
    """What makes a peer of settings and a seed.

    Raises:
        ImportError: its package is not installed, or does not work here.
    """
    module, adapter_name = _ADAPTERS[name][1].split(".")
    adapter = getattr(import_module(f"{__name__}.{module}"), adapter_name)

    def build(settings: Settings, seed: int) -> Peer:
        try:
            peer: Peer = adapter.model_validate({**settings, "seed": seed})
        except ValidationError as error:
            raise ConfigError(f"settings of {name}: {error}") from error
        return peer

    return build
