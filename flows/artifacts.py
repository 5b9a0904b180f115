"""What a person reads in the Prefect UI: each stage's report as one page of markdown.

A page's key names what it is about - these data, this model - so that pages can link each other.
"""

import html
import re
from base64 import b64encode
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from hashlib import sha256
from typing import TYPE_CHECKING

from prefect.artifacts import create_markdown_artifact

from deeprec.evaluation.evaluate import EvaluateReport
from deeprec.evaluation.ranking import RARELY_RATED
from deeprec.ingestion.ingest import IngestReport, SourceReport
from deeprec.metrics.bootstrap import CONFIDENCE
from deeprec.metrics.breakdowns import Dimension, breakdown_tables
from deeprec.scoring.publishing import ScoreReport
from deeprec.vectors.materialize import MaterializeReport

if TYPE_CHECKING:
    from deeprec.training.train import TrainReport

_DIGEST_SHOWN = 12  # hexadecimal digits; enough to tell data sets apart
_MARKUP = re.compile(r"[\\`*_\[\]|~]")  # within a line; without brackets no link or picture
_METRICS = (
    "predictor",
    "RMSE",
    "MAE",
    "RMSE unclipped",
    "MAE unclipped",
    "RMSE minus bias",
    "ratings",
    "cold",
)
_LISTS = (
    "Recall and nDCG are means over users who liked a held-out movie; coverage is of all movies, "
    f"rarely rated those with fewer than {RARELY_RATED} training ratings."
)
_INTERVALS = f"In parentheses: {CONFIDENCE:.0%} intervals, from resampling the users."


class Markdown(str):
    """Text that is markdown already, by our hand; a table takes any other for what it says."""

    __slots__ = ()


@dataclass(frozen=True)
class Page:
    """A page in the making."""

    key: str
    description: str
    markdown: str


def publish(page: Page) -> None:
    """Attach a page to the current run; an earlier one of the same key becomes its history."""
    create_markdown_artifact(page.markdown, key=page.key, description=page.description)


def ingest_page(report: IngestReport) -> Page:
    """What was read from each source, and why rows were refused."""
    sources = table(
        ["source", "format", "files", "unchanged", "gone", "read", "kept", "replaced", "rejected"],
        map(_source_row, report.sources),
    )
    rejected = [
        (source.source, reason, rows)
        for source in report.sources
        for reason, rows in source.rejected_by_reason.items()
    ]
    parts = [
        f"# Data {report.data_digest[:_DIGEST_SHOWN]}",
        f"{report.num_ratings:,} ratings on a scale of {report.scale}, by {report.num_users:,} "
        f"users of {report.num_movies:,} movies. "
        + ("This run changed them." if report.changed else "This run changed nothing."),
        sources,
    ]
    if rejected:
        parts += ["## Rejected rows", table(["source", "reason", "rows"], rejected)]
    return Page(_data_key(report.data_digest), "Ratings in the warehouse", "\n\n".join(parts))


def split_page(report: MaterializeReport) -> Page:
    """How many ratings each part has."""
    counts = [
        (part, count, f"{count / report.num_ratings:.2%}") for part, count in report.counts.items()
    ]
    parts = [
        f"# Split {report.split_id}",
        f"The {report.split} split of {_data_link(report.data_digest)}.",
        table(["part", "ratings", "share"], [*counts, ("all", report.num_ratings, "100.00%")]),
    ]
    if report.lists:
        parts += ["## Lists", _liststable(report)]
    if report.published:
        verdict = "other counts than" if report.deviations else "the counts that"
        parts += [
            f"## As published: {as_text(str(report.protocol))}",
            f"The split has {verdict} its protocol was published with.",
            _published_table(report),
        ]
    return Page(f"split-{report.split_id}", "Ratings by part of the split", "\n\n".join(parts))


def model_page(report: "TrainReport") -> Page:
    """The model beside its floors on dev, and its learning curve."""
    from deeprec.pages.plots import learning_curve  # noqa: PLC0415 - drawing is for trainers only

    facts = [
        ("data", _data_link(report.data_digest)),
        ("split", _split_link(report.split_id)),
        ("trained", "by this run" if report.changed else "by an earlier run of the same inputs"),
        ("device", report.device),
        ("seed", report.seed),
        ("fitted to", " and ".join(report.trained_on)),
        ("largest difference of ONNX to torch", f"{report.largest_difference:.1e}"),
    ]
    parts = [
        f"# Model {as_text(report.bundle_id)}",
        f"Bundle: `{report.bundle}`",
        table(["what", "value"], facts),
    ]
    if report.dev:
        parts += ["## On dev", report.dev.verdict, _metrics_table(report.dev)]
    if len(report.members) > 1:
        parts += ["## Members", _members_table(report)]
    for member in report.members:
        epochs = [epoch for epoch in report.epochs if epoch.member == member.name]
        if epochs:
            title = "Learning curve" if len(report.members) == 1 else f"Epochs of {member.name}"
            curve = learning_curve(epochs, member.best_epoch)
            parts += [f"## {as_text(title)}", _picture("RMSE by epoch", curve)]
    return Page(_model_key(report.bundle_id), "A trained model", "\n\n".join(parts))


def metrics_page(report: EvaluateReport) -> Page:
    """The model beside its floors on a held-out part, whole and broken down."""
    parts = [f"# {_model_link(report.bundle_id)} on {report.part}", report.verdict]
    if report.figures:
        parts += [_metrics_table(report), _INTERVALS]
        if report.rankings:
            parts += ["## What would be recommended", _rankings_table(report), _LISTS]
        parts += _breakdowns(report)
    key = f"metrics-{report.part}-{as_key(report.bundle_id)}"
    return Page(key, f"Errors on {report.part} ratings", "\n\n".join(parts))


def scores_page(report: ScoreReport) -> Page:
    """What was published, where, from which model and data."""
    facts = [
        ("run", report.run_id),
        ("model", _model_link(report.bundle_id)),
        ("data", _data_link(report.data_digest)),
        ("users", report.num_users),
        ("of these scored in this run", report.num_users_scored),
        ("of these carried over, their vectors unchanged", report.num_users_carried_over),
        ("of these by biases alone, for want of ratings", report.num_bias_users),
        ("movies", report.num_movies),
        ("of these by biases alone, unrated in training", report.num_bias_movies),
        ("predicted ratings", report.num_predictions),
        ("recommendations", report.num_recommendations),
        ("shards", report.num_shards),
    ]
    parts = ["# Published predictions", f"`{report.path}`", table(["what", "value"], facts)]
    return Page("scores", "Published predictions", "\n\n".join(parts))


def _members_table(report: "TrainReport") -> str:
    """One row a member of a blend."""
    return table(
        ["member", "weight", "RMSE on dev", "epochs", "epoch kept"],
        [
            (
                member.name,
                f"{member.weight:.3f}",
                "" if member.dev_rmse is None else f"{member.dev_rmse:.4f}",
                member.num_epochs,
                member.best_epoch,
            )
            for member in report.members
        ],
    )


def _source_row(source: SourceReport) -> Sequence[object]:
    return (
        source.source,
        source.format,
        source.num_files,
        source.num_files_unchanged,
        source.num_files_gone,
        source.rows_read,
        source.rows_kept,
        source.rows_replaced,
        source.rows_rejected,
    )


def _liststable(report: MaterializeReport) -> str:
    """One row a list of pairs."""
    return table(
        ["part", "list", "pairs", "repeated", "without a rating"],
        [
            (row.part, row.path, row.num_pairs, row.num_repeated, row.num_absent)
            for row in report.lists
        ],
    )


def _published_table(report: MaterializeReport) -> str:
    """One row a published count."""
    disagrees = Markdown("**no**")
    return table(
        ["part", "what", "published", "found", "agrees"],
        [
            (row.part, row.what, row.published, row.found, "yes" if row.agrees else disagrees)
            for row in report.published
        ],
    )


def _metrics_table(report: EvaluateReport) -> str:
    """One row a predictor."""
    return table(
        _METRICS,
        [
            (
                figure.predictor,
                f"{figure.rmse:.4f}{_interval(figure.rmse_low, figure.rmse_high)}",
                figure.mae,
                figure.unclipped_rmse,
                figure.unclipped_mae,
                f"{figure.minus_bias:.4f}"
                + _interval(figure.minus_bias_low, figure.minus_bias_high),
                figure.num_ratings,
                figure.num_cold,
            )
            for figure in report.figures
        ],
    )


def _rankings_table(report: EvaluateReport) -> str:
    """One row a predictor whose lists were looked at."""
    return table(
        ["lists of", "movies", "users", "recall", "nDCG", "coverage", "rarely rated"],
        [
            (
                ranking.lists_of,
                ranking.top_n,
                ranking.num_users,
                ranking.recall,
                ranking.ndcg,
                ranking.coverage,
                ranking.rarely_rated,
            )
            for ranking in report.rankings
        ],
    )


def _interval(low: float | None, high: float | None) -> str:
    return "" if low is None or high is None else f" ({low:.4f} to {high:.4f})"


def _breakdowns(report: EvaluateReport) -> Iterator[str]:
    """Calibration as a picture, and each dimension as a table."""
    from deeprec.pages.plots import calibration_plot  # noqa: PLC0415 - drawing is not for each worker

    for broken_down in breakdown_tables(report.groups):
        yield f"## By {broken_down.dimension.meaning}"
        if broken_down.dimension is Dimension.CALIBRATION:
            yield _picture("actual against predicted ratings", calibration_plot(report.groups))
        yield table(broken_down.header, broken_down.rows)


def _picture(what: str, png: bytes) -> str:
    """A picture that is part of the page."""
    return f"![{what}](data:image/png;base64,{b64encode(png).decode()})"


def table(header: Sequence[str], rows: Iterable[Sequence[object]]) -> str:
    """A markdown table; whole numbers with thousands separators, others to four places.

    What is not `Markdown` is shown as it is.
    """
    lines = [header, ["---"] * len(header), *([_cell(value) for value in row] for row in rows)]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def _cell(value: object) -> str:
    if isinstance(value, Markdown):
        return value
    if isinstance(value, float):
        return f"{value:.4f}"
    return f"{value:,}" if isinstance(value, int) else as_text(str(value))


def as_text(foreign: str) -> Markdown:
    """Text from elsewhere as markdown that shows it letter by letter, on one line."""
    line = html.escape(" ".join(foreign.splitlines()), quote=False)
    return Markdown(_MARKUP.sub(r"\\\g<0>", line))


def as_key(text: str) -> str:
    """Lower-case letters of ASCII, digits and dashes: all that Prefect lets a key have.

    Names that differ only in other letters are told apart by a digest.
    """
    key = re.sub("[^a-z0-9]", "-", text.lower())
    return key if text.isascii() else f"{key}-{sha256(text.encode()).hexdigest()[:_DIGEST_SHOWN]}"


def _data_key(data_digest: str) -> str:
    return f"data-{data_digest[:_DIGEST_SHOWN]}"


def _model_key(bundle_id: str) -> str:
    return f"model-{as_key(bundle_id)}"


def _data_link(data_digest: str) -> Markdown:
    return _link(f"data {data_digest[:_DIGEST_SHOWN]}", _data_key(data_digest))


def _split_link(split_id: str) -> Markdown:
    return _link(f"split {split_id}", f"split-{split_id}")


def _model_link(bundle_id: str) -> Markdown:
    return _link(f"model {bundle_id}", _model_key(bundle_id))


def _link(what: str, key: str) -> Markdown:
    return Markdown(f"[{as_text(what)}](/artifacts/key/{key})")
