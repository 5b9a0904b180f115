"""The recurrent recommender network; knows nothing of training, files or formats.

Wu, Ahmed, Beutel, Smola and Jing (WSDM 2017). What is published: each user and each movie has a
state u_t = LSTM(u_(t-1), y_t) with y_t = W [x_t, newbie, t, t'], where x_t holds the ratings of
step t, and stationary factors beside it; a rating is <A u_t + a, B m_t + b> + <u, m>. The paper's
text was not at hand: this is read from summaries of it and from its authors' own, in "Joint
training of ratings and reviews with recurrent recommender networks" (2017); the widths of 40 and
20 are second hand. Where these leave a choice open, this was chosen:

- The states that predict a rating are those left by steps before its own: within a step nothing
  tells what came first.
- Silent steps are skipped, and the clock tells of them: t and t' are a step and the one before
  it that had ratings, as shares of the training span. A row's first step is its newbie step, and
  stands in for the step before itself.
- States start at zero; the LSTM is torch's, of one layer. x_t holds ratings as they are; W has
  no bias.
- A global mean and stationary biases are added; the factors would have to hold them otherwise.
- Who was not there at training has no factors and no bias: his state alone speaks.

Shape legend: B rows of a batch, N rows of a side, C its columns, R ratings, P active steps of a
batch, S = P + 1 states (the first is the one before any step), T the most steps of a row, F = 3
features of a step, E the embedding, H the LSTM's units, G = 4 H its gates, D dynamic and K
stationary factors.
"""

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

import torch
from torch import Tensor, nn
from torch.nn import functional
from torch.nn.utils.rnn import PackedSequence

from deeprec.models.sequences import NUM_FEATURES, UNKNOWN, Clock
from deeprec.networks.units import in_units

if TYPE_CHECKING:
    from deeprec.config.models import RecurrentConfig


@dataclass(frozen=True)
class Steps:
    """What an LSTM reads, as tensors; `deeprec.models.step_batches.StepBatch` says more of each."""

    features_PF: Tensor
    rating_start_P: Tensor  # without the end of the last
    column_R: Tensor
    rating_R: Tensor
    size_T: Tensor  # on the CPU


@dataclass(frozen=True)
class Moment:
    """Rows of one side, and their dynamic factors at the time of a rating."""

    row_R: Tensor
    dynamic_RD: Tensor


class RecurrentSide(nn.Module):
    """All users, whose columns are movies, or all movies, whose columns are users.

    Factors and biases start at zero, all else as torch fills recurrent layers.

    Args:
        num_rows: N.
        num_columns: C.
        config: any object with the attributes of `RecurrentConfig`.
        generator: of the initial weights.
        unit: in which the LSTM sees ratings.
    """

    def __init__(
        self,
        num_rows: int,
        num_columns: int,
        config: "RecurrentConfig",
        generator: torch.Generator,
        unit: float = 1.0,
    ) -> None:
        super().__init__()
        embedding_size, state_size = config.embedding_size, config.state_size
        self.embedding_CE = _uniform(embedding_size, (num_columns, embedding_size), generator)
        self.embedding_FE = _uniform(embedding_size, (NUM_FEATURES, embedding_size), generator)
        # On "meta" nothing is drawn: the initial weights must follow from the generator alone.
        self.lstm = nn.LSTM(embedding_size, state_size, device="meta").to_empty(device="cpu")
        for weight in self.lstm.parameters():
            _fill(weight, state_size, generator)
        self.affine_DH = _uniform(state_size, (config.num_dynamic, state_size), generator)
        self.affine_D = nn.Parameter(torch.zeros(config.num_dynamic))
        self.factors_NK = nn.Parameter(torch.zeros(num_rows, config.num_stationary))
        self.bias_N1 = nn.Parameter(torch.zeros(num_rows, 1))
        self.unit = unit
        self.l2 = config.l2
        self.bias_l2 = config.bias_l2

    @property
    def device(self) -> torch.device:
        """Where the weights are."""
        return self.affine_D.device

    def forward(self, steps: Steps) -> Tensor:
        """S x D: the dynamic factors before any step, and after each."""
        embedded_PE = functional.embedding_bag(
            steps.column_R,
            self.embedding_CE,
            steps.rating_start_P,
            per_sample_weights=in_units(steps.rating_R, self.unit),
            mode="sum",
        )
        embedded_PE = embedded_PE + steps.features_PF @ self.embedding_FE
        packed, _ = self.lstm(PackedSequence(embedded_PE, steps.size_T))
        return self.dynamic(functional.pad(packed.data, (0, 0, 1, 0)))

    def step(
        self, ratings_BC: Tensor, features_BF: Tensor, hidden_BH: Tensor, cell_BH: Tensor
    ) -> tuple[Tensor, Tensor]:
        """The state after one step, B x H twice: as in `forward`, from ratings that are dense."""
        embedded_BE = (
            in_units(ratings_BC, self.unit) @ self.embedding_CE + features_BF @ self.embedding_FE
        )
        in_GE, state_GH, in_G, state_G = self.lstm.all_weights[0]
        gates_BG = functional.linear(embedded_BE, in_GE, in_G)
        gates_BG = gates_BG + functional.linear(hidden_BH, state_GH, state_G)
        enter_BH, keep_BH, new_BH, leave_BH = gates_BG.chunk(4, dim=1)
        cell_BH = keep_BH.sigmoid() * cell_BH + enter_BH.sigmoid() * new_BH.tanh()
        return leave_BH.sigmoid() * cell_BH.tanh(), cell_BH

    def dynamic(self, hidden_BH: Tensor) -> Tensor:
        """B x D: the affine map of a state."""
        return functional.linear(hidden_BH, self.affine_DH, self.affine_D)

    def stationary(self, row_B: Tensor) -> tuple[Tensor, Tensor]:
        """B x K factors and B x 1 biases; zeros for a row that is `UNKNOWN`."""
        known_B1 = (row_B != UNKNOWN).unsqueeze(dim=1)
        row_B = row_B.clamp(min=0)
        # Embeddings add up their gradients in one order; those of an index do not.
        factors_BK = functional.embedding(row_B, self.factors_NK) * known_B1
        return factors_BK, functional.embedding(row_B, self.bias_N1) * known_B1

    def penalty(self, row_B: Tensor) -> Tensor:
        """L2 on the factors and biases of some rows."""
        factors_BK, bias_B1 = self.stationary(row_B)
        return self.l2 * factors_BK.square().sum() + self.bias_l2 * bias_B1.square().sum()

    def own_weights(self) -> list[nn.Parameter]:
        """What belongs to single rows: factors and biases."""
        return [self.factors_NK, self.bias_N1]

    def shared_weights(self) -> list[nn.Parameter]:
        """What belongs to all rows: embeddings, LSTM and affine map."""
        own = set(map(id, self.own_weights()))
        return [weight for weight in self.parameters() if id(weight) not in own]


class RecurrentRecommender(nn.Module):
    """Users and movies that move in time.

    Args:
        num_users: rows of the users, columns of the movies.
        num_movies: the other way round.
        clock: how days are cut into steps.
        global_mean: added to every prediction, counted in `unit`; not trained.
        config: any object with the attributes of `RecurrentConfig`.
        seed: of the initial weights.
        unit: of the ratings: to all weights they are what they would be in stars.
    """

    global_mean: Tensor

    def __init__(
        self,
        num_users: int,
        num_movies: int,
        clock: Clock,
        global_mean: float,
        config: "RecurrentConfig",
        *,
        seed: int = 0,
        unit: float = 1.0,
    ) -> None:
        super().__init__()
        generator = torch.Generator().manual_seed(seed)
        self.users = RecurrentSide(num_users, num_movies, config, generator, unit)
        self.movies = RecurrentSide(num_movies, num_users, config, generator, unit)
        self.unit = unit
        self.clock = clock
        self.register_buffer("global_mean", torch.tensor(global_mean))

    def forward(self, users: Moment, movies: Moment) -> Tensor:
        """R predicted ratings, not clipped to the scale."""
        user_RK, user_bias_R1 = self.users.stationary(users.row_R)
        movie_RK, movie_bias_R1 = self.movies.stationary(movies.row_R)
        biases_R = (user_bias_R1 + movie_bias_R1).squeeze(dim=1)
        moving_R = (users.dynamic_RD * movies.dynamic_RD).sum(dim=1)
        stationary_R = (user_RK * movie_RK).sum(dim=1)
        return self.unit * (self.global_mean + biases_R + moving_R + stationary_R)


def _uniform(size: int, shape: tuple[int, ...], generator: torch.Generator) -> nn.Parameter:
    """A new parameter, filled as torch fills recurrent layers."""
    return nn.Parameter(_fill(torch.empty(shape), size, generator))


def _fill(weight: Tensor, size: int, generator: torch.Generator) -> Tensor:
    """Uniform within one over the root of a layer's size."""
    bound = 1 / math.sqrt(size)
    return nn.init.uniform_(weight, -bound, bound, generator=generator)
