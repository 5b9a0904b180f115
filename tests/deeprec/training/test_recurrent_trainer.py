"""Shape legend: U users, M movies, R ratings, D dynamic factors."""

import logging
import math
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import settings as example_settings
from hypothesis import strategies as st
from scipy import sparse
from torch import Tensor

from deeprec.config.models import RecurrentConfig
from deeprec.config.section import Device
from deeprec.config.training import TrainConfig
from deeprec.errors import TrainingError
from deeprec.models.baselines import fit_biases
from deeprec.models.sequences import Days, movie_sequences, rows_of, user_sequences
from deeprec.networks.recurrent import Moment, RecurrentRecommender
from deeprec.networks.recurrent_states import all_states, last_states
from deeprec.ratings import RatingScale
from deeprec.training import recurrent_trainer
from deeprec.training.epochs import EpochRecord
from deeprec.training.recurrent_start import build_recurrent
from deeprec.training.recurrent_trainer import fit_recurrent

Ratings = sparse.csr_array[np.float32]

STARS = RatingScale(1, 5, 1)
NUM_USERS, NUM_MOVIES, NUM_DAYS = 40, 30, 15
NO_RATINGS: Ratings = sparse.csr_array(np.zeros((NUM_USERS, NUM_MOVIES), dtype=np.float32))
SMALL = RecurrentConfig(
    step_days=1, embedding_size=8, state_size=8, num_dynamic=4, num_stationary=2, l2=5.0
)


@dataclass(frozen=True)
class World:
    """Users whose mood turns once and for all: only who looks at time can tell where it is."""

    train_UM: Ratings
    days_R: Days
    dev_UM: Ratings

    @property
    def parts(self) -> tuple[Ratings, Days, Ratings]:
        return self.train_UM, self.days_R, self.dev_UM


@pytest.fixture(scope="module")
def world() -> World:
    """Two ratings a user and day; the last day is dev. The last user has no rating in train."""
    rng = np.random.default_rng(5)
    turns_on_U = rng.integers(2, NUM_DAYS - 1, NUM_USERS)
    mood_U = rng.choice([-1.2, 1.2], NUM_USERS)
    day_UM = np.argsort(rng.random((NUM_USERS, NUM_MOVIES)), axis=1) // 2
    mood_UM = np.where(day_UM < turns_on_U[:, None], mood_U[:, None], -mood_U[:, None])
    rating_UM = np.clip(np.rint(3 + mood_UM + rng.normal(0, 0.4, mood_UM.shape)), 1, 5)
    is_dev_UM = day_UM == NUM_DAYS - 1
    day_UM[-1], is_dev_UM[-1] = NUM_DAYS, False
    is_train_UM = day_UM < NUM_DAYS - 1
    train_UM: Ratings = sparse.csr_array(np.where(is_train_UM, rating_UM, 0).astype(np.float32))
    dev_UM: Ratings = sparse.csr_array(np.where(is_dev_UM, rating_UM, 0).astype(np.float32))
    return World(train_UM, (13000 + day_UM[is_train_UM]).astype(np.int32), dev_UM)


def settings(**values: Any) -> TrainConfig:  # noqa: ANN401 - whatever TrainConfig takes
    small = {"num_epochs": 4, "batch_size": 8, "optimizer": "adam", "device": "cpu"}
    return TrainConfig(
        **{**small, "checkpoint_every_s": 0, "learning_rate": 0.01, "patience": 99, **values}
    )


def small_network(world: World, seed: int = 0) -> RecurrentRecommender:
    biases = fit_biases(world.train_UM, 5, 5)
    return build_recurrent(SMALL, world.train_UM, world.days_R, biases, seed)


def weights_of(network: RecurrentRecommender) -> list[list[float]]:
    return [weight.flatten().tolist() for weight in network.state_dict().values()]


def predictions_in_time(network: RecurrentRecommender, train_UM: Ratings, days_R: Days) -> Tensor:
    """Every training rating from the states before its step, in the order of the data."""
    moments = []
    for side, sequences, row_R in (
        (network.users, user_sequences(train_UM, days_R, network.clock), rows_of(train_UM)),
        (network.movies, movie_sequences(train_UM, days_R, network.clock), train_UM.indices),
    ):
        before_R = np.empty(train_UM.nnz, dtype=np.int64)
        before_R[sequences.entry_R] = sequences.state_before_R
        states_SD = all_states(side, sequences, batch_size=7)
        moments.append(Moment(torch.from_numpy(row_R.astype(np.int64)), states_SD[before_R]))
    with torch.no_grad():
        predicted_R: Tensor = network(*moments)
    return predicted_R


def rmse_by_hand(network: RecurrentRecommender, world: World) -> float:
    users = last_states(network.users, user_sequences(*world.parts[:2], network.clock), 5)
    movies = last_states(network.movies, movie_sequences(*world.parts[:2], network.clock), 5)
    with torch.no_grad():
        stationary_UM = network.users.factors_NK @ network.movies.factors_NK.T
        biases_UM = network.users.bias_N1 + network.movies.bias_N1.T + network.global_mean
        predicted_UM = (users @ movies.T + stationary_UM + biases_UM).clamp(1, 5).numpy()
    actual_UM = world.dev_UM.toarray()
    return math.sqrt(np.square(predicted_UM - actual_UM)[actual_UM != 0].mean())


@given(entry=st.integers(0, 1000), stars=st.integers(-5, 5))
@example_settings(max_examples=25)
def test_a_rating_is_no_news_to_its_own_step_nor_to_any_before(
    world: World, entry: int, stars: int
) -> None:
    network = small_network(world)
    before_R = predictions_in_time(network, world.train_UM, world.days_R)
    changed_UM = world.train_UM.copy()
    changed_UM.data[entry] += stars
    after_R = predictions_in_time(network, changed_UM, world.days_R)
    not_later_R = world.days_R <= world.days_R[entry]
    assert torch.equal(before_R[not_later_R], after_R[not_later_R])


def test_a_rating_is_news_to_what_comes_after_it(world: World) -> None:
    network = small_network(world)
    changed_UM = world.train_UM.copy()
    changed_UM.data[0] += 1  # of the first user
    before_R, after_R = (
        predictions_in_time(network, values_UM, world.days_R)
        for values_UM in (world.train_UM, changed_UM)
    )
    later_R = world.days_R > world.days_R[0]
    his_R = rows_of(world.train_UM) == 0
    assert (before_R != after_R)[later_R & his_R].all()


def test_training_predicts_from_the_states_before_each_step(world: World) -> None:
    network = small_network(world)
    predicted_R = predictions_in_time(network, world.train_UM, world.days_R).numpy()
    expected = math.sqrt(np.square(predicted_R - world.train_UM.data).mean())
    standing_still = settings(num_epochs=1, learning_rate=1e-12)
    record = fit_recurrent(network, *world.parts, standing_still, STARS).epochs[0]
    assert expected == pytest.approx(record.train_rmse, rel=1e-5)


def test_it_learns_what_moves_in_time(world: World, device: Device) -> None:
    network = small_network(world)
    told = settings(num_epochs=15, learning_rate=0.02, device=device)
    result = fit_recurrent(network, *world.parts, told, STARS)
    assert device == result.device
    assert result.epochs[-1].train_rmse < 0.7 * result.epochs[0].train_rmse
    best = result.epochs[result.best_epoch - 1].dev_rmse
    actual_R = world.dev_UM.data
    mean = world.train_UM.data.mean()
    assert best is not None
    assert best < 0.8 * math.sqrt(np.square(actual_R - mean).mean())


def test_the_best_epoch_is_kept_and_scored_from_the_last_states(
    world: World, device: Device
) -> None:
    network = small_network(world)
    overfitting = settings(num_epochs=30, learning_rate=0.05, patience=3, device=device)
    result = fit_recurrent(network, *world.parts, overfitting, STARS)
    dev_rmses = [record.dev_rmse for record in result.epochs]
    best = min(rmse for rmse in dev_rmses if rmse is not None)
    assert dev_rmses.index(best) + 1 == result.best_epoch
    assert result.best_epoch + 3 == len(result.epochs) < 30
    assert best == pytest.approx(rmse_by_hand(network, world), rel=1e-5)
    assert not network.training
    assert all(weight.requires_grad for weight in network.parameters())
    assert {"cpu"} == {weight.device.type for weight in network.parameters()}


@pytest.mark.parametrize("stop_after", [1, 3])
def test_a_resumed_run_ends_as_an_uninterrupted_one(
    world: World, tmp_path: Path, stop_after: int
) -> None:
    told = settings(num_epochs=4, lr_milestones=(2,), weight_decay=0.01)
    whole, parted = small_network(world), small_network(world)
    expected = fit_recurrent(whole, *world.parts, told, STARS)

    def stop(record: EpochRecord) -> None:
        if record.epoch == stop_after:
            raise KeyboardInterrupt

    path = tmp_path / "run.pt"
    with pytest.raises(KeyboardInterrupt):
        fit_recurrent(parted, *world.parts, told, STARS, checkpoint=path, on_epoch=stop)
    fresh = small_network(world, seed=9)  # what is restored counts, not this
    ran: list[EpochRecord] = []
    result = fit_recurrent(fresh, *world.parts, told, STARS, checkpoint=path, on_epoch=ran.append)
    assert list(range(stop_after + 1, 5)) == [record.epoch for record in ran]
    assert weights_of(whole) == weights_of(fresh)
    assert [e.dev_rmse for e in expected.epochs] == [e.dev_rmse for e in result.epochs]
    assert [e.train_rmse for e in expected.epochs] == [e.train_rmse for e in result.epochs]
    assert expected.best_epoch == result.best_epoch


def test_a_finished_run_is_not_run_again(world: World, tmp_path: Path) -> None:
    path = tmp_path / "run.pt"
    network, again = small_network(world), small_network(world)
    told = settings(num_epochs=2)
    result = fit_recurrent(network, *world.parts, told, STARS, checkpoint=path)
    assert result == fit_recurrent(again, *world.parts, told, STARS, checkpoint=path)
    assert weights_of(network) == weights_of(again)


def test_a_checkpoint_of_another_run_changes_nothing(
    world: World, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    path, told = tmp_path / "run.pt", settings(num_epochs=1)
    fit_recurrent(
        small_network(world), *world.parts, told, STARS, checkpoint=path, fingerprint="other"
    )
    clean, beside = small_network(world), small_network(world)
    fit_recurrent(clean, *world.parts, told, STARS)
    with caplog.at_level(logging.WARNING):
        fit_recurrent(beside, *world.parts, told, STARS, checkpoint=path, fingerprint="this")
    assert "starting afresh" in caplog.text
    assert weights_of(clean) == weights_of(beside)


def test_the_same_seed_repeats_a_run_and_another_does_not(world: World) -> None:
    networks = [small_network(world) for _ in range(3)]
    for network, seed in zip(networks, (1, 1, 2), strict=True):
        fit_recurrent(network, *world.parts, settings(num_epochs=2, seed=seed), STARS)
    first, again, other = map(weights_of, networks)
    assert first == again
    assert first != other


def test_the_callers_random_numbers_are_left_alone(world: World) -> None:
    before = torch.get_rng_state()
    fit_recurrent(small_network(world), *world.parts, settings(num_epochs=1), STARS)
    assert torch.equal(before, torch.get_rng_state())


@pytest.mark.parametrize("side", ["users", "movies"])
def test_while_one_side_moves_the_other_stands_still(world: World, side: str) -> None:
    network = small_network(world)
    before = {name: weight.clone() for name, weight in network.named_parameters()}
    halves = recurrent_trainer._make_halves(network, world.train_UM, world.days_R, batch_size=8)
    optimizer = recurrent_trainer._make_optimizer(network, settings())
    recurrent_trainer._take_turn(network, halves, side, optimizer, np.random.default_rng(0))
    moved = {name for name, weight in network.named_parameters() if (weight != before[name]).any()}
    assert {name for name in before if name.startswith(side)} == moved


def test_weight_decay_holds_for_what_rows_share(world: World) -> None:
    network = small_network(world)
    optimizer = recurrent_trainer._make_optimizer(network, settings(weight_decay=0.5))
    decay = {
        id(weight): group["weight_decay"]
        for group in optimizer.param_groups
        for weight in group["params"]
    }
    spared = {name for name, weight in network.named_parameters() if not decay[id(weight)]}
    sides = ("users", "movies")
    assert {f"{side}.{own}" for side in sides for own in ("factors_NK", "bias_N1")} == spared
    assert {0.0, 0.5} == set(decay.values())


def test_both_sides_take_equally_many_steps_in_an_epoch(world: World) -> None:
    halves = recurrent_trainer._make_halves(
        small_network(world), world.train_UM, world.days_R, batch_size=8
    )
    rng = np.random.default_rng(0)
    sizes = {name: [len(b.row_B) for b in half.batches(rng)] for name, half in halves.items()}
    # 39 users with ratings by 8, and 30 movies in the 5 batches that 40 users make.
    assert {"users": [8, 8, 8, 8, 7], "movies": [6, 6, 6, 6, 6]} == sizes


@pytest.mark.parametrize("dev", [None, NO_RATINGS])
def test_without_dev_ratings_the_last_epoch_is_kept(world: World, dev: Ratings | None) -> None:
    told = settings(num_epochs=2, patience=1)
    result = fit_recurrent(small_network(world), world.train_UM, world.days_R, dev, told, STARS)
    assert 2 == result.best_epoch
    assert [None, None] == [record.dev_rmse for record in result.epochs]


def test_watched_ratings_are_measured_and_decide_nothing(world: World) -> None:
    alone, watching = small_network(world), small_network(world)
    expected = fit_recurrent(alone, *world.parts, settings(), STARS)
    result = fit_recurrent(watching, *world.parts, settings(), STARS, watched_UM=world.dev_UM)
    assert weights_of(alone) == weights_of(watching)
    assert [None] * 4 == [epoch.test_rmse for epoch in expected.epochs]
    assert [epoch.dev_rmse for epoch in result.epochs] == [e.test_rmse for e in result.epochs]


def test_the_learning_rate_falls_after_each_milestone(world: World) -> None:
    falling = settings(lr_milestones=(1, 3), lr_decay=0.1)
    result = fit_recurrent(small_network(world), *world.parts, falling, STARS)
    rates = [record.learning_rate for record in result.epochs]
    assert [0.01, 0.001, 0.001, 0.0001] == pytest.approx(rates)


def test_divergence_is_said_with_its_epoch_and_what_to_do(world: World) -> None:
    with pytest.raises(
        TrainingError, match=r"epoch 1: .* lower train.learning_rate \(now 1e\+20\)"
    ):
        fit_recurrent(small_network(world), *world.parts, settings(learning_rate=1e20), STARS)


def test_undated_ratings_are_refused(world: World) -> None:
    with pytest.raises(TrainingError, match="have no date; take in files with dates"):
        fit_recurrent(small_network(world), world.train_UM, None, world.dev_UM, settings(), STARS)


def test_nothing_to_train_on_is_refused(world: World) -> None:
    with pytest.raises(TrainingError, match="no training ratings"):
        fit_recurrent(small_network(world), NO_RATINGS, world.days_R[:0], None, settings(), STARS)


@pytest.mark.parametrize(
    "values",
    [
        {"optimizer": "sgd"},
        {"refeed_steps": 1},
        {"loss": "sum"},
        {"passes_per_epoch": 2},
        {"hide_fraction": 0.2},
        {"average_decay": 0.9},
    ],
)
def test_settings_that_it_cannot_follow_are_refused(world: World, values: dict[str, Any]) -> None:
    (name,) = values
    with pytest.raises(TrainingError, match=f"it needs train.{name} = "):
        fit_recurrent(small_network(world), *world.parts, settings(**values), STARS)


def test_progress_is_told_of_each_epoch(world: World) -> None:
    told: list[tuple[str, int, int | None, str, str]] = []

    def tell(what: str, done: int, total: int | None, unit: str, note: str = "") -> None:
        told.append((what, done, total, unit, note))

    result = fit_recurrent(
        small_network(world), *world.parts, settings(num_epochs=1), STARS, progress=tell
    )
    only = result.epochs[0]
    note = f"cpu, train {only.train_rmse:.4f}, dev {only.dev_rmse:.4f}"
    assert [("train", 0, 1, "epochs", "cpu"), ("train", 1, 1, "epochs", note)] == told


def test_real_ratings_are_predicted_better_than_by_biases(shared_data: Path) -> None:
    # The day leaves a tenth of ml-100k after it; who or what was not seen by then is left out.
    user_R, movie_R, stars_R, second_R = np.loadtxt(
        shared_data / "ml-100k" / "u.data", dtype=np.int64
    ).T
    day_R = (second_R // 86400).astype(np.int32)
    is_train_R = day_R <= 10316
    is_seen_R = np.isin(user_R, user_R[is_train_R]) & np.isin(movie_R, movie_R[is_train_R])
    in_order_R = np.lexsort((movie_R, user_R))
    parts = []
    for is_part_R in (is_train_R, is_seen_R & ~is_train_R):
        part_R = in_order_R[is_part_R[in_order_R]]
        start_U = np.searchsorted(user_R[part_R], np.arange(945))
        values_UM: Ratings = sparse.csr_array(
            (stars_R[part_R].astype(np.float32), movie_R[part_R], start_U), shape=(944, 1683)
        )
        parts.append((values_UM, day_R[part_R]))
    (train_UM, days_R), (dev_UM, _) = parts
    biases = fit_biases(train_UM, 3, 3)
    floor_R = biases.global_mean + biases.user_bias_U(train_UM)[rows_of(dev_UM)]
    floor_R += biases.movie_bias_M[dev_UM.indices]
    network = build_recurrent(RecurrentConfig(step_days=30), train_UM, days_R, biases, seed=0)
    told = settings(num_epochs=1, batch_size=32, learning_rate=0.003, weight_decay=0.01)
    (record,) = fit_recurrent(network, train_UM, days_R, dev_UM, told, STARS).epochs
    assert (90_641, 2_274) == (train_UM.nnz, dev_UM.nnz)
    assert record.dev_rmse is not None
    assert record.dev_rmse < 0.99 * math.sqrt(np.square(floor_R.clip(1, 5) - dev_UM.data).mean())
