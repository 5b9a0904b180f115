"""pipeline-flow: rating files in, predicted ratings in SQL out."""

from pathlib import Path

from prefect import flow

from deeprec.scoring.publishing import ScoreReport
from flows.evaluate import evaluate_flow
from flows.ingest import ingest_flow
from flows.materialize import materialize_flow
from flows.parameters import locate_project
from flows.score import score_flow
from flows.train import train_flow


@flow(name="pipeline-flow", timeout_seconds=72 * 3600)
def pipeline_flow(
    sources: tuple[str, ...],
    home: Path | None = None,
    config: Path | None = None,
    overrides: tuple[str, ...] = (),
) -> ScoreReport:
    """Ingest, materialize, train, evaluate on held-out ratings, score; each a flow of its own."""
    locate_project(home, config, overrides)  # a wrong setting is told before any work
    ingest_flow(sources, home, config, overrides)
    materialize_flow(home, config, overrides)
    bundle = train_flow(home, config, overrides).bundle
    chosen = (*overrides, f"evaluate.bundle={bundle}", f"score.bundle={bundle}")
    evaluate_flow(home, config, chosen)
    return score_flow(home, config, chosen)
