"""The page of an experiment: whole, escaped, offline, the same bytes each time."""

import re
import shutil
from pathlib import Path

import pytest

from deeprec.errors import WarehouseError
from deeprec.experiments.cells import experiments_home
from deeprec.experiments.experiment import run_experiment
from deeprec.experiments.sets import ExperimentConfig
from deeprec.home import Home
from deeprec.pages.experiment import write_report
from deeprec.warehouse.opening import open_warehouse

SYSTEM = """
name = "{name}"
[model]
hidden_layers = [{width}]
encoder_dropout = {dropout}
[train]
num_epochs = 2
learning_rate = {learning_rate}
device = "cpu"
[warehouse]
threads = 1
[[published]]
rmse = 0.876
part = "{part}"
data = "Elsewhere & Co"
protocol = "theirs"
source = "<script>alert(1)</script>"
note = "best of <i>two</i>"
"""


def write_system(folder: Path, name: str, width: int = 3, **settings: object) -> None:
    values = {"dropout": 0.0, "learning_rate": 0.005, "part": "test", **settings}
    (folder / f"{name}.toml").write_text(SYSTEM.format(name=name, width=width, **values))


@pytest.fixture(scope="module")
def tiny_set(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("experiments") / "tiny-set"
    folder.mkdir()
    write_system(folder, "narrow")
    write_system(folder, "wide", width=6)
    write_system(folder, "dropping", dropout=0.5, part="dev")
    write_system(folder, "explosive", width=4, learning_rate=1e20)
    write_system(folder, "unrun", width=5)
    unpublished, _, _ = (folder / "unrun.toml").read_text().partition("[[published]]")
    (folder / "unrun.toml").write_text(unpublished)
    return folder


@pytest.fixture(scope="module")
def run_home(
    tmp_path_factory: pytest.TempPathFactory, tiny_set: Path, tiny_sources: list[str]
) -> Home:
    home = Home(tmp_path_factory.mktemp("reported"))
    protocol = tiny_set.parent / "ours.toml"
    protocol.write_text('[split]\nkind = "random"\ntest_fraction = 0.25\ndev_fraction = 0.1\n')
    for only, seeds in ((("narrow", "explosive"), (0, 1)), (("wide", "dropping"), (0,))):
        told = ExperimentConfig(
            experiment=str(tiny_set),
            sources=tuple(tiny_sources),
            protocol=str(protocol),
            seeds=seeds,
            only=only,
            overrides=("train.watch_test=true",),
        )
        run_experiment(home, told)
    return experiments_home(home)


@pytest.fixture(scope="module")
def page(run_home: Home, tiny_set: Path) -> str:
    return write_report(run_home, str(tiny_set)).page.read_text(encoding="utf-8")


def test_every_system_is_there_with_both_figures(page: str) -> None:
    for name in ("narrow", "wide", "dropping"):
        row = re.search(rf'<tr>\s*<td class="name"><b>{name}</b>.*?</tr>', page, re.DOTALL)
        assert row
        assert "0.876" in row[0]
        assert "best of &lt;i&gt;two&lt;/i&gt;" in row[0]
        assert 2 <= len(re.findall(r"\d\.\d{4}", row[0]))


def test_a_system_that_nothing_is_published_of_stands_in_both_tables(page: str) -> None:
    rows = re.findall(r'<tr>\s*<td class="name"><b>(\w+)</b>.*?</tr>', page, re.DOTALL)
    assert {"unrun": 2, "narrow": 1, "dropping": 1} == {
        name: rows.count(name) for name in ("unrun", "narrow", "dropping")
    }


def test_a_figure_of_another_protocol_is_marked_and_not_subtracted(page: str) -> None:
    assert page.count("other protocol") >= 3
    assert not re.search(r">[+-]\d\.\d{4}<", page)


def test_a_model_that_is_not_better_than_the_floor_is_told_in_words(page: str) -> None:
    assert re.search(r"narrow is not better than the bias floor: \d\.\d{4} ± ", page)


def test_what_failed_and_what_was_not_run_are_listed(page: str) -> None:
    assert re.search(r"<td>explosive</td><td>1</td><td>[^<]*diverged", page)
    assert "Not run under this protocol: unrun." in page


def test_text_from_elsewhere_is_escaped(page: str) -> None:
    assert "<script" not in page
    assert "&lt;script&gt;alert(1)&lt;/script&gt;" in page
    assert "Elsewhere &amp; Co" in page


def test_a_page_needs_nothing_from_elsewhere(page: str) -> None:
    text = re.sub(r"data:image/png;base64,[\w+/=]+", "", page)
    assert not re.search(r"https?:|//[a-z]|@import|url\(|<script|<link", text)
    assert set(re.findall(r'(?:src|href)="(.{22})', page)) == {"data:image/png;base64,"}


def test_the_posters_figures_are_drawn(page: str) -> None:
    assert "figure 3: one hidden layer" in page
    assert "figure 4: dropout" in page


def test_the_best_system_is_broken_down_and_calibrated(page: str) -> None:
    assert "Error by training ratings of the user" in page
    assert "Error by training ratings of the movie" in page
    assert "<h3>Calibration</h3>" in page
    assert re.search(r"Errors of \w+ on test in parts", page)


def test_the_oracle_is_called_by_its_name(page: str) -> None:
    assert "Best on test epoch (oracle)" in page


def test_the_command_runs_the_same_cells(page: str) -> None:
    assert "--protocol ours --seeds 0,1 --only dropping,explosive,narrow,wide" in page
    assert "--set train.watch_test=true" in page


def test_the_same_cells_give_the_same_page(run_home: Home, tiny_set: Path, tmp_path: Path) -> None:
    pages = [write_report(run_home, str(tiny_set), tmp_path / name).page for name in ("a", "b")]
    assert pages[0].read_bytes() == pages[1].read_bytes()


def test_where_nothing_is_published_there_are_no_sources(
    page: str, run_home: Home, tiny_set: Path, tmp_path: Path
) -> None:
    unpublished = tmp_path / tiny_set.name
    unpublished.mkdir()
    shutil.copy(tiny_set / "unrun.toml", unpublished)
    without = write_report(run_home, str(unpublished), tmp_path / "page.html").page.read_text()
    assert (True, False) == tuple("Sources of the published" in text for text in (page, without))


def test_an_experiment_that_was_never_run_says_how_to(home: Home, tiny_set: Path) -> None:
    with pytest.raises(WarehouseError, match="deeprec experiment run tiny-set"):
        write_report(home, str(tiny_set))
    assert not home.path.exists()
    with open_warehouse(home):
        pass
    with pytest.raises(WarehouseError, match="deeprec experiment run tiny-set"):
        write_report(home, str(tiny_set))
