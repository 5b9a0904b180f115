"""How a model is fitted and exported."""

from typing import Literal, Self

from pydantic import Field, model_validator

from deeprec.config.section import Device, Section
from deeprec.splits import Seed


class TrainConfig(Section):
    """How a network is fitted. The defaults are the poster's."""

    num_epochs: int = Field(50, ge=1)
    batch_size: int = Field(
        32, ge=1, description="vectors a step; lbfgs and rprop always take all of them"
    )
    passes_per_epoch: int = Field(
        1,
        ge=1,
        description="passes over the data, or lbfgs iterations at most, between looks at dev",
    )
    optimizer: Literal["sgd", "adam", "adamw", "rprop", "lbfgs"] = "sgd"
    learning_rate: float = Field(0.005, gt=0)
    momentum: float = Field(0.9, ge=0, lt=1, description="of sgd")
    weight_decay: float = Field(
        0.0, ge=0, description="the optimiser's, on matrices; with adamw apart from the gradient"
    )
    loss: Literal["mean", "sum"] = Field(
        "mean", description="of squared errors: a batch's mean (the poster), or their sum (AutoRec)"
    )
    l2: float = Field(0.0, ge=0, description="times the matrices' squares, added to a sum loss")
    kernel_l2: float = Field(0.0, ge=0, description="the same on SparseFC's kernels")
    hide_fraction: float = Field(
        0.0, ge=0, lt=1, description="of a vector's ratings kept from the network in each step"
    )
    hidden_weight: float = Field(1.0, ge=0, description="of hidden ratings in the loss")
    visible_weight: float = Field(1.0, ge=0, description="of visible ratings in the loss")
    average_decay: float = Field(
        0.0, ge=0, lt=1, description="of the moving average of weights that is kept; 0: none"
    )
    lr_milestones: tuple[int, ...] = Field((), description="epochs after which the rate falls")
    lr_decay: float = Field(0.5, gt=0, le=1, description="factor at each milestone")
    refeed_steps: int = Field(0, ge=0, description="dense re-feeding passes after each step")
    refeed_target: Literal["output", "labels"] = Field(
        "output", description="output: f(x), as published; labels: the ratings themselves"
    )
    patience: int = Field(5, ge=1, description="epochs without a better dev RMSE before stopping")
    watch_test: bool = Field(
        False, description="also record test RMSE by epoch; it decides nothing"
    )
    checkpoint_every_s: float = Field(30.0, ge=0, description="seconds between checkpoints")
    processes: int = Field(
        1,
        ge=1,
        description="that share an autoencoder's steps, each on a GPU or on its part of the cores; "
        "lbfgs, rprop and other kinds of models take one",
    )
    precision: Literal["float32", "bfloat16"] = Field(
        "float32",
        description="of an autoencoder's dense layers in training; bfloat16 is for devices that "
        "multiply it faster; weights and sparse layers stay in 32 bits",
    )
    seed: Seed = 0
    device: Device = "auto"

    @model_validator(mode="after")
    def _fits_together(self) -> Self:
        if self.precision == "bfloat16" and self.takes_everything:
            raise ValueError(f"{self.optimizer} needs what bfloat16 rounds off; use float32")
        if (self.l2 or self.kernel_l2) and self.loss == "mean":
            raise ValueError('l2 and kernel_l2 belong to loss = "sum"; a mean has weight_decay')
        if self.refeed_steps and (self.takes_everything or self.hide_fraction):
            raise ValueError("refeed_steps go with sgd, adam or adamw and hide_fraction = 0 only")
        if self.refeed_steps and self.loss == "sum":
            raise ValueError('refeed_steps go with loss = "mean" only')
        if self.weight_decay and self.takes_everything:
            raise ValueError(f'{self.optimizer} has no weight_decay; use l2 with loss = "sum"')
        if self.lr_milestones and self.optimizer == "rprop":
            raise ValueError("rprop finds its own rates; lr_milestones would do nothing")
        if not self.hidden_weight + self.visible_weight:
            raise ValueError("hidden_weight and visible_weight leave nothing to learn from")
        if not self.visible_weight and not self.hide_fraction:
            raise ValueError("visible_weight = 0 needs a hide_fraction to learn from")
        return self

    @property
    def takes_everything(self) -> bool:
        """Whether each step sees every vector."""
        return self.optimizer in ("lbfgs", "rprop")


class ExportConfig(Section):
    """From torch to ONNX."""

    opset: int = Field(20, ge=18, le=23)
    tolerance: float = Field(
        1e-4,
        gt=0,
        description="largest difference to torch allowed, in stars: quarters of the scale's width",
    )
