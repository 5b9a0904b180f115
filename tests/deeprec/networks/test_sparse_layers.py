"""Shape legend: B rows, N columns, H units of the dense side, R rated cells."""

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from scipy import sparse
from torch import Tensor

from deeprec.config.section import Device
from deeprec.networks.sparse_layers import Pattern, dense_at_cells, sparse_times_dense

CPU = torch.device("cpu")
# Row 0 holds 2 and an explicit zero, row 1 nothing, row 2 its columns out of order.
VALUES_R, COLUMN_R, ROW_STARTS = [2.0, 0.0, 3.0, -1.0], [0, 2, 2, 1], [0, 2, 2, 4]
DENSE_BN = [[2.0, 0.0, 0.0], [0.0, 0.0, 0.0], [0.0, -1.0, 3.0]]


def small_matrix() -> sparse.csr_array[np.float32]:
    values_R = np.array(VALUES_R, dtype=np.float32)
    return sparse.csr_array((values_R, np.array(COLUMN_R), np.array(ROW_STARTS)), shape=(3, 3))


def drawn_matrix(shape: tuple[int, int], seed: int) -> sparse.csr_array[np.float32]:
    """About half of the cells rated, every tenth of those zero, each row in any order."""
    rng = np.random.default_rng(seed)
    rows = [rng.permutation(shape[1])[: rng.integers(0, shape[1] + 1)] for _ in range(shape[0])]
    starts = np.cumsum([0, *map(len, rows)])
    values_R = rng.normal(size=starts[-1]).astype(np.float32)
    values_R[rng.random(starts[-1]) < 0.1] = 0.0
    return sparse.csr_array((values_R, np.concatenate(rows), starts), shape=shape)


def test_a_pattern_knows_rows_and_columns_of_every_stored_cell() -> None:
    pattern = Pattern.of(small_matrix(), CPU)
    assert [0, 0, 2, 2] == pattern.row_R.tolist()
    assert COLUMN_R == pattern.column_R.tolist()
    values_R = torch.tensor(VALUES_R)
    assert DENSE_BN == pattern.matrix(values_R).to_dense().tolist()
    assert DENSE_BN == pattern.times(values_R, torch.eye(3)).tolist()
    assert (
        np.transpose(DENSE_BN).tolist() == pattern.transposed_times(values_R, torch.eye(3)).tolist()
    )


def test_a_sparse_product_by_hand() -> None:
    weight_NH = torch.tensor([[1.0, 0.5], [10.0, 0.0], [100.0, -1.0]], requires_grad=True)
    product_BH = sparse_times_dense(
        Pattern.of(small_matrix(), CPU), torch.tensor(VALUES_R), weight_NH
    )
    assert [[2.0, 1.0], [0.0, 0.0], [-10 + 300.0, -3.0]] == product_BH.tolist()
    torch.autograd.backward(product_BH, torch.tensor([[1.0, 2.0], [9.0, 9.0], [3.0, 4.0]]))
    assert weight_NH.grad is not None
    assert [[2.0, 4.0], [-3.0, -4.0], [9.0, 12.0]] == weight_NH.grad.tolist()


def test_the_cells_of_a_dense_product_by_hand() -> None:
    inputs_BH = torch.tensor([[1.0, 2.0], [5.0, 5.0], [3.0, -1.0]], requires_grad=True)
    weight_NH = torch.tensor([[1.0, 0.0], [0.0, 1.0], [2.0, 2.0]], requires_grad=True)
    cells_R = dense_at_cells(Pattern.of(small_matrix(), CPU), inputs_BH, weight_NH)
    assert [1.0, 6.0, 4.0, -1.0] == cells_R.tolist()
    torch.autograd.backward(cells_R, torch.tensor([1.0, 10.0, 100.0, 1000.0]))
    assert inputs_BH.grad is not None
    assert weight_NH.grad is not None
    assert [[1 + 20.0, 20.0], [0.0, 0.0], [200.0, 1000 + 200.0]] == inputs_BH.grad.tolist()
    assert [[1.0, 2.0], [3000.0, -1000.0], [10 + 300.0, 20 - 100.0]] == weight_NH.grad.tolist()


@given(
    shape=st.tuples(st.integers(1, 7), st.integers(1, 7)),
    num_units=st.integers(1, 5),
    seed=st.integers(0, 2**32 - 1),
)
def test_both_layers_equal_their_dense_forms(
    shape: tuple[int, int], num_units: int, seed: int
) -> None:
    values_BN = drawn_matrix(shape, seed)
    generator = torch.Generator().manual_seed(seed)
    inputs_BH = torch.randn(shape[0], num_units, generator=generator)
    weight_NH = torch.randn(shape[1], num_units, generator=generator)
    pattern = Pattern.of(values_BN, CPU)
    values_R, dense_BN = torch.from_numpy(values_BN.data), torch.from_numpy(values_BN.toarray())
    assert_alike([dense_BN @ weight_NH], [sparse_times_dense(pattern, values_R, weight_NH)])

    def both(inputs_BH: Tensor, weight_NH: Tensor) -> tuple[Tensor, Tensor]:
        whole_R = (inputs_BH @ weight_NH.T)[pattern.row_R, pattern.column_R]
        return whole_R, dense_at_cells(pattern, inputs_BH, weight_NH)

    leaves = [inputs_BH.requires_grad_(), weight_NH.requires_grad_()]
    expected_R, found_R = both(*leaves)
    slope_R = torch.randn(len(values_R), generator=generator)
    assert_alike([expected_R], [found_R])
    assert_alike(
        torch.autograd.grad(expected_R, leaves, slope_R, retain_graph=True),
        torch.autograd.grad(found_R, leaves, slope_R),
    )


def test_gradients_are_those_of_finite_differences() -> None:
    pattern = Pattern.of(drawn_matrix((4, 5), seed=1), CPU)
    generator = torch.Generator().manual_seed(0)

    def drawn(*shape: int, learned: bool = True) -> Tensor:
        return torch.randn(*shape, generator=generator, dtype=torch.float64, requires_grad=learned)

    values_R = drawn(len(pattern.column_R), learned=False)
    assert torch.autograd.gradcheck(
        lambda weight_NH: sparse_times_dense(pattern, values_R, weight_NH), (drawn(5, 3),)
    )
    assert torch.autograd.gradcheck(
        lambda inputs_BH, weight_NH: dense_at_cells(pattern, inputs_BH, weight_NH),
        (drawn(4, 3), drawn(5, 3)),
    )


def test_a_batch_in_which_nothing_is_rated() -> None:
    empty_BN: sparse.csr_array[np.float32] = sparse.csr_array(np.zeros((2, 3), np.float32))
    pattern = Pattern.of(empty_BN, CPU)
    weight_NH = torch.ones(3, 2, requires_grad=True)
    product_BH = sparse_times_dense(pattern, torch.zeros(0), weight_NH)
    assert [[0.0, 0.0], [0.0, 0.0]] == product_BH.tolist()
    cells_R = dense_at_cells(pattern, product_BH, torch.ones(3, 2))
    assert [] == cells_R.tolist()
    torch.autograd.backward(cells_R.sum())
    assert weight_NH.grad is not None
    assert not weight_NH.grad.any()


def test_a_device_gives_what_the_cpu_gives(device: Device) -> None:
    values_BN = drawn_matrix((20, 30), seed=3)
    generator = torch.Generator().manual_seed(0)
    inputs_BH, weight_NH = (torch.randn(n, 8, generator=generator) for n in (20, 30))
    found = []
    for place in (CPU, torch.device(device)):
        pattern = Pattern.of(values_BN, place)
        leaves = [inputs_BH.to(place).requires_grad_(), weight_NH.to(place).requires_grad_()]
        values_R = torch.from_numpy(values_BN.data).to(place)
        product_BH = sparse_times_dense(pattern, values_R, leaves[1])
        cells_R = dense_at_cells(pattern, leaves[0] + product_BH, leaves[1])
        slopes = torch.autograd.grad(cells_R.square().sum(), leaves)
        found.append([tensor.cpu() for tensor in (product_BH, cells_R, *slopes)])
    on_cpu, on_device = found
    assert_alike(on_cpu, on_device, tolerance=1e-3)


def assert_alike(
    expected: list[Tensor] | tuple[Tensor, ...],
    found: list[Tensor] | tuple[Tensor, ...],
    tolerance: float = 1e-5,
) -> None:
    for one, other in zip(expected, found, strict=True):
        np.testing.assert_allclose(
            other.detach().numpy(), one.detach().numpy(), rtol=tolerance, atol=tolerance
        )


@pytest.mark.parametrize("shape", [(1, 1), (1, 50), (50, 1)])
def test_a_full_matrix_is_a_plain_product(shape: tuple[int, int]) -> None:
    ones_BN = sparse.csr_array(np.ones(shape, dtype=np.float32))
    weight_NH = torch.arange(2.0 * shape[1]).reshape(shape[1], 2)
    product_BH = sparse_times_dense(
        Pattern.of(ones_BN, CPU), torch.ones(shape[0] * shape[1]), weight_NH
    )
    assert_alike([torch.ones(shape) @ weight_NH], [product_BH])
