"""Rows that lie on a device give the batches that are cut on the host."""

import itertools

import numpy as np
import torch
from scipy import sparse

from deeprec.config.section import Device
from deeprec.training.rated_rows import HostRows, ResidentRows, of_known_rows

CPU = torch.device("cpu")


def some_rows() -> sparse.csr_array[np.float32]:
    """Row 2 has nothing; some ratings are zero; columns come in any order."""
    rng = np.random.default_rng(4)
    rows = [rng.permutation(9)[: rng.integers(1, 9)] for _ in range(7)]
    rows[2] = rows[2][:0]
    starts = np.cumsum([0, *map(len, rows)])
    rating_R = rng.integers(0, 6, starts[-1]).astype(np.float32)
    return sparse.csr_array((rating_R, np.concatenate(rows), starts), shape=(7, 9))


def test_resident_rows_give_the_batches_of_the_host(device: Device) -> None:
    ratings_UN = some_rows()
    chosen = np.array([6, 5, 3, 2, 0])
    host = HostRows(ratings_UN, chosen, CPU)
    resident = ResidentRows(ratings_UN[chosen], torch.device(device))
    for place_B in ([3, 0, 4], [2, 2], [3], [], [0, 1, 2, 3, 4]):
        expected = host.batch(np.array(place_B, dtype=np.intp))
        found = resident.batch(np.array(place_B, dtype=np.intp))
        assert expected.pattern.shape == found.pattern.shape
        assert expected.num_ratings == found.num_ratings
        for one, other in (
            (expected.rating_R, found.rating_R),
            (expected.pattern.column_R, found.pattern.column_R),
            (expected.pattern.row_starts, found.pattern.row_starts),
            (expected.pattern.row_R, found.pattern.row_R),
        ):
            assert one.dtype == other.dtype
            assert one.tolist() == other.tolist()


def test_columns_in_order_are_the_same_sorted_or_transposed() -> None:
    pattern = HostRows(some_rows(), np.arange(7), CPU).batch(np.array([1, 2, 4, 0])).pattern
    generator = torch.Generator().manual_seed(0)
    values_R = torch.randn(len(pattern.column_R), generator=generator)
    starts, row_R, place_R = pattern.sorted_columns()
    dense_BN = pattern.matrix(values_R).to_dense()
    for column, (start, end) in enumerate(itertools.pairwise(starts.tolist())):
        found_B = torch.zeros(4)
        found_B[row_R[start:end].long()] = values_R[place_R[start:end].long()]
        assert dense_BN[:, column].tolist() == found_B.tolist()
    product_NH = pattern.transposed_times(values_R, torch.eye(4))
    assert dense_BN.T.tolist() == product_NH.tolist()


def test_held_out_ratings_count_where_there_are_some_to_train_on() -> None:
    train = sparse.csr_array(np.array([[1, 0], [0, 0], [0, 2]], dtype=np.float32))
    held_out = sparse.csr_array(np.array([[0, 3], [4, 5], [0, 0]], dtype=np.float32))
    found = of_known_rows(train, held_out)
    assert found is not None
    assert [[0, 3], [0, 0], [0, 0]] == found.toarray().tolist()
    assert 1 == found.nnz
    of_nobody = sparse.csr_array(np.array([[0, 0], [4, 5], [0, 0]], dtype=np.float32))
    assert of_nobody is of_known_rows(train, of_nobody)
    assert of_known_rows(train, None) is None
