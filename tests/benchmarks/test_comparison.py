"""What a system is given, what it is chosen by, and what counts as its prediction."""

import numpy as np
import pytest
from scipy import sparse

from benchmarks.comparison import Candidates, Comparison, Parts
from benchmarks.peers import Predict, Settings
from benchmarks.peers.floors import DampedBiases, GlobalMean
from deeprec.errors import MetricError
from deeprec.ratings import Floats, Ids, RatingMatrix, RatingScale
from deeprec.splits import Part
from deeprec.vectors.materialize import SplitRatings

NUM_USERS, NUM_MOVIES = 12, 8
NAN = float("nan")


class Constant:
    """Predicts one value for everybody, and keeps what it was given."""

    def __init__(self, value: float) -> None:
        self.value = value
        self.fitted: list[RatingMatrix] = []
        self.asked: list[tuple[Ids, Ids]] = []

    def fit(self, train: RatingMatrix) -> Predict:
        self.fitted.append(train)

        def predict(user_R: Ids, movie_R: Ids) -> Floats:
            self.asked.append((user_R, movie_R))
            return np.full(len(user_R), self.value, dtype=np.float32)

        return predict


def split_ratings(seed: int = 0) -> SplitRatings:
    """About half the cells, a fifth of them dev, a fifth test."""
    rng = np.random.default_rng(seed)
    is_rated_UM = rng.random((NUM_USERS, NUM_MOVIES)) < 0.5
    values_UM = sparse.csr_array(is_rated_UM * rng.integers(1, 6, is_rated_UM.shape))
    everything = RatingMatrix(
        np.arange(NUM_USERS) + 100, np.arange(NUM_MOVIES), values_UM.astype(np.float32)
    )
    codes = [list(Part).index(part) for part in (Part.TRAIN, Part.DEV, Part.TEST)]
    part_R = rng.choice(codes, size=everything.num_ratings, p=[0.6, 0.2, 0.2]).astype(np.uint8)
    matrices = {part: everything.select_ratings(part_R == code) for code, part in enumerate(Part)}
    return SplitRatings(matrices, None, None)


def comparison(*, peers_see_dev: bool = False) -> Comparison:
    parts = Parts.of(split_ratings(), RatingScale(1, 5), peers_see_dev=peers_see_dev)
    return Comparison(parts, (0,), Constant(3.0))


def matrix(entries: dict[tuple[int, int], float]) -> RatingMatrix:
    """Two users, three movies."""
    rows, columns = zip(*entries, strict=True)
    values_UM = sparse.csr_array((list(entries.values()), (rows, columns)), shape=(2, 3))
    return RatingMatrix(np.arange(2), np.arange(3), values_UM.astype(np.float32))


def cells(ratings: RatingMatrix) -> set[tuple[int, int]]:
    rows, columns = ratings.values_UM.nonzero()
    return set(zip(rows.tolist(), columns.tolist(), strict=True))


def constants(*values: float) -> tuple[Candidates, list[Constant]]:
    """A system that may predict any of these, and where each that is built is kept."""
    built: list[Constant] = []

    def build(settings: Settings, seed: int) -> Constant:
        del seed
        built.append(Constant(settings["value"]))
        return built[-1]

    settings = tuple({"value": value} for value in values)
    return Candidates("constant", "deeprec", build, settings), built


@pytest.mark.parametrize("peers_see_dev", [False, True])
def test_no_system_is_fitted_to_a_test_rating(*, peers_see_dev: bool) -> None:
    compared = comparison(peers_see_dev=peers_see_dev)
    candidates, built = constants(3.0)
    compared.finish(compared.choose(candidates))
    (peer,), parts = built, compared.parts
    train, dev, test = cells(parts.train), cells(parts.dev), cells(parts.test)
    expected = [train, train | dev] if peers_see_dev else [train]
    assert expected == [cells(fitted) for fitted in peer.fitted]
    assert not test & (train | dev)
    asked = [set(zip(*map(np.ndarray.tolist, pairs), strict=True)) for pairs in peer.asked]
    assert [dev, test] == asked


def test_choosing_asks_for_dev_alone() -> None:
    compared = comparison()
    candidates, built = constants(1.0, 3.0, 5.0)
    chosen = compared.choose(candidates)
    dev_R = compared.parts.dev.values_UM.data
    best = min((1.0, 3.0, 5.0), key=lambda value: float(np.mean((value - dev_R) ** 2)))
    assert {"value": best} == chosen.settings
    assert [len(dev_R)] * 3 == [len(users) for peer in built for users, _ in peer.asked]


def test_without_dev_ratings_the_first_settings_stand() -> None:
    ratings = split_ratings()
    nothing = ratings.part(Part.OUTSIDE_WINDOW)
    matrices = {**dict.fromkeys(Part, nothing), Part.TRAIN: ratings.everything}
    all_train = SplitRatings(matrices, None, None)
    parts = Parts.of(all_train, RatingScale(1, 5), peers_see_dev=False)
    candidates, built = constants(1.0, 2.0)
    chosen = Comparison(parts, (0,), Constant(3.0)).choose(candidates)
    assert ({"value": 1.0}, 1) == (chosen.settings, len(built))


def test_predictions_are_clipped_to_the_scale() -> None:
    compared = comparison()
    candidates, _ = constants(17.0)
    found = compared.finish(compared.choose(candidates)).test.errors
    test_R = compared.parts.test.values_UM.data
    assert np.sqrt(np.mean((5 - test_R) ** 2)) == pytest.approx(found.rmse, rel=1e-6)


def test_a_missing_prediction_is_refused() -> None:
    candidates, _ = constants(NAN)
    with pytest.raises(MetricError, match="missing"):
        comparison().choose(candidates)


def test_biases_answer_for_a_movie_without_training_ratings_alone() -> None:
    train = matrix({(0, 0): 4, (0, 1): 2, (1, 0): 4})
    held_out = matrix({(0, 2): 3, (1, 1): 5})
    parts = Parts(train, held_out, train, held_out, RatingScale(1, 5))
    compared = Comparison(parts, (0,), Constant(2.0))

    def knows_movies_0_and_1(user_R: Ids, movie_R: Ids) -> Floats:
        del user_R
        return np.where(movie_R == 2, NAN, 5.0).astype(np.float32)

    measured = compared.measure(knows_movies_0_and_1, train, held_out)
    assert (2, 1.0) == (measured.errors.count, measured.errors.squared)
    assert 1 == measured.num_fallback


def test_floors_predict_what_can_be_checked_with_a_pencil() -> None:
    train = matrix({(0, 0): 5, (0, 1): 3, (1, 1): 1})
    users, movies = np.array([0, 1]), np.array([2, 0])
    assert [3.0, 3.0] == GlobalMean(seed=0).fit(train)(users, movies).tolist()
    biases = DampedBiases(seed=0, user_damping=0, movie_damping=1e9)  # of users alone
    assert [4.0, 1.0] == pytest.approx(biases.fit(train)(users, movies).tolist())
