"""Shape legend: C columns, P packed steps, S states, E embedding, H units, D dynamic factors."""

import math
from collections.abc import Sequence

import numpy as np
import pytest
import torch
from torch import Tensor
from torch.func import functional_call

from deeprec.config.models import RecurrentConfig
from deeprec.models.sequences import UNKNOWN, Clock
from deeprec.networks.recurrent import Moment, RecurrentRecommender, RecurrentSide, Steps

SMALL = RecurrentConfig(embedding_size=3, state_size=2, num_dynamic=2, num_stationary=2)
CLOCK = Clock(first_day=0, step_days=1, num_steps=4)

# Two rows over four columns: the first has two steps (ratings 5 and 3, then 4), the second one.
STEPS = Steps(
    features_PF=torch.tensor([[1, 0, 0], [1, 0.25, 0.25], [0, 0.5, 0]]),
    rating_start_P=torch.tensor([0, 2, 3]),
    column_R=torch.tensor([0, 3, 1, 2]),
    rating_R=torch.tensor([5.0, 3, 1, 4]),
    size_T=torch.tensor([2, 1]),
)
DENSE_PC = torch.tensor([[5.0, 0, 0, 3], [0, 1, 0, 0], [0, 0, 4, 0]])


def side(seed: int = 0) -> RecurrentSide:
    made = RecurrentSide(3, 4, SMALL, torch.Generator().manual_seed(seed))
    with torch.no_grad():
        made.affine_D.copy_(torch.tensor([0.5, -0.25]))
        made.factors_NK.copy_(torch.arange(6.0).reshape(3, 2))
        made.bias_N1.copy_(torch.tensor([[0.1], [0.2], [0.3]]))
    return made


def lstm_by_hand(
    made: RecurrentSide, embedded_E: Tensor, hidden: Sequence[float], cell: Sequence[float]
) -> tuple[list[float], list[float]]:
    """Hochreiter and Schmidhuber's cell with a forget gate; torch's order: in, forget, new, out."""
    into, staying, into_bias, staying_bias = made.lstm.all_weights[0]
    gates = [
        sum(w * x for w, x in zip(row, embedded_E.tolist(), strict=True))
        + sum(w * h for w, h in zip(state_row, hidden, strict=True))
        + bias
        + state_bias
        for row, state_row, bias, state_bias in zip(
            into.tolist(),
            staying.tolist(),
            into_bias.tolist(),
            staying_bias.tolist(),
            strict=True,
        )
    ]
    new_hidden, new_cell = [], []
    for unit in range(2):
        enter, keep, new, leave = gates[unit::2]
        held = cell[unit] / (1 + math.exp(-keep)) + math.tanh(new) / (1 + math.exp(-enter))
        new_cell.append(held)
        new_hidden.append(math.tanh(held) / (1 + math.exp(-leave)))
    return new_hidden, new_cell


def test_states_are_those_of_the_equations() -> None:
    made = side()
    embedded_PE = DENSE_PC @ made.embedding_CE + STEPS.features_PF @ made.embedding_FE
    first, cell = lstm_by_hand(made, embedded_PE[0], [0, 0], [0, 0])
    other, _ = lstm_by_hand(made, embedded_PE[1], [0, 0], [0, 0])
    second, _ = lstm_by_hand(made, embedded_PE[2], first, cell)
    hidden_SH = torch.tensor([[0, 0], first, other, second])
    expected_SD = hidden_SH @ made.affine_DH.T + made.affine_D
    assert expected_SD.tolist() == [pytest.approx(row, abs=1e-6) for row in made(STEPS).tolist()]


def test_a_dense_step_is_the_sparse_one() -> None:
    made = side()
    hidden_BH, cell_BH = torch.zeros(2, 2), torch.zeros(2, 2)
    hidden_BH, cell_BH = made.step(DENSE_PC[:2], STEPS.features_PF[:2], hidden_BH, cell_BH)
    last_BH, _ = made.step(DENSE_PC[2:], STEPS.features_PF[2:], hidden_BH[:1], cell_BH[:1])
    expected_SD = made(STEPS)
    torch.testing.assert_close(made.dynamic(hidden_BH), expected_SD[1:3])
    torch.testing.assert_close(made.dynamic(last_BH), expected_SD[3:])


def test_a_prediction_is_a_sum_of_its_parts() -> None:
    network = RecurrentRecommender(3, 4, CLOCK, 3.5, SMALL)
    with torch.no_grad():
        network.users.factors_NK[1] = torch.tensor([1.0, 2.0])
        network.movies.factors_NK[2] = torch.tensor([3.0, -1.0])
        network.users.bias_N1[1], network.movies.bias_N1[2] = 0.25, -0.5
    users = Moment(torch.tensor([1, UNKNOWN]), torch.tensor([[2.0, 1.0], [2.0, 1.0]]))
    movies = Moment(torch.tensor([2, 2]), torch.tensor([[0.5, 0.25], [0.5, 0.25]]))
    known = 3.5 + 0.25 - 0.5 + (2 * 0.5 + 1 * 0.25) + (1 * 3 - 2 * 1)
    newcomer = 3.5 - 0.5 + (2 * 0.5 + 1 * 0.25)
    assert [known, newcomer] == pytest.approx(network(users, movies).tolist())


def test_the_penalty_counts_factors_and_biases_of_the_rows_asked_for() -> None:
    made = RecurrentSide(
        3, 4, SMALL.model_copy(update={"l2": 2.0, "bias_l2": 10.0}), torch.Generator()
    )
    made.load_state_dict(side().state_dict())
    squares = 2 * (2**2 + 3**2 + 4**2 + 5**2) + 10 * (0.2**2 + 0.3**2)
    assert squares == pytest.approx(made.penalty(torch.tensor([1, 2])).item())


def test_gradients_are_those_of_finite_differences() -> None:
    network = RecurrentRecommender(3, 4, CLOCK, 3.5, SMALL).double()
    network.users.load_state_dict(side().double().state_dict())
    with torch.no_grad():
        network.movies.factors_NK.add_(0.3)
    names = [name for name, _ in network.named_parameters()]
    steps = Steps(
        STEPS.features_PF.double(),
        STEPS.rating_start_P,
        STEPS.column_R,
        STEPS.rating_R.double(),
        STEPS.size_T,
    )
    movies = Moment(torch.tensor([3, 0, 2]), torch.tensor([[0.5, 1], [2, -1], [1, 1]]).double())

    def loss(*weights: Tensor) -> Tensor:
        named = dict(zip(names, weights, strict=True))
        own = {name.removeprefix("users."): named[name] for name in names if "users." in name}
        dynamic_SD = functional_call(network.users, own, (steps,))
        users = Moment(torch.tensor([0, 0, 1]), dynamic_SD[torch.tensor([0, 1, 2])])
        predicted_R: Tensor = functional_call(network, named, (users, movies))
        return (predicted_R - torch.tensor([4.0, 2.0, 5.0])).square().sum()

    assert torch.autograd.gradcheck(loss, tuple(network.parameters()))


def test_initial_weights_follow_from_the_seed_alone() -> None:
    before = torch.get_rng_state()
    first, again, other = (
        RecurrentRecommender(3, 4, CLOCK, 3.5, SMALL, seed=seed) for seed in (1, 1, 2)
    )
    assert torch.equal(before, torch.get_rng_state())
    weights = [
        torch.cat([weight.flatten() for weight in network.parameters()])
        for network in (first, again, other)
    ]
    assert torch.equal(weights[0], weights[1])
    assert not torch.equal(weights[0], weights[2])
    assert not any(
        side.factors_NK.any() or side.bias_N1.any() for side in (first.users, first.movies)
    )


def test_initial_weights_stay_within_one_over_the_root_of_the_size() -> None:
    config = RecurrentConfig()
    made = RecurrentSide(1, 500, config, torch.Generator().manual_seed(0))
    for weight in (made.embedding_CE, *made.lstm.parameters(), made.affine_DH):
        largest = np.abs(weight.detach().numpy()).max()
        assert 0.9 / math.sqrt(40) < largest <= 1 / math.sqrt(40)
