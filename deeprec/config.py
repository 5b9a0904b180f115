"""What a run is told: one frozen model a stage, read from TOML, checked before anything runs."""

import difflib
import tomllib
from collections import defaultdict
from collections.abc import Callable, Container, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Annotated, Any, Literal, Self, get_args

from pydantic import (
    BaseModel,
    ConfigDict,
    Field,
    PositiveInt,
    ValidationError,
    field_validator,
    model_validator,
)

from deeprec.errors import ConfigError
from deeprec.places import SecretInUrlError, checked_location
from deeprec.ratings import RatingScale
from deeprec.splits import RandomSplit, Split

Activation = Literal[
    "selu", "elu", "relu", "relu6", "leaky_relu", "sigmoid", "tanh", "swish", "identity"
]
Device = Literal["auto", "cpu", "cuda"]
GROUP_ROWS = 2048  # the fewest: a group of lists is then packed while it is in the cache
Form = Literal["dense", "rows", "factored"]  # how predictions lie; `sql/scores` has a folder each
Format = Literal[
    "auto", "netflix-folder", "netflix-combined", "ml-100k", "ml-1m", "ml-csv", "table"
]


_DEFAULT_KINDS = {"split": "random", "model": "autoencoder"}
_KINDS = {
    "split": ("random", "time", "last_k", "file", "listed"),
    "model": ("autoencoder", "kernel_ridge", "rrn", "blend"),
}
_OF_ANY_MODEL = {"seed", "device", "processes", "watch_test"}  # keys of `train`
_DECISIVE = {"split", "model", "biases", "train", "export", "refit"}
_OF_A_PROTOCOL = ("split", "protocol")


class _Section(BaseModel):
    # What was given stands in our own message, unless it holds a secret.
    model_config = ConfigDict(extra="forbid", frozen=True, hide_input_in_errors=True)


class ScaleConfig(_Section):
    """A rating scale that the user states, where the format states none."""

    minimum: float = Field(allow_inf_nan=False)
    maximum: float = Field(allow_inf_nan=False)
    step: float | None = Field(None, gt=0, allow_inf_nan=False)

    @model_validator(mode="after")
    def _has_room(self) -> Self:
        if not self.minimum < self.maximum:
            raise ValueError("minimum must be less than maximum")
        return self

    def value(self) -> RatingScale:
        """The scale itself."""
        return RatingScale(self.minimum, self.maximum, self.step)


class ColumnsConfig(_Section):
    """Column names of a plain table, where they are not the usual ones."""

    user_id: str | None = None
    movie_id: str | None = None
    rating: str | None = None
    rated_at: str | None = None


class IngestConfig(_Section):
    """From rating files to the warehouse."""

    format: Format = Field("auto", description="how to read the source; auto looks at it")
    scale: ScaleConfig | None = Field(None, description="overrides the format's own scale")
    columns: ColumnsConfig = ColumnsConfig()
    max_rejected_fraction: float = Field(
        0.001, ge=0, le=1, description="of rows read; above it the source is refused whole"
    )
    chunk_bytes: int = Field(
        16 * 2**20, ge=2**10, description="text parsed at once, in bytes; bounds memory"
    )
    forget_gone: bool = Field(
        False, description="a file that is gone from its source takes its ratings along"
    )
    max_gone_fraction: float = Field(
        0.1,
        ge=0,
        le=1,
        description="of all ratings; where more would go with files that are gone or hold fewer, "
        "with forget_gone, nothing does",
    )
    hold_back: bool = Field(
        False, description="leave broken files out and take in the others, instead of none"
    )
    history_days: float = Field(
        30.0, ge=0, le=36_500, description="how long changed and gone files can be looked back at"
    )


class AutoencoderConfig(_Section):
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


class KernelRidgeConfig(_Section):
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


class RecurrentConfig(_Section):
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


class BiasConfig(_Section):
    """Damped biases: the floor beside every model, and the answer where a model has none."""

    user_damping: float = Field(5.0, ge=0, description="in ratings")
    movie_damping: float = Field(5.0, ge=0, description="in ratings")


class TrainConfig(_Section):
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
    seed: int = Field(0, ge=0)
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


class MemberConfig(_Section):
    """One model of a blend; its name is its folder's in a bundle, whose files all have a dot."""

    name: str = Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9_-]*$")
    model: MemberModelConfig = AutoencoderConfig()
    train: TrainConfig = TrainConfig()

    @model_validator(mode="after")
    def _fits_together(self) -> Self:
        _require_kernels(self.model, self.train)
        return self


class BlendConfig(_Section):
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


# Keys of `train` that do not always count: when they do nothing, in words, and when they count.
_COUNTS: Mapping[str, tuple[str, Callable[[ModelConfig, TrainConfig], bool]]] = {
    "batch_size": ("with lbfgs and rprop", lambda _, train: not train.takes_everything),
    "momentum": ('without optimizer = "sgd"', lambda _, train: train.optimizer == "sgd"),
    "hidden_weight": ("without a hide_fraction", lambda _, train: train.hide_fraction > 0),
    "visible_weight": (
        'without a hide_fraction or loss = "sum"',
        lambda _, train: train.hide_fraction > 0 or train.loss == "sum",
    ),
    "lr_decay": ("without lr_milestones", lambda _, train: bool(train.lr_milestones)),
    "refeed_target": ("without refeed_steps", lambda _, train: train.refeed_steps > 0),
    "precision": ("for an rrn", lambda model, _: isinstance(model, AutoencoderConfig)),
}


def _idle_keys(model: ModelConfig, train: TrainConfig) -> Iterator[tuple[str, str]]:
    """Keys that are set and do nothing for a model, and why; not those of a blend's members."""
    unset = TrainConfig()
    for key in TrainConfig.model_fields:
        if key in _OF_ANY_MODEL or getattr(train, key) == getattr(unset, key):
            continue
        if isinstance(model, BlendConfig | KernelRidgeConfig):
            yield f"train.{key}", f"for a {model.kind}"
        elif key in _COUNTS:
            why, counts = _COUNTS[key]
            if not counts(model, train):
                yield f"train.{key}", why
    if (
        isinstance(model, KernelRidgeConfig)
        and model.orientation == "users"
        and model.solver_steps != KernelRidgeConfig().solver_steps
    ):
        yield "model.solver_steps", 'without orientation = "movies"'


def _require_kernels(model: ModelConfig, train: TrainConfig) -> None:
    """Refuse a penalty on kernels where there are none."""
    has_kernels = isinstance(model, AutoencoderConfig) and model.kernel_size > 0
    if train.kernel_l2 and not has_kernels:
        raise ValueError("train.kernel_l2 needs a model with a kernel_size")


class PublishedConfig(_Section):
    """A figure that somebody has published for a system."""

    rmse: float = Field(gt=0)
    part: Literal["dev", "test"] = "test"
    data: str
    protocol: str
    source: str
    note: str = Field("", description="shown beside it, where it is not plainly this system's")


class ExportConfig(_Section):
    """From torch to ONNX."""

    opset: int = Field(20, ge=18, le=23)
    tolerance: float = Field(
        1e-4,
        gt=0,
        description="largest difference to torch allowed, in stars: quarters of the scale's width",
    )


class ScoreConfig(_Section):
    """From a bundle to the published tables."""

    storage: Literal["dense", "factored"] = Field(
        "dense",
        description="each prediction as a number, or as the product of two codes",
    )
    top_n: int = Field(10, ge=1, le=1000, description="recommendations a user")
    min_ratings: int = Field(
        0, ge=0, description="in training, of a movie that is recommended; all are predicted"
    )
    batch_size: int = Field(256, ge=1, description="users in one pass through the graph")
    shard_cells: int = Field(
        2**23, ge=1, description="predictions held in memory at once by one worker"
    )
    num_workers: int = Field(2, ge=1, description="shards scored at the same time")
    shards: Literal["duckdb", "parquet"] = Field(
        "duckdb",
        description="where workers leave a shard: in the run's DuckDB file, which takes one at a "
        "time, or in Parquet files that are gathered into it at the end",
    )
    shards_at: str = Field(
        "",
        description="where Parquet shards, and what workers need, are put: a folder that all "
        "workers see or s3://BUCKET/PREFIX; default: the home, which all workers must then see",
    )
    publish: Literal["table", "view"] = Field(
        "table",
        description="predictions in tables of the published file, or left in the shards' Parquet "
        "files, over which it is a view",
    )
    runner: Literal["threads", "dask", "ray"] = Field(
        "threads", description="what flows score shards on; commands have threads"
    )
    runner_address: str | None = Field(
        None, description="of a Dask or Ray cluster; default: one is started for the run"
    )
    device: Device = "auto"
    storage_version: str = Field(
        "v1.2.0",
        pattern=r"^(latest|v\d+\.\d+\.\d+)$",
        description="oldest DuckDB that can open the published file",
    )
    bundle: Path | None = Field(
        None, description="a bundle folder; default: the champion, else the newest trained"
    )
    keep_past: int = Field(
        2, ge=0, description="published files kept beside the present one, to roll back to"
    )

    incremental: bool = Field(
        True,
        description="score users whose vectors have changed, keep the published rows of others; "
        "false: everybody, into a new file, which is somewhat smaller",
    )

    @property
    def form(self) -> Form:
        """How predictions lie: in Parquet files as rows, which other engines read too."""
        return "rows" if self.publish == "view" else self.storage

    @property
    def group_rows(self) -> int | None:
        """Rows that a table of the published file packs together; None: as many as DuckDB likes."""
        return GROUP_ROWS if self.form == "dense" else None

    @field_validator("shards_at")
    @classmethod
    def _is_a_place(cls, shards_at: str) -> str:
        return checked_location(shards_at)

    @model_validator(mode="after")
    def _fits_together(self) -> Self:
        if self.shards_at and self.shards != "parquet":
            raise ValueError('shards_at needs shards = "parquet"')
        if self.runner != "threads" and self.shards != "parquet":
            raise ValueError(
                f'runner = "{self.runner}" needs shards = "parquet": only one process at a time '
                "can write a DuckDB file"
            )
        if self.runner == "threads" and self.runner_address:
            raise ValueError('runner_address needs runner = "dask" or "ray"')
        if self.publish == "view" and (self.shards != "parquet" or self.storage != "dense"):
            raise ValueError('publish = "view" needs shards = "parquet" and storage = "dense"')
        return self


class EvaluateConfig(_Section):
    """Which held-out ratings a bundle is measured on."""

    part: Literal["dev", "test"] = "test"
    bundle: Path | None = Field(
        None, description="a bundle folder; default: the newest trained, champion or not"
    )
    batch_size: int = Field(256, ge=1, description="users in one pass through the graph")
    num_resamples: int = Field(1000, ge=100, description="of the users, for the intervals")
    seed: int = Field(0, ge=0, description="of the resamples, and of whose lists are looked at")
    ranked_users: int = Field(
        10_000, ge=0, description="whose lists are looked at, at most; 0 looks at none"
    )
    device: Device = "auto"


class ChecksConfig(_Section):
    """What is checked before and after scoring, and how badly each may turn out."""

    severity: dict[str, Literal["off", "warn", "block"]] = Field(
        {}, description="of a check, by its name under sql/checks or drift.QUANTITY"
    )
    num_shown: int = Field(10, ge=0, le=1000, description="offending rows kept of a check")
    warn_psi: float = Field(0.1, gt=0, description="drift between runs from which to warn")
    block_psi: float = Field(0.5, gt=0, description="drift between runs from which to block")
    max_untitled_fraction: float = Field(0.05, ge=0, le=1, description="of ratings")
    min_volume_ratio: float = Field(0.1, ge=0, description="of a night's new ratings to the usual")
    max_volume_ratio: float = Field(10.0, gt=0, description="of a night's new ratings to the usual")


class NightlyConfig(_Section):
    """When a night trains, and what a challenger must do to become champion."""

    train_every_days: float = Field(
        7.0, ge=0, description="since the last training, whatever came of it"
    )
    train_at_new_fraction: float = Field(
        0.05, gt=0, description="of ratings, of files new or changed since the last training"
    )
    train_at_psi: float = Field(0.2, gt=0, description="drift since what is published")
    max_age_hours: float = Field(
        26.0,
        gt=0,
        description="of what is published, or since a night found it up to date; `deeprec status` "
        "warns of older",
    )
    compare_on: Literal["dev", "test"] = Field(
        "test", description="held-out ratings on which a challenger meets the champion"
    )
    min_improvement: float = Field(
        0.0, ge=0, description="RMSE by which a challenger must surely be better"
    )


class PublishedCounts(_Section):
    """How much of a data set a publication says is on one side of its split."""

    ratings: int | None = Field(None, ge=0)
    users: int | None = Field(None, ge=0, description="with a rating on this side")
    movies: int | None = Field(None, ge=0, description="with a rating on this side")


class ProtocolConfig(_Section):
    """The published protocol that the split follows, and the counts that tell whether it does."""

    name: str = Field(min_length=1)
    source: str | None = Field(None, description="who published it")
    dev_from: Literal["train", "held_out"] = Field(
        "held_out", description="the side of the publication's counts that dev is a share of"
    )
    train: PublishedCounts = PublishedCounts()
    held_out: PublishedCounts = PublishedCounts()


class WarehouseConfig(_Section):
    """How DuckDB may use the machine."""

    threads: int | None = Field(None, ge=1, description="default: all cores")
    memory_limit: str | None = Field(
        "2GB",
        pattern=r"^\d+(\.\d+)? ?([KMGT]i?B|%)$",
        description="such as 4GB; beyond it DuckDB works on disk",
    )
    lock_timeout_s: float = Field(600.0, ge=0, description="wait for another writer, in seconds")


class Config(_Section):
    """A named run configuration: everything the pipeline is told.

    Of `train` a blend takes seed, device, processes and watch_test alone, since each member has a
    `train` of its own; a kernel regression is solved and takes the device.
    """

    name: str = Field("poster", pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]*$")
    ingest: IngestConfig = IngestConfig()
    split: Split = RandomSplit()
    protocol: ProtocolConfig | None = None
    model: ModelConfig = AutoencoderConfig()
    biases: BiasConfig = BiasConfig()
    train: TrainConfig = TrainConfig()
    export: ExportConfig = ExportConfig()
    score: ScoreConfig = ScoreConfig()
    evaluate: EvaluateConfig = EvaluateConfig()
    checks: ChecksConfig = ChecksConfig()
    nightly: NightlyConfig = NightlyConfig()
    warehouse: WarehouseConfig = WarehouseConfig()
    refit: bool = Field(
        False, description="fit once more on train and dev, for the epochs that dev has chosen"
    )
    published: tuple[PublishedConfig, ...] = ()

    @model_validator(mode="after")
    def _fits_together(self) -> Self:
        _require_kernels(self.model, self.train)
        return self

    @property
    def needs_dev(self) -> bool:
        """Whether nothing can be trained without dev ratings."""
        return self.refit or isinstance(self.model, BlendConfig)

    @property
    def needs_days(self) -> bool:
        """Whether a model is fitted to ratings in the order of time."""
        told = self.model.members if isinstance(self.model, BlendConfig) else [self]
        return any(isinstance(member.model, RecurrentConfig) for member in told)

    @property
    def idle_keys(self) -> dict[str, str]:
        """Keys that are set and do nothing, each with why."""
        idle = dict(_idle_keys(self.model, self.train))
        members = self.model.members if isinstance(self.model, BlendConfig) else ()
        for place, member in enumerate(members):
            for key, why in _idle_keys(member.model, member.train):
                idle[f"model.members.{place}.{key}"] = why
        return idle

    @property
    def decisive(self) -> dict[str, Any]:
        """The settings that change what is trained, as JSON has them."""
        sections = self.model_dump(mode="json", include=_DECISIVE)
        members = sections["model"].get("members", ())
        for train in (sections["train"], *(member["train"] for member in members)):
            del train["checkpoint_every_s"]  # resuming is bit for bit
            del train["processes"]  # whose number may be another after an interruption
        return sections


def with_bundle(config: Config, bundle: Path) -> Config:
    """The same configuration, to evaluate and score one certain bundle."""
    evaluate = config.evaluate.model_copy(update={"bundle": bundle})
    score = config.score.model_copy(update={"bundle": bundle})
    return config.model_copy(update={"evaluate": evaluate, "score": score})


def load_config(
    path: Path | None = None, overrides: Sequence[str] = (), protocol: Path | None = None
) -> Config:
    """The configuration in a TOML file (defaults without one) with dotted overrides applied.

    Args:
        path: a TOML file whose tables are the sections of `Config`.
        overrides: `section.key=value`; the value is read as TOML, else taken as text.
        protocol: a TOML file of a protocol, whose sections replace those of `path`.

    Raises:
        ConfigError: an unreadable file, an unknown key, or a value out of range, named.
    """
    values = _read_toml(path) if path else {}
    if protocol:
        values = _without(values, _OF_A_PROTOCOL) | _read_protocol(protocol)
    for override in overrides:
        _apply(values, override)
    _default_kinds(values)
    try:
        return Config.model_validate(values)
    except ValidationError as error:
        files = " with ".join(str(file) for file in (path, protocol) if file)
        raise ConfigError(_explain(error, files or "configuration")) from error


def _read_protocol(path: Path) -> dict[str, Any]:
    """The sections of a protocol, after a check that it decides no more than a protocol does."""
    values = _read_toml(path)
    others = _without(values, _OF_A_PROTOCOL)
    if others or "split" not in values:
        found = ", ".join(values) or "nothing"
        raise ConfigError(f"{path}: expected the sections split and protocol alone, found {found}")
    return values


def _without(values: Mapping[str, Any], names: Container[str]) -> dict[str, Any]:
    return {name: value for name, value in values.items() if name not in names}


def _read_toml(path: Path) -> dict[str, Any]:
    try:
        return tomllib.loads(path.read_text(encoding="utf-8-sig"))  # as Notepad writes it
    except FileNotFoundError as error:
        raise ConfigError(f"{path}: no such configuration file") from error
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigError(f"{path}: cannot be read as text: {error}") from error
    except tomllib.TOMLDecodeError as error:
        raise ConfigError(f"{path}: not valid TOML: {error}") from error


def _apply(values: dict[str, Any], override: str) -> None:
    """Set one `section.key=value` in place."""
    key, equals, text = override.partition("=")
    if not equals or not key.strip():
        raise ConfigError(f"--set {override}: expected section.key=value")
    *sections, name = key.strip().split(".")
    for section in sections:
        values = values.setdefault(section, {})
        if not isinstance(values, dict):
            raise ConfigError(f"--set {override}: {section} is a value, not a section")
    try:
        values[name] = tomllib.loads(f"value = {text}")["value"]
    except tomllib.TOMLDecodeError:
        values[name] = text


def _default_kinds(values: dict[str, Any]) -> None:
    """Name the default's kind where a section names none: a part of it, like any other key."""
    for section, kind in _DEFAULT_KINDS.items():
        if isinstance(values.get(section), dict):
            values[section].setdefault("kind", kind)
    model = values.get("model")
    members = model.get("members") if isinstance(model, dict) else None
    for member in members if isinstance(members, list) else ():
        if isinstance(member, dict):
            _default_kinds(member)


def _explain(error: ValidationError, where: str) -> str:
    """One line a problem, each naming its key, with what may have been meant by a wrong one."""
    lines = []
    for problem in error.errors():
        key, said = _path(problem["loc"]), problem["msg"].removeprefix("Value error, ")
        if problem["type"] == "extra_forbidden":
            lines.append(f"{where}: {key}: {_wrong_key(problem['loc'])}")
        elif not key or isinstance(problem.get("ctx", {}).get("error"), SecretInUrlError):
            lines.append(f"{where}: {said}")
        else:
            lines.append(f"{where}: {key}: {said} (got {problem['input']!r})")
    return "\n".join(lines)


def _wrong_key(location: tuple[int | str, ...]) -> str:
    """Which kinds of its section have the key, where any has it, else the nearest that is known."""
    kinds_of = defaultdict(set)
    for known, kind in _keys(Config):
        kinds_of[known].add(kind)
    key = _path(tuple(part for part in location if not isinstance(part, int)))
    if key in kinds_of:
        section, present = key.rpartition(".")[0], location[-2]
        others = " or ".join(f'"{other}"' for other in sorted(kinds_of[key]))
        return (
            f'goes with {section}.kind = {others}, not with "{present}"; leave it out, or set the '
            f'whole section, as {section}={{kind="{present}"}}'
        )
    near = difflib.get_close_matches(key, kinds_of, n=1)
    return "unknown key" + (f"; did you mean {near[0]}?" if near else "")


def _path(location: tuple[int | str, ...]) -> str:
    """A key as people write it: without the kind that pydantic puts behind a union's name."""
    parts = [
        str(part)
        for place, part in enumerate(location)
        if not place or part not in _KINDS.get(str(location[place - 1]), ())
    ]
    return ".".join(parts)


def _keys(model: type[BaseModel], prefix: str = "", kind: str = "") -> Iterator[tuple[str, str]]:
    """Every key that there is, and the kind of its section that has it, where there are kinds."""
    for name, field in model.model_fields.items():
        yield prefix + name, kind
        for section in _sections(field.annotation):
            named = section.model_fields.get("kind")
            yield from _keys(section, f"{prefix}{name}.", named.default if named else "")


def _sections(annotation: Any) -> list[type[BaseModel]]:  # noqa: ANN401 - whatever a type can be
    """The models that a field may hold: one, those of a union, or a tuple's."""
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return [annotation]
    return [section for part in get_args(annotation) for section in _sections(part)]


def as_plain_values(config: Config) -> Mapping[str, Any]:
    """The configuration as plain values that JSON can hold, complete enough to load again."""
    return config.model_dump(mode="json", exclude_none=True)
