from pathlib import Path

import pytest
from pydantic import TypeAdapter

from deeprec.config import AutoencoderConfig, Config, as_plain_values, load_config
from deeprec.errors import ConfigError
from deeprec.splits import LastKSplit, ListedSplit, RandomSplit, Split, TimeSplit

FOLDER = Path(__file__).parents[2] / "deployments" / "config"
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
        ("trains.seed=1", "trains: unknown key; did you mean train?"),
        ("train", "expected section.key=value"),
        ("ingest.scale={minimum=5, maximum=1}", "minimum must be less than maximum"),
        ("ingest.scale={minimum=nan, maximum=1}", "ingest.scale.minimum"),
        ("model.hidden_layers=[-5]", "model.hidden_layers"),
        ("model.hidden_layers=[0]", "model.hidden_layers"),
        ("export.opset=99", "export.opset"),
        ("score.top_n=1000000000", "score.top_n"),
        ("score.storage_version=soon", "score.storage_version"),
        ("warehouse.memory_limit=plenty", "warehouse.memory_limit"),
        ("name.first=x", "name: Input should be a valid string"),
        ('split.kind="weekly"', "split"),
        ("split.test_fraction=0.99", "leave nothing to train on"),
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


def test_a_split_is_the_same_value_only_with_the_same_definition() -> None:
    splits: list[Split] = [
        RandomSplit(),
        RandomSplit(seed=1),
        LastKSplit(),
        TypeAdapter[Split](Split).validate_python({"kind": "time", "train_through": "2005-11-30"}),
    ]
    assert len(splits) == len({split.split_id for split in splits})
    assert RandomSplit().split_id == RandomSplit(seed=0).split_id


def test_days_out_of_order_are_refused() -> None:
    with pytest.raises(ConfigError, match="days must run"):
        load_config(
            None, ['split={kind="time", train_through="2005-11-30", dev_through="2005-01-01"}']
        )
    assert TimeSplit.model_fields["drop_unseen"].default is True


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


def test_a_listed_split_is_what_its_lists_say_wherever_they_lie() -> None:
    split = ListedSplit(dev=Path("a"), dev_sha256="0" * 64)
    assert split.split_id == ListedSplit(dev=Path("b"), dev_sha256="0" * 64).split_id
    others = [
        ListedSplit(dev=Path("a"), dev_sha256="1" * 64),
        ListedSplit(dev=Path("a"), dev_sha256="0" * 64, drop_unseen=True),
        ListedSplit(dev=Path("a"), dev_sha256="0" * 64, test=Path("b"), test_sha256="1" * 64),
    ]
    assert 4 == len({other.split_id for other in [split, *others]})
