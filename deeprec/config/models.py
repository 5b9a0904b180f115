"""What is trained: kinds of models, and blends of them."""

from typing import Annotated, Literal, Self

from pydantic import Field, PositiveInt, model_validator

from deeprec.config.section import Section
from deeprec.config.training import TrainConfig

Activation = Literal[
    "selu", "elu", "relu", "relu6", "leaky_relu", "sigmoid", "tanh", "swish", "identity"
]


class AutoencoderConfig(Section):
    """An autoencoder. The defaults are the poster's."""

    kind: Literal["autoencoder"] = "autoencoder"
    orientation: Literal["users", "movies"] = Field(
        "users", description="a vector a user (U-AutoRec), or a vector a movie (I-AutoRec)"
    )
    hidden_layers: tuple[PositiveInt, ...] = Field(
        (128, 256, 256), min_length=1, description="encoder widths; the last is the code's"
    )
    decoder_layers: tuple[PositiveInt, ...] | None = Field(
        None, description="hidden widths of the decoder; default: the encoder's, mirrored"
    )
    activation: Activation = "selu"
    output_activation: Activation = Field("selu", description="of the last decoder layer")
    tied: bool = Field(False, description="decoder weights are the encoder's, transposed")
    encoder_dropout: float = Field(0.0, ge=0, lt=1, description="after each encoder layer")
    code_dropout: float = Field(0.0, ge=0, lt=1, description="after the last encoder layer only")
    center: Literal["none", "biases"] = Field(
        "none", description="biases: the network sees and predicts what damped biases leave"
    )
    has_rated: bool = Field(False, description="a second input a column: 1 where it is rated")
    kernel_size: int = Field(
        0, ge=0, description="coordinates a unit of SparseFC's kernel; 0: plain dense layers"
    )

    @model_validator(mode="after")
    def _fits_together(self) -> Self:
        if self.tied and (self.kernel_size or self.decoder_layers is not None):
            raise ValueError("tied weights need a mirrored decoder and no kernel")
        if self.orientation == "movies" and self.output_activation != "identity":
            raise ValueError(
                'orientation = "movies" needs output_activation = "identity": its predictions '
                "are products of a user's weights and a movie's code"
            )
        return self

    @property
    def has_user_codes(self) -> bool:
        """Whether a prediction is a function of one product: a user's code by a movie's weights."""
        is_linear = self.output_activation == "identity"
        follows_product = is_linear or (self.output_activation == "selu" and self.center == "none")
        return self.orientation == "users" and follows_product


class KernelRidgeConfig(Section):
    """Ridge regression of what biases leave, in closed form, on a kernel of movies or of users.

    Features of a movie (a user) are its residuals and, times `rated_weight`, which users rated
    it, all divided by its number of ratings to the power of `count_power`.
    """

    kind: Literal["kernel_ridge"] = "kernel_ridge"
    orientation: Literal["users", "movies"] = Field(
        "movies", description="movies: one regression a user over the movies he has rated"
    )
    rated_weight: float = Field(1.0, ge=0, description="of the has-rated features")
    count_power: float = Field(0.5, ge=0, le=1)
    ridge: float = Field(1.5, gt=0, description="added to the kernel's diagonal")
    solver_steps: int = Field(
        40, ge=1, le=200, description="conjugate-gradient steps in the graph; movies only"
    )


class RecurrentConfig(Section):
    """A recurrent recommender network. The widths are its paper's, as far as they are known."""

    kind: Literal["rrn"] = "rrn"
    step_days: int = Field(7, ge=1, description="days a step; ratings within one have no order")
    embedding_size: PositiveInt = Field(40, description="a step's ratings, before the LSTM")
    state_size: PositiveInt = Field(40, description="units of each LSTM")
    num_dynamic: PositiveInt = Field(20, description="factors made of a state")
    num_stationary: PositiveInt = Field(20, description="factors that stay")
    l2: float = Field(14.0, gt=0, description="pull to zero on stationary factors, in ratings")
    bias_l2: float = Field(3.0, ge=0, description="the same on stationary biases")


MemberModelConfig = Annotated[
    AutoencoderConfig | KernelRidgeConfig | RecurrentConfig, Field(discriminator="kind")
]


class BiasConfig(Section):
    """Damped biases: the floor beside every model, and the answer where a model has none."""

    user_damping: float = Field(5.0, ge=0, description="in ratings")
    movie_damping: float = Field(5.0, ge=0, description="in ratings")


class MemberConfig(Section):
    """One model of a blend; its name is its folder's in a bundle, whose files all have a dot."""

    name: str = Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9_-]*$")
    model: MemberModelConfig = AutoencoderConfig()
    train: TrainConfig = TrainConfig()

    @model_validator(mode="after")
    def _fits_together(self) -> Self:
        require_kernels(self.model, self.train)
        return self


class BlendConfig(Section):
    """A weighted sum of models whose weights are fitted on dev ratings."""

    kind: Literal["blend"] = "blend"
    members: tuple[MemberConfig, ...] = Field(min_length=2)
    ridge: float = Field(
        0.01, ge=0, description="pull of the weights to equal shares, in dev ratings' share"
    )

    @model_validator(mode="after")
    def _names_differ(self) -> Self:
        names = [member.name for member in self.members]
        if len(set(names)) < len(names):
            raise ValueError(f"members need names of their own, got {names}")
        return self


ModelConfig = Annotated[
    AutoencoderConfig | KernelRidgeConfig | RecurrentConfig | BlendConfig,
    Field(discriminator="kind"),
]


def require_kernels(model: ModelConfig, train: TrainConfig) -> None:
    """Refuse a penalty on kernels where there are none."""
    has_kernels = isinstance(model, AutoencoderConfig) and model.kernel_size > 0
    if train.kernel_l2 and not has_kernels:
        raise ValueError("train.kernel_l2 needs a model with a kernel_size")
