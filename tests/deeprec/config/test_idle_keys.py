"""Keys that are set and do nothing."""

from pathlib import Path

import pytest

from deeprec.config.loading import load_config
from deeprec.errors import ConfigError
from deeprec.shipped import config_root
from deeprec.splits import RandomSplit

FOLDER = config_root()
CONFIGS = [*FOLDER.glob("*.toml"), *FOLDER.glob("experiments/**/*.toml")]


@pytest.mark.parametrize(
    ("overrides", "idle"),
    [
        (["train.hidden_weight=2"], {"train.hidden_weight": "without a hide_fraction"}),
        (["train.hidden_weight=2", "train.hide_fraction=0.5"], {}),
        (
            ["train.visible_weight=2"],
            {"train.visible_weight": 'without a hide_fraction or loss = "sum"'},
        ),
        (["train.visible_weight=2", "train.loss=sum"], {}),
        (["train.visible_weight=2", "train.hide_fraction=0.5"], {}),
        (["train.refeed_target=labels"], {"train.refeed_target": "without refeed_steps"}),
        (["train.refeed_target=labels", "train.refeed_steps=1"], {}),
        (["train.momentum=0.5"], {}),
        (
            ["train.momentum=0.5", "train.optimizer=adam"],
            {"train.momentum": 'without optimizer = "sgd"'},
        ),
        (["train.lr_decay=0.1"], {"train.lr_decay": "without lr_milestones"}),
        (["train.lr_decay=0.1", "train.lr_milestones=[3]"], {}),
        (
            ["train.batch_size=8", "train.optimizer=lbfgs"],
            {"train.batch_size": "with lbfgs and rprop"},
        ),
        (
            ["model.kind=rrn", "train.optimizer=adam", "train.precision=bfloat16"],
            {"train.precision": "for an rrn"},
        ),
        (
            ["model.kind=kernel_ridge", "train.l2=1", "train.loss=sum"],
            {"train.loss": "for a kernel_ridge", "train.l2": "for a kernel_ridge"},
        ),
        (["model.kind=kernel_ridge", "model.solver_steps=3"], {}),
        (
            ["model={kind='kernel_ridge', orientation='users', solver_steps=3}"],
            {"model.solver_steps": 'without orientation = "movies"'},
        ),
        (
            ["model={kind='blend', members=[{name='a'}, {name='b', train={lr_decay=0.1}}]}"],
            {"model.members.1.train.lr_decay": "without lr_milestones"},
        ),
        (
            ["model={kind='blend', members=[{name='a', train={device='cuda'}}, {name='b'}]}"],
            {"model.members.0.train.device": "for a member: the blend's own counts"},
        ),
        (
            ["model={kind='blend', members=[{name='a'}, {name='b'}]}", "train.processes=2"],
            {},
        ),
        (
            ["model.kind=kernel_ridge", "train.processes=2", "train.device=cpu"],
            {"train.processes": "for a kernel_ridge"},
        ),
        (
            ["train.processes=2", "train.optimizer=lbfgs"],
            {"train.processes": "for an rrn, and with lbfgs and rprop"},
        ),
    ],
)
def test_what_does_nothing_is_known(overrides: list[str], idle: dict[str, str]) -> None:
    assert idle == load_config(None, overrides).idle_keys


@pytest.mark.parametrize("path", CONFIGS, ids=lambda path: path.stem)
def test_no_configuration_of_ours_says_what_does_nothing(path: Path) -> None:
    assert {} == load_config(path).idle_keys


def test_keys_of_the_kind_before_are_said_to_be_of_it() -> None:
    with pytest.raises(ConfigError) as error:
        load_config(FOLDER / "ml-100k.toml", ["split.kind=random"])
    said = (
        'split.train: goes with split.kind = "file", not with "random"; leave it out, or set the '
        'whole section, as split={kind="random"}'
    )
    assert said in str(error.value)
    assert 'split.test: goes with split.kind = "file" or "listed", not' in str(error.value)
    config = load_config(FOLDER / "ml-100k.toml", ['split={kind="random"}'])
    assert RandomSplit() == config.split
