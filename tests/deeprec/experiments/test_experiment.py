"""Experiments of tiny systems: what has ended is kept, what cannot be is said, nothing is twice."""

import shutil
from pathlib import Path

import pytest
from pydantic import ValidationError

from deeprec.config.run import Config
from deeprec.errors import ConfigError, WarehouseError
from deeprec.experiments.cells import experiments_home, read_cells
from deeprec.experiments.experiment import ExperimentReport, run_experiment
from deeprec.experiments.sets import ExperimentConfig, load_systems, name_data, with_seed
from deeprec.home import Home
from deeprec.models.registry import read_epochs
from deeprec.shipped import config_root
from deeprec.splits import NUM_SEEDS, FileSplit, LastKSplit, RandomSplit, TimeSplit
from deeprec.warehouse.opening import open_warehouse

POSTER = config_root() / "experiments" / "poster"
SYSTEM = """
name = "{name}"
[model]
hidden_layers = [{width}]
[train]
num_epochs = {num_epochs}
learning_rate = {learning_rate}
device = "cpu"
[warehouse]
threads = 1
[[published]]
rmse = 0.9
data = "<b>Elsewhere</b>"
protocol = "quarter"
source = "nobody"
"""


@pytest.fixture
def tiny_set(tmp_path: Path) -> Path:
    folder = tmp_path / "tiny-set"
    folder.mkdir()
    write_system(folder, "narrow", width=3)
    write_system(folder, "wide", width=6)
    (tmp_path / "quarter.toml").write_text(
        '[split]\nkind = "random"\ntest_fraction = 0.25\ndev_fraction = 0.1\n'
    )
    return folder


def write_system(
    folder: Path, name: str, width: int, num_epochs: int = 2, learning_rate: float = 0.005
) -> None:
    text = SYSTEM.format(name=name, width=width, num_epochs=num_epochs, learning_rate=learning_rate)
    (folder / f"{name}.toml").write_text(text)


def told(
    folder: Path,
    sources: list[str],
    only: tuple[str, ...] = (),
    overrides: tuple[str, ...] = (),
    *,
    seeds: tuple[int, ...] = (0,),
) -> ExperimentConfig:
    return ExperimentConfig(
        experiment=str(folder),
        sources=tuple(sources),
        protocol=str(folder.parent / "quarter.toml"),
        seeds=seeds,
        only=only,
        overrides=overrides,
    )


def bundles(home: Home) -> set[str]:
    return {path.name for path in experiments_home(home).models.iterdir()}


def test_every_cell_is_run_once_and_never_again(
    home: Home, tiny_set: Path, tiny_sources: list[str]
) -> None:
    seeds = (0, NUM_SEEDS - 1)
    everything = told(tiny_set, tiny_sources, seeds=seeds)
    first = run_experiment(home, everything)
    assert (4, 0, ()) == (first.num_run, first.num_failed, first.skipped)
    assert [("narrow", seeds), ("wide", seeds)] == [(s.system, s.seeds) for s in first.systems]
    assert all(system.oracle is None for system in first.systems)
    before = bundles(home)
    second = run_experiment(home, everything)
    assert (0, 4) == (second.num_run, len(second.skipped))
    assert before == bundles(home)
    assert 4 == len(before)
    assert first.systems == second.systems
    assert first == ExperimentReport.model_validate_json(first.model_dump_json())
    assert not home.warehouse.exists()
    assert not home.models.exists()


def test_a_run_that_was_stopped_goes_on_with_the_cells_that_are_missing(
    home: Home, tiny_set: Path, tiny_sources: list[str]
) -> None:
    class Killed(BaseException):
        pass

    def stop_at_the_second(
        what: str, done: int, total: int | None, unit: str, note: str = ""
    ) -> None:
        del total, unit, note
        if (what, done) == ("experiment", 1):
            raise Killed

    with pytest.raises(Killed):
        run_experiment(home, told(tiny_set, tiny_sources), stop_at_the_second)
    assert 1 == len(bundles(home))
    after = run_experiment(home, told(tiny_set, tiny_sources))
    assert (1, 1) == (after.num_run, len(after.skipped))


def test_of_two_runs_at_once_the_first_to_end_a_cell_enters_it(
    home: Home, tiny_set: Path, tiny_sources: list[str]
) -> None:
    everything = told(tiny_set, tiny_sources, only=("narrow",))
    first: list[ExperimentReport] = []

    def run_another(what: str, done: int, total: int | None, unit: str, note: str = "") -> None:
        del done, total, unit, note
        if what == "evaluate" and not first:
            first.append(run_experiment(home, everything))

    second = run_experiment(home, everything, run_another)
    assert first[0].systems == second.systems
    with open_warehouse(experiments_home(home)) as warehouse:
        (cell,) = read_cells(warehouse, "tiny-set")
    assert (cell.seconds, {str(cell.bundle_id)}) == (first[0].systems[0].seconds, bundles(home))


def test_a_protocol_of_the_same_split_has_cells_of_its_own_without_training_again(
    home: Home, tiny_set: Path, tiny_sources: list[str]
) -> None:
    quarter = told(tiny_set, tiny_sources, only=("narrow",))
    first = run_experiment(home, quarter)
    before = bundles(home)
    fourth = shutil.copyfile(tiny_set.parent / "quarter.toml", tiny_set.parent / "fourth.toml")
    second = run_experiment(home, quarter.model_copy(update={"protocol": str(fourth)}))
    assert ("fourth", 1, ()) == (second.protocol, second.num_run, second.skipped)
    assert first.systems[0].test == second.systems[0].test
    assert before == bundles(home)


def test_a_system_that_diverges_is_entered_with_its_error_and_the_others_go_on(
    home: Home, tiny_set: Path, tiny_sources: list[str]
) -> None:
    write_system(tiny_set, "explosive", width=3, learning_rate=1e20)
    report = run_experiment(home, told(tiny_set, tiny_sources, only=("explosive", "narrow")))
    assert (2, 1) == (report.num_run, report.num_failed)
    explosive, narrow, wide = report.systems
    assert ("failed", "not run") == (explosive.verdict, wide.verdict)
    assert "diverged" in explosive.failures[0]
    assert narrow.test is not None
    again = run_experiment(home, told(tiny_set, tiny_sources, only=("explosive",)))
    assert ("explosive, seed 0: failed before", 0) == (again.skipped[0], again.num_run)


def test_a_system_that_needs_dev_ratings_says_so_where_there_are_none(
    home: Home, tiny_set: Path, tiny_sources: list[str]
) -> None:
    (tiny_set.parent / "quarter.toml").write_text(
        '[split]\nkind = "random"\ntest_fraction = 0.25\ndev_fraction = 0.0\n'
    )
    report = run_experiment(
        home, told(tiny_set, tiny_sources, only=("narrow",), overrides=("refit=true",))
    )
    assert "holds back no dev rating" in report.systems[0].failures[0]


def test_a_blend_that_too_few_dev_ratings_weigh_is_entered_with_its_error(
    home: Home, tiny_set: Path, tmp_path: Path
) -> None:
    kernel = 'model = {kind = "kernel_ridge", orientation = "users"}'
    members = (
        f'[[model.members]]\nname = "one"\n{kernel}\n[[model.members]]\nname = "two"\n{kernel}\n'
    )
    (tiny_set / "blended.toml").write_text(f'name = "blended"\n[model]\nkind = "blend"\n{members}')
    (tiny_set.parent / "quarter.toml").write_text('[split]\nkind = "last_k"\n')
    ratings = tmp_path / "ratings.csv"
    rows = [f"1,{movie},{1 + movie % 5},2001-01-0{movie}" for movie in range(1, 9)]
    rows += [f"2,{movie},{1 + movie % 3},2001-01-0{9 - movie}" for movie in range(1, 9)]
    ratings.write_text("\n".join(["user_id,movie_id,rating,date", *rows]) + "\n")
    report = run_experiment(home, told(tiny_set, [str(ratings)], only=("blended", "narrow")))
    blended, narrow, _ = report.systems
    assert ((2, 1), "failed") == ((report.num_run, report.num_failed), blended.verdict)
    assert "cannot weigh 2 predictors" in blended.failures[0]
    assert narrow.test is not None


def test_the_best_epoch_on_test_is_there_when_it_is_asked_for(
    home: Home, tiny_set: Path, tiny_sources: list[str]
) -> None:
    watching = ("train.watch_test=true",)
    report = run_experiment(home, told(tiny_set, tiny_sources, ("narrow",), watching))
    assert report.systems[0].oracle is not None
    with open_warehouse(experiments_home(home)) as warehouse:
        (cell,) = read_cells(warehouse, "tiny-set")
        epochs = read_epochs(warehouse, str(cell.bundle_id))
    assert cell.oracle_test_rmse == min(epoch.test_rmse or 0.0 for epoch in epochs)


def test_only_seeds_of_the_newest_configuration_are_averaged(
    home: Home, tiny_set: Path, tiny_sources: list[str]
) -> None:
    run_experiment(home, told(tiny_set, tiny_sources, only=("narrow",)))
    run_experiment(home, told(tiny_set, tiny_sources, ("narrow",), ("train.num_epochs=1",)))
    with open_warehouse(experiments_home(home)) as warehouse:
        cells = read_cells(warehouse, "tiny-set")
    assert [(0, 1)] == [(cell.seed, cell.num_epochs) for cell in cells]


def test_a_configuration_that_ended_before_is_shown_when_it_is_asked_for_again(
    home: Home, tiny_set: Path, tiny_sources: list[str]
) -> None:
    shown = []
    for num_epochs in (1, 3, 1):
        overrides = (f"train.num_epochs={num_epochs}", "train.patience=9")
        report = run_experiment(home, told(tiny_set, tiny_sources, ("narrow",), overrides))
        with open_warehouse(experiments_home(home)) as warehouse:
            (cell,) = read_cells(warehouse, "tiny-set")
        shown.append((cell.num_epochs, report.systems[0].test))
    one, three, one_again = shown
    assert (1, 3) == (one[0], three[0])
    assert one == one_again


def test_other_data_is_refused(
    home: Home, tiny_set: Path, tiny_sources: list[str], tmp_path: Path
) -> None:
    run_experiment(home, told(tiny_set, tiny_sources, only=("narrow",)))
    other = tmp_path / "other.csv"
    other.write_text("user_id,movie_id,rating\n1,1,3\n2,1,4\n")
    with pytest.raises(WarehouseError, match="--home of its own"):
        run_experiment(home, told(tiny_set, [str(other)], only=("narrow",)))


@pytest.mark.parametrize(
    ("changed", "message"),
    [
        ({"only": ("deepest",)}, "no system deepest; it has narrow, wide"),
        ({"experiment": "no-such-set"}, "no such experiment set.*poster"),
        ({"protocol": "no-such-protocol"}, "no such protocol"),
    ],
)
def test_a_wrong_name_is_told_with_the_right_ones(
    home: Home,
    tiny_set: Path,
    tiny_sources: list[str],
    changed: dict[str, object],
    message: str,
) -> None:
    wrong = told(tiny_set, tiny_sources).model_copy(update=changed)
    with pytest.raises(ConfigError, match=message):
        run_experiment(home, wrong)


def test_a_seed_that_no_table_could_hold_is_refused() -> None:
    with pytest.raises(ValidationError, match=r"seeds\.1"):
        ExperimentConfig(experiment="any", sources=("a",), protocol="b", seeds=(0, NUM_SEEDS))


def test_a_seed_is_the_splits_too_where_that_draws() -> None:
    day = "2005-11-30"
    drawn = TimeSplit.model_validate({"train_through": day})
    dated = TimeSplit.model_validate({"train_through": day, "dev_through": "2005-12-15"})
    drawing = [RandomSplit(), LastKSplit(), drawn, FileSplit(train="a", test="b")]
    fixed = [dated, FileSplit(train="a", test="b", dev_fraction=0)]
    seeds = [with_seed(Config(split=split), 5).split.seed for split in (*drawing, *fixed)]
    assert [5, 5, 5, 5, 0, 0] == seeds
    assert 5 == with_seed(Config(), 5).train.seed


def test_a_data_set_is_known_by_its_counts() -> None:
    assert "ML-1M" == name_data(1_000_209, 6_040)
    assert "7 ratings of 3 users" == name_data(7, 3)


def test_every_system_of_the_poster_is_there_with_what_was_published() -> None:
    systems = {config.name: config for config in load_systems("poster")}
    assert {file.stem for file in POSTER.glob("*.toml")} == set(systems)
    of_others = {"shallow-256", "shallow-512", "deep-refeed-labels", "deeprecommender-labels"}
    of_others |= {f"deep-dropout-{rate}" for rate in (0.4, 0.6, 0.8)}
    assert of_others == {name for name, config in systems.items() if not config.published}
    (of_three,) = systems["shallow-128"].published
    assert (1.084, "the best of three widths") == (of_three.rmse, of_three.note)
    figures = {
        name: min(f.rmse for f in systems[name].published) for name in systems.keys() - of_others
    }
    expected = {
        "deep": 0.951,
        "deep-tied": 0.984,
        "deep-dropout-0.2": 0.939,
        "deeprecommender": 0.910,
        "i-autorec": 0.831,
        "u-autorec": 0.874,
    }
    assert expected == {name: figures[name] for name in expected}
