"""Opening what an export has just written, to hold it to what it was made of."""

from dataclasses import dataclass
from pathlib import Path

from deeprec.config.models import MemberModelConfig
from deeprec.models.baselines import Biases
from deeprec.models.interface import Model
from deeprec.models.opening import open_model
from deeprec.ratings import RatingScale


@dataclass(frozen=True)
class Opener:
    """What a model is opened with, beside its files."""

    config: MemberModelConfig
    biases: Biases
    scale: RatingScale
    fold_in_ridge: float = 0.0

    def open(self, folder: Path) -> Model:
        """The model whose files are in the folder, on the CPU, as torch is when it exports."""
        return open_model(
            folder,
            self.config,
            self.biases,
            fold_in_ridge=self.fold_in_ridge,
            unit=self.scale.unit,
            device="cpu",
        )
