"""Reports as pages: what they say, and that their links meet their keys. No server needed."""

import base64
import html
import re
from pathlib import Path

import pytest

from deeprec.evaluation.evaluate import EvaluateReport
from deeprec.ingestion.ingest import IngestReport, SourceReport
from deeprec.metrics.breakdowns import Dimension, Group
from deeprec.models.bundles import Member
from deeprec.models.registry import Epoch, Evaluation, Ranking
from deeprec.scoring.publishing import ScoreReport
from deeprec.splits import Part
from deeprec.training.train import TrainReport
from deeprec.vectors.materialize import MaterializeReport
from deeprec.vectors.partition import ListedCounts
from deeprec.vectors.protocols import Comparison
from flows.artifacts import (
    Markdown,
    Page,
    as_key,
    as_text,
    ingest_page,
    metrics_page,
    model_page,
    scores_page,
    split_page,
    table,
)

DIGEST = "0123456789abcdef" * 4
BUNDLE_ID = "poster-20260101T000000-ab12"
INGESTED = IngestReport(
    changed=True,
    num_ratings=1_200,
    num_users=40,
    num_movies=30,
    scale="1 to 5 in steps of 1",
    data_digest=DIGEST,
    sources=(
        SourceReport(
            source="ratings|old.csv",
            format="table",
            num_files=1,
            num_files_unchanged=0,
            num_files_gone=0,
            rows_read=1_205,
            rows_kept=1_200,
            rows_replaced=2,
            rows_rejected=3,
            rejected_by_reason={"off the scale": 2, "unknown date": 1},
        ),
    ),
)
MATERIALIZED = MaterializeReport(
    changed=True,
    data_digest=DIGEST,
    split_id="5911e0",
    split="random",
    num_users=40,
    num_users_rebuilt=40,
    num_movies=30,
    num_ratings=1_200,
    counts={Part.TRAIN: 1_000, Part.DEV: 80, Part.TEST: 120},
)


def evaluation(predictor: str, rmse: float) -> Evaluation:
    return Evaluation(
        predictor=predictor,
        num_ratings=120,
        num_cold=4,
        rmse=rmse,
        rmse_low=rmse - 0.02,
        rmse_high=rmse + 0.02,
        mae=0.7,
        unclipped_rmse=rmse + 0.01,
        unclipped_mae=0.71,
        minus_bias=rmse - 0.9,
        minus_bias_low=rmse - 0.91,
        minus_bias_high=rmse - 0.89,
    )


def groups(predictor: str) -> list[Group]:
    buckets = [
        (Dimension.ACTIVITY, "1-9"),
        (Dimension.ACTIVITY, "500+"),
        (Dimension.CALIBRATION, "3 to 3.25"),
    ]
    return [
        Group(
            predictor=predictor,
            dimension=dimension,
            bucket=bucket,
            num_ratings=1_060,
            rmse=0.95,
            mae=0.75,
            mean_actual=3.5,
            mean_predicted=3.125,
        )
        for dimension, bucket in buckets
    ]


def evaluated(model_rmse: float, part: Part = Part.TEST) -> EvaluateReport:
    figures = (
        evaluation("model", model_rmse),
        evaluation("bias", 0.9),
        evaluation("global mean", 1.1),
    )
    return EvaluateReport(
        bundle_id=BUNDLE_ID,
        part=part,
        figures=figures,
        groups=(*groups("model"), *groups("bias")),
    )


def trained(dev: EvaluateReport | None) -> TrainReport:
    epochs = tuple(
        Epoch(
            member="model",
            epoch=n,
            train_rmse=1 / n,
            dev_rmse=1.0,
            test_rmse=None,
            learning_rate=0.005,
            seconds=1.0,
        )
        for n in (1, 2, 3)
    )
    return TrainReport(
        bundle_id=BUNDLE_ID,
        bundle=Path("home/models") / BUNDLE_ID,
        name="poster",
        changed=True,
        device="cpu",
        seed=7,
        data_digest=DIGEST,
        split_id="5911e0",
        trained_on=("train",),
        members=(Member(name="model", weight=1, num_epochs=3, best_epoch=2, fold_in_ridge=0),),
        epochs=epochs,
        largest_difference=2.5e-6,
        dev=dev,
    )


def scored() -> Page:
    report = ScoreReport(
        run_id="20260102T023000-cafe",
        bundle_id=BUNDLE_ID,
        data_digest=DIGEST,
        path=Path("home/predictions.duckdb"),
        num_shards=2,
        num_users=40,
        num_users_scored=40,
        num_users_carried_over=0,
        num_movies=30,
        num_predictions=1_200,
        num_recommendations=400,
        num_bias_users=1,
        num_bias_movies=3,
        seconds=2.0,
    )
    return scores_page(report)


def all_pages() -> list[Page]:
    return [
        ingest_page(INGESTED),
        split_page(MATERIALIZED),
        model_page(trained(evaluated(0.8, Part.DEV))),
        metrics_page(evaluated(0.8)),
        scored(),
    ]


def rows(page: Page) -> list[list[str]]:
    """The cells of all table rows as they are shown, headers and rules left out."""
    lines = [line for line in page.markdown.splitlines() if line.startswith("| ")]
    cells = [re.split(r"(?<!\\)\|", line)[1:-1] for line in lines]
    return [[shown(cell.strip()) for cell in row] for row in cells]


def shown(markdown: str) -> str:
    """What a reader sees of text that holds no markup."""
    return html.unescape(re.sub(r"\\([!-/:-@\[-`{-~])", r"\1", markdown))


def test_the_rows_of_a_source_are_accounted_for() -> None:
    page = ingest_page(INGESTED)
    counts = ["table", "1", "0", "0", "1,205", "1,200", "2", "3"]
    assert ["ratings|old.csv", *counts] in rows(page)
    assert ["ratings|old.csv", "off the scale", "2"] in rows(page)
    assert ["ratings|old.csv", "unknown date", "1"] in rows(page)


def test_without_rejected_rows_there_is_no_table_of_them() -> None:
    clean = INGESTED.sources[0].model_copy(update={"rejected_by_reason": {}})
    page = ingest_page(INGESTED.model_copy(update={"sources": (clean,), "changed": False}))
    assert "Rejected" not in page.markdown
    assert "changed nothing" in page.markdown


def test_the_shares_of_a_split_are_of_all_ratings() -> None:
    expected = [["train", "1,000", "83.33%"], ["dev", "80", "6.67%"], ["test", "120", "10.00%"]]
    assert expected == rows(split_page(MATERIALIZED))[2:5]


def test_a_split_without_published_counts_has_no_word_of_them() -> None:
    assert "published" not in split_page(MATERIALIZED).markdown
    assert "Lists" not in split_page(MATERIALIZED).markdown


@pytest.mark.parametrize(
    ("found", "verdict", "agrees"),
    [(98_074_901, "the counts that", "yes"), (1_000, "other counts than", "**no**")],
)
def test_published_counts_stand_beside_those_found(found: int, verdict: str, agrees: str) -> None:
    published = Comparison(
        part="train",
        what="ratings",
        published=98_074_901,
        found=found,
        agrees=found == 98_074_901,
    )
    update = {"protocol": "netflix-full", "published": (published,)}
    page = split_page(MATERIALIZED.model_copy(update=update))
    assert f"The split has {verdict} its protocol was published with." in page.markdown
    assert ["train", "ratings", "98,074,901", f"{found:,}", agrees] in rows(page)


def test_a_list_of_pairs_says_what_became_of_it() -> None:
    counts = ListedCounts(
        part=Part.DEV, path=Path("probe.txt"), num_pairs=1_408, num_repeated=2, num_absent=1
    )
    page = split_page(MATERIALIZED.model_copy(update={"lists": (counts,)}))
    assert ["dev", "probe.txt", "1,408", "2", "1"] in rows(page)


def test_the_learning_curve_is_a_png_within_the_page() -> None:
    found = re.search(r"data:image/png;base64,([\w+/=]+)\)", model_page(trained(None)).markdown)
    assert found
    assert base64.b64decode(found[1], validate=True).startswith(b"\x89PNG")


def test_a_model_trained_without_dev_has_no_dev_figures() -> None:
    assert "On dev" in model_page(trained(evaluated(0.8, Part.DEV))).markdown
    assert "On dev" not in model_page(trained(None)).markdown


@pytest.mark.parametrize(
    ("rmse", "verdict"),
    [
        (0.8, "The model beats its bias floor by 0.1000 RMSE"),
        (0.95, "The model is NOT better than its bias floor"),
        (0.905, "cannot be told apart"),
    ],
)
def test_a_model_is_judged_by_its_floor(rmse: float, verdict: str) -> None:
    for page in (metrics_page(evaluated(rmse)), model_page(trained(evaluated(rmse, Part.DEV)))):
        assert verdict in page.markdown
        bias = ["bias", "0.9000 (0.8800 to 0.9200)", "0.7000", "0.9100", "0.7100"]
        assert [*bias, "0.0000 (-0.0100 to 0.0100)", "120", "4"] in rows(page)


def test_a_figure_without_an_interval_stands_alone() -> None:
    unsure = {"rmse_low": None, "rmse_high": None}
    alone = evaluation("model", 0.95).model_copy(update=unsure)
    page = metrics_page(EvaluateReport(bundle_id=BUNDLE_ID, part=Part.TEST, figures=(alone,)))
    assert "0.9500" == rows(page)[-1][1]


def test_metrics_are_broken_down_and_calibration_is_drawn() -> None:
    page = metrics_page(evaluated(0.8))
    assert "## By training ratings of the user" in page.markdown
    assert ["500+", "1,060", "3.5000", "0.9500", "0.9500"] in rows(page)
    assert ["3 to 3.25", "1,060", "3.1250", "3.5000", "0.9500"] in rows(page)
    assert 1 == page.markdown.count("data:image/png;base64,")


def test_where_nothing_was_held_out_the_page_says_so() -> None:
    page = metrics_page(EvaluateReport(bundle_id=BUNDLE_ID, part=Part.TEST, figures=()))
    assert "the split holds back no test rating" in page.markdown
    assert [] == rows(page)


def test_published_scores_say_where_they_are() -> None:
    page = scored()
    assert "`home/predictions.duckdb`" in page.markdown
    assert ["predicted ratings", "1,200"] in rows(page)
    assert ["shards", "2"] in rows(page)


def test_every_link_leads_to_a_page() -> None:
    pages = all_pages()
    linked = {key for page in pages for key in re.findall(r"/artifacts/key/([^)]*)", page.markdown)}
    assert {"data-0123456789ab", "split-5911e0", "model-poster-20260101t000000-ab12"} == linked
    assert linked <= {page.key for page in pages}


@pytest.mark.parametrize(
    ("foreign", "markdown"),
    [
        ("![x](https://example.org/x.png)", r"!\[x\](https://example.org/x.png)"),
        ("<img src=x onerror=alert(1)>", "&lt;img src=x onerror=alert(1)&gt;"),
        ("a|b\\", r"a\|b\\"),
        ("`*_~", r"\`\*\_\~"),
        ("&lt;", "&amp;lt;"),
        ("1,2\n\n# 3\u2028|---|\r\n", r"1,2  # 3 \|---\|"),
    ],
)
def test_text_from_elsewhere_is_shown_as_it_is(foreign: str, markdown: str) -> None:
    assert markdown == as_text(foreign)
    assert " ".join(foreign.splitlines()) == shown(markdown)
    assert table(["text"], [[foreign]]).endswith(f"\n| {markdown} |")


def test_markdown_of_ours_stays_markdown() -> None:
    assert table(["text"], [[Markdown("**no**")]]).endswith("| **no** |")


def test_keys_are_such_as_prefect_admits() -> None:
    assert all(re.fullmatch(r"[a-z0-9-]+", page.key) for page in all_pages())


def test_names_in_any_alphabet_have_keys_of_their_own() -> None:
    names = ["größe", "gräße", "größen", "大きさ", "重さ", "٣", "gr--e"]
    keys = [as_key(name) for name in names]
    assert len(names) == len(set(keys))
    assert all(re.fullmatch(r"[a-z0-9-]*[a-z0-9][a-z0-9-]*", key) for key in keys)


def test_what_would_be_recommended_is_beside_what_everybody_rates() -> None:
    lists = [
        Ranking(
            lists_of=name,
            top_n=10,
            num_users=1_200,
            recall=recall,
            ndcg=0.05,
            coverage=0.2,
            rarely_rated=0.0,
        )
        for name, recall in (("model", 0.1), ("popularity", 0.2))
    ]
    page = metrics_page(evaluated(0.8).model_copy(update={"rankings": tuple(lists)}))
    assert ["model", "10", "1,200", "0.1000", "0.0500", "0.2000", "0.0000"] in rows(page)
    assert ["popularity", "10", "1,200", "0.2000", "0.0500", "0.2000", "0.0000"] in rows(page)
    assert "recommended" not in metrics_page(evaluated(0.8)).markdown
