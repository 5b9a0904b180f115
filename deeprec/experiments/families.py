"""Systems that differ in one setting alone, and what a system is in words."""

import json
from collections import defaultdict
from collections.abc import Callable, Sequence
from typing import TypeVar

from deeprec.config.models import AutoencoderConfig, BlendConfig, KernelRidgeConfig
from deeprec.config.run import Config

_Value = TypeVar("_Value", int, float)


def widths(systems: Sequence[Config]) -> dict[str, int]:
    """Systems of one hidden layer that differ in its width alone, with their widths."""

    def width(model: AutoencoderConfig) -> int | None:
        return model.hidden_layers[0] if len(model.hidden_layers) == 1 else None

    return _largest_family(systems, "hidden_layers", width)


def dropout_rates(systems: Sequence[Config]) -> dict[str, float]:
    """Systems that differ in the encoder's dropout alone, with their rates."""
    return _largest_family(systems, "encoder_dropout", lambda model: model.encoder_dropout)


def describe(config: Config) -> str:
    """What a system is, in a few words."""
    model = config.model
    if isinstance(model, BlendConfig):
        return f"blend of {', '.join(member.name for member in model.members)}"
    if isinstance(model, KernelRidgeConfig):
        return f"kernel ridge of {model.orientation}"
    if isinstance(model, AutoencoderConfig):
        return _describe_autoencoder(config, model)
    return f"recurrent network, a step every {model.step_days} days"


def _describe_autoencoder(config: Config, model: AutoencoderConfig) -> str:
    train = config.train
    parts = [
        f"{'-'.join(map(str, model.hidden_layers))} {model.activation}",
        f"a vector a {'user' if model.orientation == 'users' else 'movie'}",
        "tied weights" if model.tied else "",
        f"encoder dropout {model.encoder_dropout:g}" if model.encoder_dropout else "",
        f"code dropout {model.code_dropout:g}" if model.code_dropout else "",
        f"SparseFC kernels of {model.kernel_size}" if model.kernel_size else "",
        "has-rated input" if model.has_rated else "",
        "bias-centred" if model.center == "biases" else "",
        f"re-fed {train.refeed_target}" if train.refeed_steps else "",
        "refitted on train and dev" if config.refit else "",
    ]
    return ", ".join(part for part in parts if part)


def _largest_family(
    systems: Sequence[Config], setting: str, value_of: Callable[[AutoencoderConfig], _Value | None]
) -> dict[str, _Value]:
    """By system, in order of the value; empty where no two are alike but for the setting."""
    families: dict[str, dict[str, _Value]] = defaultdict(dict)
    for config in systems:
        model = config.model
        if isinstance(model, AutoencoderConfig) and (value := value_of(model)) is not None:
            rest = config.model_dump(
                mode="json", exclude={"name": True, "published": True, "model": {setting}}
            )
            families[json.dumps(rest)][config.name] = value
    family = max(families.values(), key=len, default={})
    return dict(sorted(family.items(), key=lambda item: item[1])) if len(family) > 1 else {}
