from pathlib import Path

import pytest

from deeprec.config.loading import load_config
from deeprec.config.models import AutoencoderConfig
from deeprec.config.run import Config, as_plain_values
from deeprec.errors import ConfigError
from deeprec.shipped import config_root
from deeprec.splits import LastKSplit

FOLDER = config_root()
PROTOCOLS = sorted((FOLDER / "protocols").glob("*.toml"))
CONFIGS = sorted(set(FOLDER.rglob("*.toml")) - set(PROTOCOLS))


def test_the_defaults_are_the_posters() -> None:
    config = load_config()
    assert isinstance(config.model, AutoencoderConfig)
    assert (128, 256, 256) == config.model.hidden_layers
    assert ("selu", "sgd") == (config.model.activation, config.train.optimizer)
    assert (0.9, 0.005, 32) == (
        config.train.momentum,
        config.train.learning_rate,
        config.train.batch_size,
    )


def test_overrides_are_read_as_toml_and_win_over_the_file(tmp_path: Path) -> None:
    file = tmp_path / "run.toml"
    file.write_text('name = "mine"\n[train]\nnum_epochs = 7\nseed = 3\n')
    config = load_config(
        file, ["train.num_epochs=3", "model.hidden_layers=[8, 4]", "train.device=cpu"]
    )
    assert isinstance(config.model, AutoencoderConfig)
    assert ("mine", 3, 3, (8, 4), "cpu") == (
        config.name,
        config.train.num_epochs,
        config.train.seed,
        config.model.hidden_layers,
        config.train.device,
    )


@pytest.mark.parametrize(
    ("override", "message"),
    [
        ("train.num_epoch=3", "train.num_epoch: unknown key; did you mean train.num_epochs?"),
        ("train.num_epochs=0", "train.num_epochs: Input should be greater than or equal to 1"),
        ("train.optimizer=adagrad", "train.optimizer: Input should be 'sgd', 'adam'"),
        (f"train.seed={2**63}", f"train.seed: Input should be less than {2**63} (got {2**63})"),
        (f"split.seed={2**63}", "split.seed: Input should be less than"),
        (f"evaluate.seed={2**63}", "evaluate.seed: Input should be less than"),
        (
            f'model={{kind="blend", members=[{{name="a"}}, {{name="b", train={{seed={2**63}}}}}]}}',
            "model.members.1.train.seed: Input should be less than",
        ),
        ("trains.seed=1", "trains: unknown key; did you mean train?"),
        ("train", "expected section.key=value"),
        ("ingest.scale={minimum=5, maximum=1}", "minimum must be less than maximum"),
        ("ingest.scale={minimum=nan, maximum=1}", "ingest.scale.minimum"),
        ("ingest.scale={minimum=0, maximum=1e39}", "ingest.scale.maximum"),
        ("model.hidden_layers=[-5]", "model.hidden_layers"),
        ("model.hidden_layers=[0]", "model.hidden_layers"),
        ("export.opset=99", "export.opset"),
        ("score.top_n=1000000000", "score.top_n"),
        ("score.storage_version=soon", "score.storage_version"),
        ("warehouse.memory_limit=plenty", "warehouse.memory_limit"),
        ("name.first=x", "name: Input should be a valid string"),
        ('split.kind="weekly"', "split"),
        ("split.test_fraction=0.99", "leave nothing to train on"),
        ("model.hidden_layer=[8]", "model.hidden_layer: unknown key; did you mean model.hidden_l"),
        ('model={kind="forest"}', "model: Input tag 'forest'"),
        (
            'model={kind="kernel_ridge", hidden_layers=[8]}',
            'model.hidden_layers: goes with model.kind = "autoencoder", not with "kernel_ridge"',
        ),
        ("model.ridge=2", 'model.ridge: goes with model.kind = "blend" or "kernel_ridge", not'),
        (
            'model={kind="blend", members=[{name="a", model={ridge=2}}, {name="b"}]}',
            'model.members.0.model.ridge: goes with model.members.model.kind = "kernel_ridge"',
        ),
        ('model={kind="kernel_ridge", ridge=0}', "model.ridge: Input should be greater than 0"),
        ('model={kind="kernel_ridge", solver_steps=0}', "model.solver_steps"),
        ('model={kind="kernel_ridge", count_power=2}', "model.count_power"),
        ("model={tied=true, kernel_size=5}", "tied weights need a mirrored decoder and no kernel"),
        ("model={tied=true, decoder_layers=[]}", "tied weights need a mirrored decoder"),
        ("model.orientation=movies", 'needs output_activation = "identity"'),
        ("model.decoder_layers=[0]", "model.decoder_layers"),
        ("model.kernel_size=-1", "model.kernel_size"),
        ("train.l2=0.1", 'l2 and kernel_l2 belong to loss = "sum"'),
        ("train.kernel_l2=0.1", 'l2 and kernel_l2 belong to loss = "sum"'),
        ('train={loss="sum", kernel_l2=0.1}', "train.kernel_l2 needs a model with a kernel_size"),
        ('train={refeed_steps=1, optimizer="lbfgs"}', "refeed_steps go with sgd, adam or adamw"),
        ('train={refeed_steps=1, optimizer="rprop"}', "refeed_steps go with sgd, adam or adamw"),
        ("train={refeed_steps=1, hide_fraction=0.5}", "refeed_steps go with sgd, adam or adamw"),
        ('train={refeed_steps=1, loss="sum"}', 'refeed_steps go with loss = "mean" only'),
        ('train={weight_decay=1, optimizer="lbfgs"}', "lbfgs has no weight_decay"),
        ('train={weight_decay=1, optimizer="rprop"}', "rprop has no weight_decay"),
        ('train={precision="bfloat16", optimizer="rprop"}', "rprop needs what bfloat16 rounds off"),
        ('train={lr_milestones=[3], optimizer="rprop"}', "rprop finds its own rates"),
        (
            "train={hide_fraction=0.5, hidden_weight=0, visible_weight=0}",
            "leave nothing to learn from",
        ),
        ("train.visible_weight=0", "visible_weight = 0 needs a hide_fraction"),
        ("train.hide_fraction=1", "train.hide_fraction"),
        ("train.average_decay=1", "train.average_decay"),
        ("train.passes_per_epoch=0", "train.passes_per_epoch"),
        ("train.checkpoint_every_s=-1", "train.checkpoint_every_s"),
        ("refit=perhaps", "refit: Input should be a valid boolean"),
        ('model={kind="blend", members=[]}', "model.members"),
        ('model={kind="blend", members=[{name="one"}]}', "model.members"),
        (
            'model={kind="blend", members=[{name="one"}, {name="one"}]}',
            "members need names of their own, got ['one', 'one']",
        ),
        (
            'model={kind="blend", members=[{name="../up"}, {name="one"}]}',
            "model.members.0.name",
        ),
        (
            'model={kind="blend", members=[{name="one"}, {name="movies.parquet"}]}',
            "model.members.1.name",
        ),
        (
            'model={kind="blend", ridge=-1, members=[{name="one"}, {name="two"}]}',
            "model.ridge: Input should be greater than or equal to 0",
        ),
        (
            'model={kind="blend", members=[{name="a"}, {name="b", model={hidden_layers=[0]}}]}',
            "model.members.1.model.hidden_layers.0: Input",
        ),
        (
            'model={kind="blend", members=[{name="a"}, {name="b", train={num_epoch=3}}]}',
            (
                "model.members.1.train.num_epoch: unknown key; did you mean "
                "model.members.train.num_epochs?"
            ),
        ),
        (
            'model={kind="blend", members=[{name="a"}, {name="b", model={kind="blend"}}]}',
            "model.members.1.model: Input tag 'blend'",
        ),
        (
            (
                'model={kind="blend", members=[{name="a"}, '
                '{name="b", train={loss="sum", kernel_l2=1}}]}'
            ),
            "model.members.1: train.kernel_l2 needs a model with a kernel_size",
        ),
        ("published=[{rmse=0.9}]", "published.0.data"),
    ],
)
def test_a_wrong_key_or_value_is_named(override: str, message: str) -> None:
    with pytest.raises(ConfigError) as error:
        load_config(None, [override])
    assert message in str(error.value)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"train = [", "not valid TOML"),
        (b"\xff\xfe", "cannot be read as text"),
    ],
)
def test_a_file_that_is_no_toml_is_named(tmp_path: Path, content: bytes, message: str) -> None:
    file = tmp_path / "run.toml"
    file.write_bytes(content)
    with pytest.raises(ConfigError, match=message):
        load_config(file)


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="no such configuration file"):
        load_config(tmp_path / "absent.toml")


@pytest.mark.parametrize("file", CONFIGS, ids=lambda file: file.stem)
def test_every_named_configuration_is_valid_and_survives_a_round_trip(file: Path) -> None:
    config = load_config(file)
    assert file.stem == config.name
    assert config == Config.model_validate(as_plain_values(config))


def test_the_posters_configuration_is_the_default() -> None:
    assert Config() == load_config(next(file for file in CONFIGS if file.stem == "poster"))


@pytest.fixture
def run_and_protocol(tmp_path: Path) -> tuple[Path, Path]:
    run, protocol = tmp_path / "run.toml", tmp_path / "protocol.toml"
    run.write_text(
        "[train]\nnum_epochs = 7\n[split]\ntest_fraction = 0.3\n"
        '[protocol]\nname = "old"\ntrain = { ratings = 5 }\n'
    )
    protocol.write_text('[split]\nkind = "last_k"\ntest_k = 2\n')
    return run, protocol


def test_a_protocol_replaces_sections_and_overrides_win(
    run_and_protocol: tuple[Path, Path],
) -> None:
    run, protocol = run_and_protocol
    config = load_config(run, ["split.dev_k=4"], protocol)
    assert (LastKSplit(test_k=2, dev_k=4), None, 7) == (
        config.split,
        config.protocol,
        config.train.num_epochs,
    )
    assert LastKSplit(test_k=2) == load_config(protocol=protocol).split


@pytest.mark.parametrize(
    "content", ['[protocol]\nname = "x"\n', "[split]\n[train]\nseed = 1\n", ""]
)
def test_a_protocol_decides_the_split_and_nothing_else(tmp_path: Path, content: str) -> None:
    protocol = tmp_path / "protocol.toml"
    protocol.write_text(content)
    with pytest.raises(ConfigError, match="expected the sections split and protocol alone, found"):
        load_config(None, [], protocol)


def test_a_wrong_protocol_is_named(run_and_protocol: tuple[Path, Path]) -> None:
    run, protocol = run_and_protocol
    with pytest.raises(ConfigError, match="no such configuration file"):
        load_config(run, protocol=protocol.with_name("absent.toml"))
    protocol.write_text('[split]\n[protocol]\nname = "x"\ntrain = { rating = 1 }\n')
    with pytest.raises(ConfigError, match=r"protocol\.toml: protocol\.train\.rating: unknown key"):
        load_config(run, protocol=protocol)


@pytest.mark.parametrize("file", PROTOCOLS, ids=lambda file: file.stem)
def test_every_protocol_is_valid_with_every_configuration(file: Path) -> None:
    for run in CONFIGS:
        config = load_config(run, protocol=file)
        assert config.protocol
        assert (run.stem, file.stem) == (config.name, config.protocol.name)
        assert config == Config.model_validate(as_plain_values(config))


def test_no_kind_stands_in_the_path_of_a_wrong_key() -> None:
    for override in ("model.hidden_layers=[0]", "split.dev_fraction=2"):
        with pytest.raises(ConfigError) as error:
            load_config(None, [override])
        assert f"configuration: {override.partition('=')[0]}" in str(error.value)
