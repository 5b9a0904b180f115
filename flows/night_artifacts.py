"""A night in the Prefect UI: what it did, its checks, the live error and the drift, as markdown."""

from collections.abc import Iterator

from deeprec.pages.night import NightView
from flows.artifacts import Page, table

_NUM_DAYS = 14


def night_pages(view: NightView) -> Iterator[Page]:
    """A page of the night, and one each of its checks, metrics and drift; keys stay the same."""
    yield Page("night", "What the night did", _night(view))
    yield Page("night-checks", "What was checked", _checks(view))
    yield Page("night-metrics", "Published predictions against what came after", _metrics(view))
    yield Page("night-drift", "How far data moved between runs", _drift(view))


def _night(view: NightView) -> str:
    steps = [(step.step, step.outcome, step.said, f"{step.seconds:.1f}") for step in view.steps]
    parts = [
        f"# Night of {view.night.night_of}: {view.night.status}",
        table(["step", "outcome", "what happened", "seconds"], steps),
        "## Models",
        table(
            ["bundle", "became", "by", "why"],
            [(each.bundle_id, each.status, each.changed_by, each.reason) for each in view.changes],
        ),
    ]
    return "\n\n".join(parts)


def _checks(view: NightView) -> str:
    rows = [
        (
            check.name,
            f"{check.severity}: {check.num_rows:,} rows" if check.num_rows else "healthy",
            check.meaning,
        )
        for check in view.checks
    ]
    parts = ["# Checks", table(["check", "found", "healthy when"], rows)]
    for check in view.checks:
        if check.shown:
            header = list(check.shown[0])
            offending = [list(row.values()) for row in check.shown]
            parts += [f"## Rows of {check.name}", table(header, offending)]
    return "\n\n".join(parts)


def _metrics(view: NightView) -> str:
    days = [metric for metric in view.live if metric.segment == "all"][-_NUM_DAYS:]
    by_day = [
        (metric.measured_on, metric.run_id, f"{metric.num_ratings:,}", f"{metric.rmse:.4f}")
        for metric in days
    ]
    by_segment = [
        (metric.segment, metric.bucket, f"{metric.num_ratings:,}", f"{metric.rmse:.4f}")
        for metric in view.live_today
    ]
    parts = ["# Live error", table(["day", "run", "ratings", "RMSE"], by_day)]
    if by_segment:
        parts += ["## Today", table(["segment", "bucket", "ratings", "RMSE"], by_segment)]
    return "\n\n".join([*parts, *_pictures(view, "Live error")])


def _drift(view: NightView) -> str:
    rows = [(each.run_id, each.quantity, f"{each.psi:.4f}") for each in view.drift]
    parts = ["# Drift", table(["run", "quantity", "stability index"], rows)]
    return "\n\n".join([*parts, *_pictures(view, "Drift")])


def _pictures(view: NightView, about: str) -> Iterator[str]:
    for picture in view.pictures:
        if picture.title.startswith(about):
            yield f"![{picture.title}]({picture.address})"
