"""What a run is told: one frozen model a stage, read from TOML, checked before anything runs."""

import difflib
import tomllib
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, PositiveInt, ValidationError, model_validator

from deeprec.errors import ConfigError
from deeprec.ratings import RatingScale
from deeprec.splits import RandomSplit, Split

Activation = Literal[
    "selu", "elu", "relu", "relu6", "leaky_relu", "sigmoid", "tanh", "swish", "identity"
]
Device = Literal["auto", "cpu", "cuda"]
Format = Literal[
    "auto", "netflix-folder", "netflix-combined", "ml-100k", "ml-1m", "ml-csv", "table"
]


class _Section(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


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
        64 * 2**20, ge=2**10, description="text parsed at once, in bytes; bounds memory"
    )


class ModelConfig(_Section):
    """The autoencoder. The defaults are the poster's."""

    hidden_layers: tuple[PositiveInt, ...] = Field(
        (128, 256, 256), min_length=1, description="encoder widths; the decoder mirrors them"
    )
    activation: Activation = "selu"
    output_activation: Activation = Field("selu", description="of the last decoder layer")
    tied: bool = Field(False, description="decoder weights are the encoder's, transposed")
    encoder_dropout: float = Field(0.0, ge=0, lt=1, description="after each encoder layer")
    code_dropout: float = Field(0.0, ge=0, lt=1, description="after the last encoder layer only")
    center: Literal["none", "biases"] = Field(
        "none", description="biases: the network sees and predicts what damped biases leave"
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


class BiasConfig(_Section):
    """Damped biases: the floor beside every model, and the answer where a model has none."""

    user_damping: float = Field(5.0, ge=0, description="in ratings")
    movie_damping: float = Field(5.0, ge=0, description="in ratings")


class TrainConfig(_Section):
    """How the autoencoder is fitted. The defaults are the poster's."""

    num_epochs: int = Field(50, ge=1)
    batch_size: int = Field(32, ge=1, description="users a step")
    optimizer: Literal["sgd", "adam"] = "sgd"
    learning_rate: float = Field(0.005, gt=0)
    momentum: float = Field(0.9, ge=0, lt=1, description="of sgd")
    weight_decay: float = Field(0.0, ge=0)
    lr_milestones: tuple[int, ...] = Field((), description="epochs after which the rate falls")
    lr_decay: float = Field(0.5, gt=0, le=1, description="factor at each milestone")
    refeed_steps: int = Field(0, ge=0, description="dense re-feeding passes after each step")
    refeed_target: Literal["output", "labels"] = Field(
        "output", description="output: f(x), as published; labels: the ratings themselves"
    )
    patience: int = Field(5, ge=1, description="epochs without a better dev RMSE before stopping")
    seed: int = Field(0, ge=0)
    device: Device = "auto"


class ExportConfig(_Section):
    """From torch to ONNX."""

    opset: int = Field(20, ge=18, le=23)
    tolerance: float = Field(
        1e-4, gt=0, description="largest difference to torch allowed, in rating units"
    )


class ScoreConfig(_Section):
    """From a bundle to the published tables."""

    top_n: int = Field(10, ge=1, le=1000, description="recommendations a user")
    batch_size: int = Field(256, ge=1, description="users in one pass through the graph")
    shard_cells: int = Field(
        2**23, ge=1, description="predictions held in memory at once by one worker"
    )
    num_workers: int = Field(2, ge=1, description="shards scored at the same time")
    device: Device = "auto"
    storage_version: str = Field(
        "v1.2.0",
        pattern=r"^(latest|v\d+\.\d+\.\d+)$",
        description="oldest DuckDB that can open the published file",
    )
    bundle: Path | None = Field(None, description="a bundle folder; default: the newest trained")


class EvaluateConfig(_Section):
    """Which held-out ratings a bundle is measured on."""

    part: Literal["dev", "test"] = "test"
    bundle: Path | None = Field(None, description="a bundle folder; default: the newest trained")
    batch_size: int = Field(256, ge=1, description="users in one pass through the graph")
    device: Device = "auto"


class WarehouseConfig(_Section):
    """How DuckDB may use the machine."""

    threads: int | None = Field(None, ge=1, description="default: all cores")
    memory_limit: str | None = Field(
        None,
        pattern=r"^\d+(\.\d+)? ?([KMGT]i?B|%)$",
        description="such as 4GB; default: DuckDB's own",
    )
    lock_timeout_s: float = Field(600.0, ge=0, description="wait for another writer, in seconds")


class Config(_Section):
    """A named run configuration: everything the pipeline is told."""

    name: str = Field("poster", pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]*$")
    ingest: IngestConfig = IngestConfig()
    split: Split = RandomSplit()
    model: ModelConfig = ModelConfig()
    biases: BiasConfig = BiasConfig()
    train: TrainConfig = TrainConfig()
    export: ExportConfig = ExportConfig()
    score: ScoreConfig = ScoreConfig()
    evaluate: EvaluateConfig = EvaluateConfig()
    warehouse: WarehouseConfig = WarehouseConfig()


def with_bundle(config: Config, bundle: Path) -> Config:
    """The same configuration, to evaluate and score one certain bundle."""
    evaluate = config.evaluate.model_copy(update={"bundle": bundle})
    score = config.score.model_copy(update={"bundle": bundle})
    return config.model_copy(update={"evaluate": evaluate, "score": score})


def load_config(path: Path | None = None, overrides: Sequence[str] = ()) -> Config:
    """The configuration in a TOML file (defaults without one) with dotted overrides applied.

    Args:
        path: a TOML file whose tables are the sections of `Config`.
        overrides: `section.key=value`; the value is read as TOML, else taken as text.

    Raises:
        ConfigError: an unreadable file, an unknown key, or a value out of range, named.
    """
    values = _read_toml(path) if path else {}
    for override in overrides:
        _apply(values, override)
    if isinstance(values.get("split"), dict):
        values["split"].setdefault("kind", "random")  # a part of the default, like any other key
    try:
        return Config.model_validate(values)
    except ValidationError as error:
        raise ConfigError(_explain(error, str(path) if path else "configuration")) from error


def _read_toml(path: Path) -> dict[str, Any]:
    try:
        return tomllib.loads(path.read_text(encoding="utf-8"))
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


def _explain(error: ValidationError, where: str) -> str:
    """One line a problem, each naming its key, with the nearest known key for a wrong one."""
    known = list(_keys(Config))
    lines = []
    for problem in error.errors():
        key = ".".join(str(part) for part in problem["loc"])
        if problem["type"] == "extra_forbidden":
            near = difflib.get_close_matches(key, known, n=1)
            hint = f"; did you mean {near[0]}?" if near else ""
            lines.append(f"{where}: {key}: unknown key{hint}")
        else:
            lines.append(f"{where}: {key}: {problem['msg']} (got {problem['input']!r})")
    return "\n".join(lines)


def _keys(model: type[BaseModel], prefix: str = "") -> Iterator[str]:
    for name, field in model.model_fields.items():
        yield prefix + name
        if isinstance(field.annotation, type) and issubclass(field.annotation, BaseModel):
            yield from _keys(field.annotation, f"{prefix}{name}.")


def as_plain_values(config: Config) -> Mapping[str, Any]:
    """The configuration as plain values that JSON can hold, complete enough to load again."""
    return config.model_dump(mode="json", exclude_none=True)
