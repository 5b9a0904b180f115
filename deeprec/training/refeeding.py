"""Dense re-feeding: what a network predicts is fed to it again, as if every cell were rated.

Kuchaiev and Ginsburg (2017), section 2.2. Rows go through some at a time, their gradients added
up: of all B x N cells the fed ones are held at once, and of what is made of them a bounded number.

Shape legend: B rows of a batch, N columns, R rated cells.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING

import torch
from torch import Tensor

from deeprec.networks.predictor import Encoded, RatingPredictor
from deeprec.training.objectives import Loss, LossPart
from deeprec.training.process_group import Rows
from deeprec.training.rated_rows import RatedRows

if TYPE_CHECKING:
    from deeprec.config.training import TrainConfig

_ROWS_AT_ONCE = 256
_CELLS_AT_ONCE_ON_GPU = 2**26  # but never fewer rows than those; it idles over few cells


@dataclass
class Refeeding:
    """A batch whose predictions are fed again, once or several times over.

    `num_rows` and `num_ratings` are those by which errors are averaged: of this batch, and of
    the parts of it that other processes hold.
    """

    rows: RatedRows
    place_B: Rows
    num_rows: int
    num_ratings: Tensor
    settings: "TrainConfig"
    _fed_BN: Tensor | None = None

    @torch.no_grad()
    def feed(self, network: RatingPredictor, encoded: Encoded) -> None:
        """Take what the network, as it is now, predicts from these codes of the whole batch."""
        self._fed_BN = network.decode(encoded)

    def losses(self) -> Iterator[list[LossPart]]:
        """For each further step, the parts of its loss.

        Where the network is centred, a row's bias too is taken from what is fed.
        """
        for _ in range(self.settings.refeed_steps):
            assert self._fed_BN is not None, "there is nothing to feed before a first step"
            next_BN = torch.empty_like(self._fed_BN)
            at_once = _ROWS_AT_ONCE
            if next_BN.is_cuda:
                at_once = max(at_once, _CELLS_AT_ONCE_ON_GPU // next_BN.shape[1])
            yield [
                partial(self._loss, slice(start, start + at_once), self._fed_BN, next_BN)
                for start in range(0, max(len(next_BN), 1), at_once)
            ]
            self._fed_BN = next_BN

    def _loss(self, rows: slice, fed_BN: Tensor, next_BN: Tensor, network: RatingPredictor) -> Loss:
        """Some rows' part of the loss; what is predicted of them goes into `next_BN`."""
        fed_rows_BN = fed_BN[rows]
        all_rated_BN = fed_BN.new_ones(1, 1).expand_as(fed_rows_BN)
        encoded = network.encode(fed_rows_BN, all_rated_BN)
        if self.settings.refeed_target == "output":
            predicted_BN = network.decode(encoded)
            next_BN[rows] = predicted_BN.detach()
            squared = (predicted_BN - fed_rows_BN).square().sum()
            num_cells = self.num_rows * fed_BN.shape[1]
            return Loss(squared / (num_cells * network.unit**2), squared.detach(), encoded)
        with torch.no_grad():
            next_BN[rows] = network.decode(encoded)
        rated = self.rows.batch(self.place_B[rows])
        predicted_R = network.decode_cells(encoded, rated.pattern)
        squared = (predicted_R - rated.rating_R).square().sum()
        return Loss(squared / (self.num_ratings * network.unit**2), squared.detach(), encoded)
