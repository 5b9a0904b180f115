"""A named run configuration: a section a stage, checked as a whole."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any, Self

from pydantic import Field, model_validator

from deeprec.config.checks import ChecksConfig
from deeprec.config.evaluation import EvaluateConfig, ProtocolConfig, PublishedConfig
from deeprec.config.idle_keys import idle_keys_of
from deeprec.config.ingestion import IngestConfig
from deeprec.config.models import (
    AutoencoderConfig,
    BiasConfig,
    BlendConfig,
    ModelConfig,
    RecurrentConfig,
    require_kernels,
)
from deeprec.config.nights import NightlyConfig
from deeprec.config.scoring import ScoreConfig
from deeprec.config.section import Section
from deeprec.config.training import ExportConfig, TrainConfig
from deeprec.config.warehouse import WarehouseConfig
from deeprec.splits import RandomSplit, Split

_DECISIVE = {"split", "model", "biases", "train", "export", "refit"}


class Config(Section):
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
        require_kernels(self.model, self.train)
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
        idle = dict(idle_keys_of(self.model, self.train))
        members = self.model.members if isinstance(self.model, BlendConfig) else ()
        for place, member in enumerate(members):
            for key, why in idle_keys_of(member.model, member.train, is_member=True):
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


def as_plain_values(config: Config) -> Mapping[str, Any]:
    """The configuration as plain values that JSON can hold, complete enough to load again."""
    return config.model_dump(mode="json", exclude_none=True)
