"""Kinds of models, and what a kind may be told."""

from deeprec.config.loading import load_config
from deeprec.config.models import BlendConfig
from deeprec.config.run import Config, as_plain_values


def test_a_member_that_names_no_kind_is_an_autoencoder() -> None:
    config = load_config(
        None,
        [
            (
                'model={kind="blend", members=[{name="net", model={hidden_layers=[8]}}, '
                '{name="kernel", model={kind="kernel_ridge"}}, {name="plain"}]}'
            )
        ],
    )
    assert isinstance(config.model, BlendConfig)
    kinds = [member.model.kind for member in config.model.members]
    assert ["autoencoder", "kernel_ridge", "autoencoder"] == kinds
    assert config == Config.model_validate(as_plain_values(config))


def test_kernels_may_be_penalised_where_there_are_any() -> None:
    config = load_config(None, ["model.kernel_size=2", "train.loss=sum", "train.kernel_l2=0.1"])
    assert 0.1 == config.train.kernel_l2
