"""Shape legend: U users, M movies."""

import numpy as np
import torch
from hypothesis import given
from hypothesis import settings as example_settings
from hypothesis import strategies as st
from scipy import sparse

from deeprec.config.section import Device
from deeprec.networks.batches import DenseBatches, cells_of


@st.composite
def sparse_ratings(draw: st.DrawFn) -> sparse.csr_array[np.float32]:
    """Explicit zeros, empty users and unrated movies included."""
    shape = (draw(st.integers(1, 9)), draw(st.integers(1, 7)))
    flat = draw(st.sets(st.integers(0, shape[0] * shape[1] - 1)))
    place = np.array(sorted(flat), dtype=np.int64)
    rating = np.array([float(draw(st.integers(0, 5))) for _ in flat], dtype=np.float32)
    return sparse.csr_array((rating, (place // shape[1], place % shape[1])), shape=shape)


@given(sparse_ratings(), st.integers(1, 4))
@example_settings(max_examples=60)
def test_batches_are_the_rows_and_their_structure(
    values_UM: sparse.csr_array[np.float32], batch_size: int
) -> None:
    structure_UM = values_UM.copy()
    structure_UM.data[:] = 1
    seen = 0
    batches = DenseBatches(batch_size, values_UM.shape[1], torch.device("cpu"))
    for batch in batches.of(values_UM):
        assert seen == batch.rows.start
        assert values_UM[batch.rows].toarray().tolist() == batch.ratings_BM.tolist()
        assert structure_UM[batch.rows].toarray().tolist() == batch.rated_BM.tolist()
        assert values_UM[batch.rows].nnz == batch.num_ratings
        seen = batch.rows.stop
    assert values_UM.shape[0] == seen


def test_cells_are_places_in_the_flattened_batch(device: Device) -> None:
    ratings = np.array([[1, 0, 2], [0, 0, 0], [0, 3, 4]], dtype=np.float32)
    cells = cells_of(sparse.csr_array(ratings), slice(1, 3), torch.device(device))
    assert [4, 5] == cells.place_R.tolist()
    assert [3.0, 4.0] == cells.rating_R.tolist()
    assert device == cells.place_R.device.type
