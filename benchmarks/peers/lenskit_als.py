"""LensKit's biased matrix factorisation by alternating least squares (Zhou et al. 2008).

Shape legend: R ratings.
"""

import numpy as np
import pyarrow as pa
from lenskit import predict as predict_items
from lenskit.als import BiasedMFScorer
from lenskit.data import Dataset, DatasetBuilder, ItemList
from lenskit.pipeline import predict_pipeline
from lenskit.training import TrainingOptions
from pydantic import Field, PositiveInt

from benchmarks.peers import Predict
from benchmarks.peers.adapter import Adapter, by_user, triples
from deeprec.ratings import Floats, Ids, RatingMatrix


class BiasedMF(Adapter):
    """Factors of what damped biases leave. The defaults are LensKit's own."""

    embedding_size: PositiveInt = 50
    epochs: PositiveInt = 10
    regularization: float = Field(0.1, gt=0)
    damping: float = Field(5.0, ge=0)

    def fit(self, train: RatingMatrix) -> Predict:
        """Fit; a user or movie without ratings is not predicted."""
        # without LensKit's own fallback, so that what it cannot predict is counted
        scorer = BiasedMFScorer(**self.model_dump(exclude={"seed"}))
        pipeline = predict_pipeline(scorer, fallback=False)
        pipeline.train(_dataset(train), TrainingOptions(rng=self.seed))

        def predict(user_R: Ids, movie_R: Ids) -> Floats:
            predicted_R = np.empty(len(user_R), dtype=np.float32)
            for user, pairs in by_user(user_R):
                scored = predict_items(pipeline, user, ItemList(item_ids=movie_R[pairs]))
                predicted_R[pairs] = scored.scores()
            return predicted_R

        return predict


def _dataset(train: RatingMatrix) -> Dataset:
    """The ratings as LensKit holds them."""
    columns = dict(zip(("user_id", "item_id", "rating"), triples(train), strict=True))
    builder = DatasetBuilder()
    builder.add_interactions(
        "rating", pa.table(columns), entities=["user", "item"], missing="insert", default=True
    )
    return builder.build()
