"""Keys of a configuration that are set and do nothing."""

from collections.abc import Callable, Iterator, Mapping

from deeprec.config.models import AutoencoderConfig, BlendConfig, KernelRidgeConfig, ModelConfig
from deeprec.config.training import TrainConfig

_OF_ANY_MODEL = {"seed", "device"}  # keys of `train`
_OF_A_RUN = {"device", "processes", "watch_test"}  # those that a blend hands to its members

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
    "processes": (
        "for an rrn, and with lbfgs and rprop",
        lambda model, train: isinstance(model, AutoencoderConfig) and not train.takes_everything,
    ),
    "precision": ("for an rrn", lambda model, _: isinstance(model, AutoencoderConfig)),
}


def idle_keys_of(
    model: ModelConfig, train: TrainConfig, *, is_member: bool = False
) -> Iterator[tuple[str, str]]:
    """Keys that are set and do nothing for a model, and why; not those of a blend's members."""
    unset = TrainConfig()
    counts_always = _OF_ANY_MODEL | (_OF_A_RUN if isinstance(model, BlendConfig) else set())
    for key in TrainConfig.model_fields:
        if getattr(train, key) == getattr(unset, key):
            continue
        if is_member and key in _OF_A_RUN:
            yield f"train.{key}", "for a member: the blend's own counts"
        elif key in counts_always:
            continue
        elif isinstance(model, BlendConfig | KernelRidgeConfig):
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
