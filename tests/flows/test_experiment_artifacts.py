"""An experiment as a page of markdown: its table, its failures, its pictures. No server needed."""

import re
from pathlib import Path

from deeprec.config.evaluation import PublishedConfig
from deeprec.config.run import Config
from deeprec.experiments.comparison import compare
from deeprec.pages.experiment_pictures import Picture
from deeprec.pages.experiment_sections import ExperimentPage, Section
from flows.experiment_artifacts import experiment_page

PUBLISHED = PublishedConfig(rmse=0.831, data="ML-1M", protocol="random-90-10", source="a paper")
SYSTEM = Config(name="i-autorec", published=(PUBLISHED,))


def page_of(*pictures: Picture) -> str:
    section = Section("ml-100k-u1", "ML-100K", (), compare([SYSTEM], []), pictures, ())
    shown = ExperimentPage("Poster_2", (SYSTEM,), (section,), {})
    page = experiment_page(shown, Path("home/experiments/poster.html"))
    assert re.fullmatch(r"[a-z0-9-]+", page.key)
    return page.markdown


def test_a_system_stands_beside_what_was_published_for_another_protocol() -> None:
    (row,) = re.findall(r"\| i-autorec .*", page_of())
    assert "0.831 (test, other protocol)" in row
    assert "not run" in row


def test_how_a_cell_failed_is_shown_as_it_was_said() -> None:
    (figures,) = compare([SYSTEM], [])
    failed = figures.model_copy(update={"failures": ("seed 0: <b>[x](y)</b>\n# z",)})
    section = Section("ml-100k-u1", "ML-100K", (), (failed,), (), ())
    shown = ExperimentPage("größe_2", (SYSTEM,), (section,), {})
    page = experiment_page(shown, Path("home/experiments/poster.html"))
    assert r"# Experiment größe\_2" in page.markdown
    assert r"**i-autorec** failed, seed 0: &lt;b&gt;\[x\](y)&lt;/b&gt; # z" in page.markdown
    assert re.fullmatch(r"experiment-[a-z0-9-]+", page.key)


def test_the_page_is_named_and_pictures_are_within() -> None:
    markdown = page_of(Picture("Widths", "by epoch", b"png"))
    assert "`home/experiments/poster.html`" in markdown
    assert "![by epoch](data:image/png;base64,cG5n)" in markdown
