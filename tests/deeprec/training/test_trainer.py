"""Shape legend: U users, M movies, H hidden units."""

import logging
import math
import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
import torch
from scipy import sparse
from torch import Tensor

from deeprec.config.section import Device
from deeprec.config.training import TrainConfig
from deeprec.errors import TrainingError
from deeprec.networks.autoencoder import Autoencoder
from deeprec.networks.damped_biases import DampedBiases
from deeprec.networks.predictor import Encoded, RatingPredictor
from deeprec.networks.sparse_layers import Pattern
from deeprec.ratings import RatingScale
from deeprec.training import checkpoint as checkpoints
from deeprec.training import trainer
from deeprec.training.epochs import EpochRecord
from deeprec.training.objectives import Loss, RatedBatch, masked_mse, rated_loss
from deeprec.training.trainer import fit

Matrix = npt.NDArray[np.float64]
Ratings = sparse.csr_array[np.float32]

STARS = RatingScale(1, 5, 1)
NUM_USERS, NUM_MOVIES = 30, 12
NO_RATINGS = sparse.csr_array(np.zeros((NUM_USERS, NUM_MOVIES), dtype=np.float32))


QUICK = {"num_epochs": 4, "batch_size": 8, "device": "cpu", "checkpoint_every_s": 0}


def settings(**values: Any) -> TrainConfig:  # noqa: ANN401 - whatever TrainConfig takes
    return TrainConfig(**{**QUICK, **values})


def sparse_ratings(rows: list[list[float | None]]) -> Ratings:
    """None is unrated; 0 is a rating of zero."""
    places = [(u, m, r) for u, row in enumerate(rows) for m, r in enumerate(row) if r is not None]
    user, movie, rating = zip(*places, strict=True)
    shape = (len(rows), len(rows[0]))
    return sparse.csr_array((np.array(rating, dtype=np.float32), (user, movie)), shape=shape)


@pytest.fixture
def parts() -> tuple[Ratings, Ratings]:
    """Train and dev of a world with two tastes; the last user has rated nothing."""
    rng = np.random.default_rng(3)
    taste_U, side_M = rng.choice([-1, 1], NUM_USERS), rng.choice([-1, 1], NUM_MOVIES)
    drawn_UM = rng.random((NUM_USERS, NUM_MOVIES))
    rating_UM = np.clip(
        np.rint(3 + np.outer(taste_U, side_M) + rng.normal(0, 0.3, drawn_UM.shape)), 1, 5
    )
    drawn_UM[-1] = 1
    train_UM = np.where(drawn_UM < 0.5, rating_UM, 0).astype(np.float32)
    dev_UM = np.where((drawn_UM >= 0.5) & (drawn_UM < 0.7), rating_UM, 0).astype(np.float32)
    return sparse.csr_array(train_UM), sparse.csr_array(dev_UM)


def small_network(center: bool = False, seed: int = 0, **options: Any) -> RatingPredictor:  # noqa: ANN401 - whatever Autoencoder takes
    biases = DampedBiases(3.0, torch.linspace(-1, 1, NUM_MOVIES), 5.0) if center else None
    return RatingPredictor(Autoencoder(NUM_MOVIES, [6, 4], seed=seed, **options), biases)


def weights_of(network: RatingPredictor) -> list[list[float]]:
    return [weight.flatten().tolist() for weight in network.state_dict().values()]


def rmse_by_hand(network: RatingPredictor, train_UM: Ratings, dev_UM: Ratings) -> float:
    known_UM = torch.from_numpy(train_UM.toarray())
    with torch.no_grad():
        predicted_UM = network(known_UM, (known_UM != 0).float()).clamp(1, 5).numpy()
    hidden_UM = dev_UM.toarray()
    return math.sqrt(np.square(predicted_UM - hidden_UM)[hidden_UM != 0].mean())


@dataclass
class Linear:
    """z = D (E x + e) + d with one gradient step written out: what the trainer is held to."""

    E: Matrix
    e: Matrix
    D: Matrix
    d: Matrix

    def __call__(self, x_M: Matrix) -> Matrix:
        return self.D @ (self.E @ x_M + self.e) + self.d

    def step(self, x_M: Matrix, target_M: Matrix, mask_M: Matrix, rate: float) -> None:
        code_H = self.E @ x_M + self.e
        slope_M = 2 * (self(x_M) - target_M) * mask_M / mask_M.sum()
        slope_H = self.D.T @ slope_M
        self.D = self.D - rate * np.outer(slope_M, code_H)
        self.d = self.d - rate * slope_M
        self.E = self.E - rate * np.outer(slope_H, x_M)
        self.e = self.e - rate * slope_H

    def weights(self) -> list[list[float]]:
        return [w.flatten().tolist() for w in (self.E, self.e, self.D, self.d)]


def linear_pair() -> tuple[RatingPredictor, Linear]:
    autoencoder = Autoencoder(3, [2], activation="identity", output_activation="identity")
    E, D = autoencoder.encoder_weights_IH[0].T, autoencoder.decoder_weights_HI[0]
    by_hand = Linear(
        E.detach().double().numpy().copy(),
        np.zeros(2),
        D.detach().double().numpy().copy(),
        np.zeros(3),
    )
    return RatingPredictor(autoencoder), by_hand


def assert_same_weights(by_hand: Linear, network: RatingPredictor) -> None:
    state = network.autoencoder.state_dict()
    E, D = state["encoder_weights_IH.0"].T, state["decoder_weights_HI.0"]
    layers = [E, state["encoder_biases_H.0"], D, state["decoder_biases_H.0"]]
    found = [layer.flatten().tolist() for layer in layers]
    assert by_hand.weights() == [pytest.approx(values, abs=1e-5) for values in found]


def test_masked_loss_is_the_mean_over_rated_cells() -> None:
    predicted = torch.tensor([[1.0, 2.0, 3.0], [4.0, 5.0, 6.0]])
    actual = torch.tensor([[2.0, 0.0, 3.0], [0.0, 3.0, 0.0]])
    mask = torch.tensor([[1.0, 0.0, 1.0], [0.0, 1.0, 0.0]])
    assert (1 + 0 + 4) / 3 == pytest.approx(masked_mse(predicted, actual, mask).item())


def test_a_step_descends_the_masked_loss_and_a_zero_can_be_rated() -> None:
    network, by_hand = linear_pair()
    x_M, mask_M = np.array([4.0, 0.0, 0.0]), np.array([1.0, 1.0, 0.0])
    one_step = settings(num_epochs=1, momentum=0, learning_rate=0.05)
    fit(network, sparse_ratings([[4, 0, None]]), None, one_step, RatingScale(0, 5))
    by_hand.step(x_M, x_M, mask_M, rate=0.05)
    assert_same_weights(by_hand, network)


@pytest.mark.parametrize("target", ["output", "labels"])
def test_refeeding_feeds_the_output_and_holds_it_to_its_target(target: str) -> None:
    network, by_hand = linear_pair()
    x_M, mask_M, rate = np.array([4.0, 0.0, 2.0]), np.array([1.0, 0.0, 1.0]), 0.02
    refed = settings(
        num_epochs=1, momentum=0, learning_rate=rate, refeed_steps=2, refeed_target=target
    )
    fit(network, sparse_ratings([[4, None, 2]]), None, refed, STARS)
    output_M = by_hand(x_M)
    by_hand.step(x_M, x_M, mask_M, rate)
    for _ in range(2):
        fed_M, output_M = output_M, by_hand(output_M)
        if target == "output":
            by_hand.step(fed_M, fed_M, np.ones(3), rate)
        else:
            by_hand.step(fed_M, x_M, mask_M, rate)
    assert_same_weights(by_hand, network)


def test_training_error_weighs_every_rating_alike() -> None:
    train_UM = sparse_ratings([[5, 4, 3], [1, None, None]])
    standing_still = settings(num_epochs=1, batch_size=1, learning_rate=1e-12)
    network, by_hand = linear_pair()
    squares = [*np.square(by_hand(np.array([5.0, 4, 3])) - [5, 4, 3])]
    squares.append((by_hand(np.array([1.0, 0, 0]))[0] - 1) ** 2)
    record = fit(network, train_UM, None, standing_still, STARS).epochs[0]
    assert math.sqrt(np.mean(squares)) == pytest.approx(record.train_rmse, rel=1e-5)


@pytest.mark.parametrize("center", [False, True], ids=["raw", "centred"])
def test_it_learns(parts: tuple[Ratings, Ratings], center: bool, device: Device) -> None:
    longer = settings(
        num_epochs=40, optimizer="adam", learning_rate=0.01, patience=40, device=device
    )
    result = fit(small_network(center), *parts, longer, STARS)
    assert device == result.device
    first, best = result.epochs[0], result.epochs[result.best_epoch - 1]
    assert best.dev_rmse is not None
    assert first.dev_rmse is not None
    assert best.dev_rmse < 0.7 * first.dev_rmse
    assert result.epochs[-1].train_rmse < 0.7 * first.train_rmse


@pytest.mark.parametrize("refed", [{}, {"refeed_steps": 1}], ids=["", "refed"])
@pytest.mark.parametrize("options", [{}, {"tied": True}, {"has_rated": True, "kernel_size": 2}])
def test_bfloat16_learns_what_32_bits_do(
    parts: tuple[Ratings, Ratings], refed: dict[str, Any], options: dict[str, Any], device: Device
) -> None:
    """One part in 256 is lost of each product, and of the errors far less than is learned."""
    longer = settings(
        num_epochs=12, optimizer="adam", learning_rate=0.01, patience=30, device=device, **refed
    )
    rounded = longer.model_copy(update={"precision": "bfloat16"})
    networks = [small_network(**options) for _ in range(2)]
    expected, found = (
        fit(network, *parts, told, STARS)
        for network, told in zip(networks, (longer, rounded), strict=True)
    )
    assert expected.epochs[-1].train_rmse < expected.epochs[0].train_rmse - 0.4
    for one, other in zip(expected.epochs, found.epochs, strict=True):
        assert one.train_rmse == pytest.approx(other.train_rmse, abs=0.02)
        assert one.dev_rmse == pytest.approx(other.dev_rmse, abs=0.02)
    assert weights_of(networks[0]) != weights_of(networks[1])
    assert {torch.float32} == {weight.dtype for weight in networks[1].state_dict().values()}
    by_hand = rmse_by_hand(networks[1], *parts)
    assert by_hand == pytest.approx(found.epochs[found.best_epoch - 1].dev_rmse, rel=1e-4)


RICH = {
    "num_epochs": 5,
    "lr_milestones": (2,),
    "refeed_steps": 1,
    "weight_decay": 0.01,
    "learning_rate": 0.01,
}


@pytest.mark.parametrize("optimizer", ["sgd", "adam"])
@pytest.mark.parametrize("stop_after", [1, 3])
def test_a_resumed_run_ends_as_an_uninterrupted_one(
    parts: tuple[Ratings, Ratings],
    tmp_path: Path,
    optimizer: str,
    stop_after: int,
    device: Device,
) -> None:
    told = settings(**RICH, optimizer=optimizer, device=device)
    dropout: dict[str, Any] = {"encoder_dropout": 0.3, "code_dropout": 0.2}
    whole, parted = (small_network(center=True, **dropout) for _ in range(2))
    expected = fit(whole, *parts, told, STARS)

    def stop(record: EpochRecord) -> None:
        if record.epoch == stop_after:
            raise KeyboardInterrupt

    path = tmp_path / "run.pt"
    with pytest.raises(KeyboardInterrupt):
        fit(parted, *parts, told, STARS, checkpoint=path, on_epoch=stop)
    fresh = small_network(center=True, seed=9, **dropout)  # what is restored counts, not this
    ran: list[EpochRecord] = []
    result = fit(fresh, *parts, told, STARS, checkpoint=path, on_epoch=ran.append)
    assert list(range(stop_after + 1, 6)) == [record.epoch for record in ran]
    assert weights_of(whole) == weights_of(fresh)
    assert [e.dev_rmse for e in expected.epochs] == [e.dev_rmse for e in result.epochs]
    assert [e.train_rmse for e in expected.epochs] == [e.train_rmse for e in result.epochs]
    assert expected.best_epoch == result.best_epoch


def test_a_finished_run_is_not_run_again(parts: tuple[Ratings, Ratings], tmp_path: Path) -> None:
    path = tmp_path / "run.pt"
    network, again = small_network(), small_network()
    result = fit(network, *parts, settings(), STARS, checkpoint=path)
    ran: list[EpochRecord] = []
    assert result == fit(again, *parts, settings(), STARS, checkpoint=path, on_epoch=ran.append)
    assert [] == ran
    assert weights_of(network) == weights_of(again)


def test_a_checkpoint_of_another_run_changes_nothing(
    parts: tuple[Ratings, Ratings], tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    path = tmp_path / "run.pt"
    other = settings(learning_rate=0.1)
    fit(small_network(), *parts, other, STARS, checkpoint=path, fingerprint="other")
    clean, beside = small_network(), small_network()
    fit(clean, *parts, settings(), STARS)
    with caplog.at_level(logging.WARNING):
        fit(beside, *parts, settings(), STARS, checkpoint=path, fingerprint="this")
    assert "starting afresh" in caplog.text
    assert weights_of(clean) == weights_of(beside)


def test_the_same_seed_repeats_a_run_and_another_does_not(
    parts: tuple[Ratings, Ratings], device: Device
) -> None:
    networks = [small_network(encoder_dropout=0.3) for _ in range(3)]
    for network, seed in zip(networks, (1, 1, 2), strict=True):
        fit(network, *parts, settings(seed=seed, device=device), STARS)
    first, again, other = map(weights_of, networks)
    assert first == again
    assert first != other


def test_rows_come_in_another_order_each_epoch(monkeypatch: pytest.MonkeyPatch) -> None:
    met: list[float] = []

    def look(
        network: RatingPredictor,
        batch: RatedBatch,
        settings: TrainConfig,
        share: float = 1.0,
        total: Callable[[Tensor], Tensor] = torch.clone,
    ) -> Loss:
        met.extend(batch.rating_R.tolist())
        return rated_loss(network, batch, settings, share, total)

    monkeypatch.setattr(trainer, "rated_loss", look)
    in_order = [float(user) for user in range(20)]
    one_each_UM = sparse_ratings([[rating, None] for rating in in_order])
    told = settings(num_epochs=2, batch_size=3, learning_rate=1e-12)
    fit(RatingPredictor(Autoencoder(2, [2])), one_each_UM, None, told, RatingScale(0, 20))
    first, second = met[:20], met[20:]
    assert in_order == sorted(first) == sorted(second)
    assert in_order != first != second != in_order


def test_the_callers_random_numbers_are_left_alone(parts: tuple[Ratings, Ratings]) -> None:
    before = torch.get_rng_state()
    fit(small_network(encoder_dropout=0.3), *parts, settings(), STARS)
    assert torch.equal(before, torch.get_rng_state())


def test_users_without_ratings_are_passed_over() -> None:
    dense, gaps = small_network(), small_network()
    rng = np.random.default_rng(0)
    rows = rng.integers(1, 6, (10, NUM_MOVIES)).astype(np.float32)
    fit(dense, sparse.csr_array(rows), None, settings(), STARS)
    spread = np.zeros((20, NUM_MOVIES), dtype=np.float32)
    spread[::2] = rows
    fit(gaps, sparse.csr_array(spread), None, settings(), STARS)
    assert weights_of(dense) == weights_of(gaps)


def test_the_best_epoch_is_kept_and_scored_without_dropout(
    parts: tuple[Ratings, Ratings], device: Device
) -> None:
    network = small_network(encoder_dropout=0.4)
    overfitting = settings(num_epochs=60, learning_rate=0.02, patience=5, device=device)
    result = fit(network, *parts, overfitting, STARS)
    dev_rmses = [record.dev_rmse for record in result.epochs]
    best = min(rmse for rmse in dev_rmses if rmse is not None)
    assert dev_rmses.index(best) + 1 == result.best_epoch
    assert result.best_epoch + 5 == len(result.epochs) < 60
    assert best == pytest.approx(rmse_by_hand(network, *parts), rel=1e-5)
    assert not network.training
    assert {"cpu"} == {weight.device.type for weight in network.parameters()}


@pytest.mark.parametrize("dev", [None, NO_RATINGS])
def test_without_dev_ratings_the_last_epoch_is_kept(
    parts: tuple[Ratings, Ratings], dev: Ratings | None
) -> None:
    result = fit(small_network(), parts[0], dev, settings(patience=1), STARS)
    assert 4 == result.best_epoch
    assert [None] * 4 == [record.dev_rmse for record in result.epochs]


def test_the_learning_rate_falls_after_each_milestone(parts: tuple[Ratings, Ratings]) -> None:
    falling = settings(learning_rate=0.01, lr_milestones=(1, 3), lr_decay=0.1, patience=9)
    rates = [record.learning_rate for record in fit(small_network(), *parts, falling, STARS).epochs]
    assert [0.01, 0.001, 0.001, 0.0001] == pytest.approx(rates)


def test_weight_decay_shrinks_matrices_and_spares_biases() -> None:
    network, by_hand = linear_pair()
    pulled = settings(num_epochs=1, momentum=0, learning_rate=0.05, weight_decay=0.5)
    fit(network, sparse_ratings([[4, None, 2]]), None, pulled, STARS)
    shrink_E, shrink_D = 0.05 * 0.5 * by_hand.E, 0.05 * 0.5 * by_hand.D
    by_hand.step(np.array([4.0, 0, 2]), np.array([4.0, 0, 2]), np.array([1.0, 0, 1]), rate=0.05)
    by_hand.E, by_hand.D = by_hand.E - shrink_E, by_hand.D - shrink_D
    assert_same_weights(by_hand, network)


def test_weights_that_are_no_numbers_are_not_kept() -> None:
    """Even where no error tells: that of an epoch's last step is of before it."""
    network, _ = linear_pair()
    wild = settings(num_epochs=1, learning_rate=3e38)
    with pytest.raises(TrainingError, match="epoch 1: its loss or weights are no longer finite"):
        fit(network, sparse_ratings([[400, None, 200]]), None, wild, RatingScale(1, 500))


def test_of_epochs_that_are_as_good_the_first_is_kept(parts: tuple[Ratings, Ratings]) -> None:
    still = settings(num_epochs=9, patience=3, learning_rate=1e-30)
    result = fit(small_network(), *parts, still, STARS)
    assert (1, 4) == (result.best_epoch, len(result.epochs))


def test_divergence_is_said_with_its_epoch_and_what_to_do(parts: tuple[Ratings, Ratings]) -> None:
    wild = settings(learning_rate=1e9)
    with pytest.raises(
        TrainingError, match=r"epoch 1: .* lower train.learning_rate \(now 1e\+09\)"
    ):
        fit(small_network(), *parts, wild, STARS)


def test_nothing_to_train_on_is_refused() -> None:
    with pytest.raises(TrainingError, match="no training ratings"):
        fit(small_network(), NO_RATINGS, None, settings(), STARS)


def test_progress_is_told_of_every_epoch(parts: tuple[Ratings, Ratings]) -> None:
    told: list[tuple[str, int, int | None, str, str]] = []

    def tell(what: str, done: int, total: int | None, unit: str, note: str = "") -> None:
        told.append((what, done, total, unit, note))

    result = fit(small_network(), *parts, settings(), STARS, progress=tell)
    assert [("train", epoch, 4, "epochs") for epoch in range(5)] == [news[:4] for news in told]
    first = result.epochs[0]
    assert [
        "cpu",
        f"cpu, train {first.train_rmse:.4f}, dev {first.dev_rmse:.4f}",
    ] == [news[4] for news in told[:2]]


def test_the_trainer_needs_torch_numpy_and_scipy_only() -> None:
    absent = {"duckdb", "filelock", "onnxruntime", "polars", "prefect", "pyarrow", "pydantic"}
    program = f"import sys, deeprec.training.trainer; print(sorted({absent!r} & set(sys.modules)))"
    done = subprocess.run(
        [sys.executable, "-c", program], check=True, capture_output=True, text=True
    )
    assert "[]" == done.stdout.strip()


EVERYTHING = {"num_epochs": 5, "patience": 9, "passes_per_epoch": 2}
OPTIMIZERS: dict[str, dict[str, Any]] = {
    "lbfgs": {**EVERYTHING, "optimizer": "lbfgs", "learning_rate": 1.0, "passes_per_epoch": 4},
    "rprop": {**EVERYTHING, "optimizer": "rprop", "learning_rate": 0.01, "passes_per_epoch": 9},
    "adamw": {**EVERYTHING, "optimizer": "adamw", "learning_rate": 0.02, "passes_per_epoch": 6},
}
AUTOREC = {"loss": "sum", "l2": 0.1}
every_optimizer = pytest.mark.parametrize("name", OPTIMIZERS)


@every_optimizer
@pytest.mark.parametrize("orientation", ["users", "movies"])
def test_every_optimizer_learns(
    parts: tuple[Ratings, Ratings], name: str, orientation: str, device: Device
) -> None:
    told = settings(**OPTIMIZERS[name], **AUTOREC, device=device)
    train_UN, dev_UN = parts
    if orientation == "movies":
        train_UN, dev_UN = sparse.csr_array(train_UN.T), sparse.csr_array(dev_UN.T)
    network = RatingPredictor(
        Autoencoder(train_UN.shape[1], [6, 4], output_activation="identity", has_rated=True)
    )
    before = rmse_by_hand(network, train_UN, dev_UN)
    result = fit(network, train_UN, dev_UN, told, STARS)
    after = rmse_by_hand(network, train_UN, dev_UN)
    assert after < 0.7 * before
    assert after == pytest.approx(result.epochs[result.best_epoch - 1].dev_rmse, rel=1e-4)
    assert result.epochs[-1].train_rmse < result.epochs[0].train_rmse


RESUMED: dict[str, dict[str, Any]] = {
    **{name: {**options, **AUTOREC} for name, options in OPTIMIZERS.items()},
    "lbfgs, averaged": {**OPTIMIZERS["lbfgs"], **AUTOREC, "average_decay": 0.6},
    "adamw, averaged, hiding": {
        **OPTIMIZERS["adamw"],
        "weight_decay": 0.1,
        "average_decay": 0.9,
        "hide_fraction": 0.4,
        "hidden_weight": 2.0,
        "visible_weight": 0.5,
    },
    "rprop, hiding": {**OPTIMIZERS["rprop"], "hide_fraction": 0.3},
    "adamw, in bfloat16": {**OPTIMIZERS["adamw"], "precision": "bfloat16"},
    "sgd, averaged, hiding": {**EVERYTHING, "average_decay": 0.8, "hide_fraction": 0.5},
}


@pytest.mark.parametrize("options", RESUMED.values(), ids=RESUMED.keys())
def test_any_run_can_be_resumed(
    parts: tuple[Ratings, Ratings], tmp_path: Path, options: dict[str, Any]
) -> None:
    told = settings(**options)
    rich: dict[str, Any] = {"encoder_dropout": 0.2, "has_rated": True, "kernel_size": 2}
    whole, parted, fresh = (small_network(center=True, seed=s, **rich) for s in (0, 0, 9))
    expected = fit(whole, *parts, told, STARS)

    def stop(record: EpochRecord) -> None:
        if record.epoch == 2:
            raise KeyboardInterrupt

    path = tmp_path / "run.pt"
    with pytest.raises(KeyboardInterrupt):
        fit(parted, *parts, told, STARS, checkpoint=path, on_epoch=stop)
    ran: list[EpochRecord] = []
    result = fit(fresh, *parts, told, STARS, checkpoint=path, on_epoch=ran.append)
    assert [3, 4, 5] == [record.epoch for record in ran]
    assert weights_of(whole) == weights_of(fresh)
    assert [e.dev_rmse for e in expected.epochs] == [e.dev_rmse for e in result.epochs]
    assert [e.train_rmse for e in expected.epochs] == [e.train_rmse for e in result.epochs]


def test_lbfgs_finds_the_optimum_of_a_linear_autoencoder() -> None:
    rating_UM = np.random.default_rng(5).integers(1, 6, (9, 4)).astype(np.float32)
    singular = np.linalg.svd(rating_UM - rating_UM.mean(0), compute_uv=False)
    least = float(np.square(singular[2:]).sum())  # no two units can leave less (Eckart and Young)
    linear = Autoencoder(4, [2], activation="identity", output_activation="identity")
    network = RatingPredictor(linear)
    told = settings(
        optimizer="lbfgs", learning_rate=1, loss="sum", num_epochs=30, passes_per_epoch=20
    )
    fit(network, sparse.csr_array(rating_UM), None, told, STARS)
    known_UM = torch.from_numpy(rating_UM)
    with torch.no_grad():
        left = (network(known_UM) - known_UM).square().sum().item()
    assert least * (1 - 1e-4) <= left <= least * 1.01


def test_lbfgs_reaches_the_ridge_solution_of_the_last_layer() -> None:
    # From a code that no weight can move, the decoder's bias is what is left to fit: AutoRec's
    # objective is then least at zero weights and each movie's mean rating.
    network = RatingPredictor(Autoencoder(3, [2], output_activation="identity"))
    told = settings(
        optimizer="lbfgs", learning_rate=1, loss="sum", l2=1e4, num_epochs=20, passes_per_epoch=20
    )
    train_UM = sparse_ratings([[5, 4, None], [1, None, None], [None, 5, 2]])
    fit(network, train_UM, None, told, STARS)
    state = network.autoencoder.state_dict()
    assert [3.0, 4.5, 2.0] == pytest.approx(state["decoder_biases_H.0"].tolist(), abs=0.01)
    assert all(matrix.abs().max() < 0.01 for matrix in network.autoencoder.matrices())


class WatchfulPredictor(RatingPredictor):
    """Remembers what was visible whenever something was hidden."""

    def __init__(self, autoencoder: Autoencoder) -> None:
        super().__init__(autoencoder)
        self.seen: list[list[float]] = []

    def encode_sparse(
        self, pattern: Pattern, ratings_R: Tensor, visible_R: Tensor | None = None
    ) -> Encoded:
        if visible_R is not None:
            self.seen.append(visible_R.tolist())
        return super().encode_sparse(pattern, ratings_R, visible_R)


def test_a_line_search_descends_one_function(parts: tuple[Ratings, Ratings]) -> None:
    network = WatchfulPredictor(Autoencoder(NUM_MOVIES, [6, 4], seed=0))
    told = settings(**{**OPTIMIZERS["lbfgs"], "num_epochs": 1}, hide_fraction=0.5)
    fit(network, *parts, told, STARS)
    assert len(network.seen) > 1
    assert all(visible == network.seen[0] for visible in network.seen)


def test_every_step_hides_other_ratings(parts: tuple[Ratings, Ratings]) -> None:
    network = WatchfulPredictor(Autoencoder(NUM_MOVIES, [6, 4], seed=0))
    told = settings(optimizer="rprop", learning_rate=1e-4, num_epochs=2, hide_fraction=0.5)
    fit(network, *parts, told.model_copy(update={"passes_per_epoch": 2}), STARS)
    assert 4 == len({tuple(visible) for visible in network.seen})


def test_the_average_of_weights_by_hand(parts: tuple[Ratings, Ratings]) -> None:
    one_step = {"batch_size": NUM_USERS, "learning_rate": 0.05}
    after: list[list[float]] = []
    for num_epochs, decay in ((1, 0.0), (2, 0.0), (3, 0.0), (3, 0.75)):
        network = small_network()
        told = settings(**one_step, num_epochs=num_epochs, average_decay=decay)
        fit(network, parts[0], None, told, STARS)
        after.append([value for weight in weights_of(network) for value in weight])
    first, second, third, averaged = map(np.array, after)
    expected = 0.75 * (0.75 * first + 0.25 * second) + 0.25 * third
    assert not np.allclose(third, averaged, atol=1e-4)
    np.testing.assert_allclose(averaged, expected, atol=1e-6)


def test_dev_error_is_of_the_average(parts: tuple[Ratings, Ratings]) -> None:
    network = small_network()
    told = settings(learning_rate=0.03, average_decay=0.9, num_epochs=8, patience=9)
    result = fit(network, *parts, told, STARS)
    best = result.epochs[result.best_epoch - 1].dev_rmse
    assert best == pytest.approx(rmse_by_hand(network, *parts), rel=1e-5)


def test_watched_ratings_decide_nothing(parts: tuple[Ratings, Ratings]) -> None:
    train_UM, dev_UM = parts
    told = settings(num_epochs=12, patience=2, learning_rate=0.02, average_decay=0.5)
    networks = [small_network(encoder_dropout=0.3) for _ in range(3)]
    backwards_UM: Ratings = sparse.csr_array(dev_UM)
    backwards_UM.data = 6 - dev_UM.data
    results = [
        fit(network, train_UM, dev_UM, told, STARS, watched_UN=watched_UM)
        for network, watched_UM in zip(networks, (None, dev_UM, backwards_UM), strict=True)
    ]
    assert weights_of(networks[0]) == weights_of(networks[1]) == weights_of(networks[2])
    assert 1 == len({(result.best_epoch, len(result.epochs)) for result in results})
    assert all(record.test_rmse is None for record in results[0].epochs)
    assert [e.dev_rmse for e in results[1].epochs] == [e.test_rmse for e in results[1].epochs]
    assert [e.dev_rmse for e in results[2].epochs] != [e.test_rmse for e in results[2].epochs]


@pytest.mark.parametrize(("seconds", "expected"), [(0, [1, 2, 3, 4]), (3600, [1, 1, 1, 4])])
def test_a_checkpoint_is_as_old_as_one_asked_for(
    parts: tuple[Ratings, Ratings], tmp_path: Path, seconds: float, expected: list[int]
) -> None:
    path, found = tmp_path / "run.pt", []

    def look(record: EpochRecord) -> None:
        state = checkpoints.load(path, "", torch.device("cpu"))
        assert state is not None, record
        found.append(len(state["epochs"]))

    told = settings(checkpoint_every_s=seconds, patience=9)
    fit(small_network(), *parts, told, STARS, checkpoint=path, on_epoch=look)
    assert expected == found


def test_a_resume_from_an_old_checkpoint_runs_the_lost_epochs_again(
    parts: tuple[Ratings, Ratings], tmp_path: Path
) -> None:
    told = settings(checkpoint_every_s=3600, patience=9)
    whole, again = small_network(encoder_dropout=0.3), small_network(encoder_dropout=0.3)
    fit(whole, *parts, told, STARS)

    def stop(record: EpochRecord) -> None:
        if record.epoch == 3:
            raise KeyboardInterrupt

    path = tmp_path / "run.pt"
    with pytest.raises(KeyboardInterrupt):
        fit(small_network(encoder_dropout=0.3), *parts, told, STARS, checkpoint=path, on_epoch=stop)
    ran: list[EpochRecord] = []
    fit(again, *parts, told, STARS, checkpoint=path, on_epoch=ran.append)
    assert [2, 3, 4] == [record.epoch for record in ran]
    assert weights_of(whole) == weights_of(again)


@pytest.mark.parametrize("passes", [1, 3])
def test_training_error_is_of_every_pass(parts: tuple[Ratings, Ratings], passes: int) -> None:
    network = small_network()
    at_first = rmse_unclipped(network, parts[0])
    still = settings(num_epochs=1, learning_rate=1e-12, passes_per_epoch=passes)
    record = fit(network, parts[0], None, still, STARS).epochs[0]
    assert at_first == pytest.approx(record.train_rmse, rel=1e-5)


def test_training_error_of_lbfgs_is_of_before_its_iterations(
    parts: tuple[Ratings, Ratings],
) -> None:
    network = small_network()
    expected = [rmse_unclipped(network, parts[0])]
    fit(network, parts[0], None, settings(**{**OPTIMIZERS["lbfgs"], "num_epochs": 1}), STARS)
    expected.append(rmse_unclipped(network, parts[0]))
    again = small_network()
    told = settings(**{**OPTIMIZERS["lbfgs"], "num_epochs": 2})
    result = fit(again, parts[0], None, told, STARS)
    assert expected == pytest.approx([record.train_rmse for record in result.epochs], rel=1e-5)


def rmse_unclipped(network: RatingPredictor, train_UM: Ratings) -> float:
    known_UM = torch.from_numpy(train_UM.toarray())
    with torch.no_grad():
        left_UM = (network(known_UM, (known_UM != 0).float()) - known_UM)[known_UM != 0]
    return math.sqrt(left_UM.square().mean().item())


def test_decay_of_adamw_is_apart_from_the_gradient() -> None:
    network, by_hand = linear_pair()
    # Adam's first step is of length `rate` in every weight with a gradient, whatever its size.
    told = settings(num_epochs=1, optimizer="adamw", learning_rate=0.01, weight_decay=2.0)
    fit(network, sparse_ratings([[4, None, 2]]), None, told, STARS)
    kept = network.autoencoder.decoder_weights_HI[0][1].tolist()  # of the movie without a rating
    assert (by_hand.D[1] * (1 - 0.01 * 2.0)).tolist() == pytest.approx(kept, rel=1e-5)
    assert 0.0 == network.autoencoder.decoder_biases_H[0][1].item()


def test_rows_with_held_out_ratings_and_no_others_can_be_judged() -> None:
    train_UM = sparse_ratings([[5, 4, None], [None, None, None], [3, None, 1]])
    dev_UM = sparse_ratings([[None, None, None], [1, None, 5], [None, None, None]])
    network = RatingPredictor(Autoencoder(3, [2]))
    result = fit(network, train_UM, dev_UM, settings(num_epochs=1), STARS)
    assert result.epochs[0].dev_rmse == pytest.approx(rmse_by_hand(network, train_UM, dev_UM))
