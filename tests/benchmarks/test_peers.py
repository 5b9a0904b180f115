"""The adapters of those peers that are installed here, and the settings that come with them."""

from pathlib import Path

import numpy as np
import pytest
from scipy import sparse

from benchmarks.peers import PEERS, Peer, Settings, builder
from benchmarks.systems import read_settings, settings_of
from deeprec.errors import ConfigError
from deeprec.ratings import RatingMatrix

NUM_USERS, NUM_MOVIES = 40, 20
NEW_USER, NEW_MOVIE = NUM_USERS, NUM_MOVIES
SMALL: dict[str, Settings] = {
    "surprise-svd": {"n_factors": 4, "n_epochs": 100},
    "surprise-svdpp": {"n_factors": 4, "n_epochs": 100},
    "lenskit-als": {"embedding_size": 2, "epochs": 5},
    "myfm-mf": {"rank": 2, "n_iter": 60, "n_kept_samples": 50},
    "myfm-svdpp": {"rank": 2, "n_iter": 60, "n_kept_samples": 50},
}
SETTINGS_FILES = sorted(settings_of("default").parent.glob("*.toml"))
pytestmark = pytest.mark.filterwarnings("ignore")  # theirs


def build(name: str, seed: int = 0) -> Peer:
    try:
        return builder(name)(SMALL[name], seed)
    except ImportError as error:
        pytest.skip(f"{name} is not installed here: {error}")


def taste_UM() -> np.ndarray[tuple[int, ...], np.dtype[np.float32]]:
    """What users of two tastes give to movies of two kinds: 2 or 4."""
    user_U, movie_M = np.arange(NUM_USERS) % 2, np.arange(NUM_MOVIES) % 2
    return np.where(user_U[:, None] == movie_M, 4, 2).astype(np.float32)


def train_ratings() -> RatingMatrix:
    """Three in four cells of those, and a user and a movie more that have none."""
    is_rated_UM = np.random.default_rng(0).random((NUM_USERS, NUM_MOVIES)) < 0.75
    values_UM = sparse.csr_array(np.pad(is_rated_UM * taste_UM(), (0, 1)))
    return RatingMatrix(np.arange(NUM_USERS + 1), np.arange(NUM_MOVIES + 1), values_UM)


@pytest.mark.parametrize("name", PEERS)
def test_a_peer_finds_what_neither_mean_nor_biases_can(name: str) -> None:
    train, taste = train_ratings(), taste_UM()
    user_R, movie_R = (train.values_UM.toarray()[:NUM_USERS, :NUM_MOVIES] == 0).nonzero()
    predicted_R = build(name).fit(train)(user_R, movie_R)
    assert np.float32 == predicted_R.dtype
    assert np.sqrt(np.mean((predicted_R - taste[user_R, movie_R]) ** 2)) < 0.7  # of them 1.0


@pytest.mark.parametrize("name", PEERS)
def test_the_same_seed_gives_the_same_predictions(name: str) -> None:
    user_R, movie_R = np.arange(NUM_USERS), np.arange(NUM_USERS) % NUM_MOVIES
    first, second = (build(name, seed=3).fit(train_ratings())(user_R, movie_R) for _ in range(2))
    np.testing.assert_allclose(first, second, atol=1e-5)


@pytest.mark.parametrize("name", PEERS)
def test_a_new_user_or_movie_is_predicted_on_the_scale_or_not_at_all(name: str) -> None:
    user_R = np.array([0, NEW_USER, NEW_USER])
    movie_R = np.array([NEW_MOVIE, 0, NEW_MOVIE])
    predicted_R = build(name).fit(train_ratings())(user_R, movie_R)
    assert np.all(np.isnan(predicted_R) | (np.abs(predicted_R - 3) < 1.5))


@pytest.mark.parametrize("name", PEERS)
def test_nothing_asked_is_nothing_predicted(name: str) -> None:
    nobody = np.array([], dtype=np.int64)
    assert (0,) == build(name).fit(train_ratings())(nobody, nobody).shape


@pytest.mark.parametrize("name", PEERS)
def test_a_setting_that_a_peer_does_not_have_is_named(name: str) -> None:
    build(name)
    with pytest.raises(ConfigError, match="learning_rat"):
        builder(name)({**SMALL[name], "learning_rat": 0.1}, 0)


@pytest.mark.parametrize("path", SETTINGS_FILES, ids=lambda path: path.stem)
@pytest.mark.parametrize("name", PEERS)
def test_every_peer_takes_its_settings(path: Path, name: str) -> None:
    build(name)
    for settings in read_settings(path, PEERS)[name]:
        builder(name)(settings, 0)


def test_settings_that_say_nothing_of_a_peer_are_refused(tmp_path: Path) -> None:
    path = tmp_path / "settings.toml"
    with pytest.raises(ConfigError, match="cannot be read as TOML"):
        read_settings(path, PEERS)
    path.write_text("lenskit-als = [{ epochs = 2 }]\nmyfm-mf = []\n")
    assert {"lenskit-als": ({"epochs": 2},)} == read_settings(path, ["lenskit-als"])
    with pytest.raises(ConfigError, match="no settings for myfm-mf"):
        read_settings(path, ["lenskit-als", "myfm-mf"])


@pytest.mark.parametrize(
    ("config_name", "expected"),
    [("ml-1m", "ml-1m"), ("champion-ml-1m", "ml-1m"), ("ml-100k", "default"), ("x", "default")],
)
def test_settings_are_those_of_the_data_that_a_configuration_is_named_for(
    config_name: str, expected: str
) -> None:
    assert expected == settings_of(config_name).stem
