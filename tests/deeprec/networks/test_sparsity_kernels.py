"""Kernels by hand, and within a network."""

import torch

from deeprec.networks.autoencoder import Autoencoder
from deeprec.networks.sparsity_kernels import SparsityKernel


def test_a_kernel_counts_the_distance_of_its_ends() -> None:
    kernel = SparsityKernel(2, 2, 2, torch.Generator())
    with torch.no_grad():
        kernel.outputs_HK.copy_(torch.tensor([[0.0, 0.0], [1.0, 0.0]]))
        kernel.inputs_IK.copy_(torch.tensor([[0.5, 0.0], [0.0, 1.0]]))
    # Squared distances: 0.25 and 1 of the first output, 0.25 and 2 of the second.
    assert [[0.75, 0.0], [0.75, 0.0]] == kernel().tolist()


def test_a_kernel_multiplies_the_weights_of_every_layer() -> None:
    network = Autoencoder(5, [4, 3], kernel_size=2, seed=1)
    plain = Autoencoder(5, [4, 3], seed=1)
    assert [(4, 5), (3, 4), (4, 3), (5, 4)] == [tuple(kernel().shape) for kernel in network.kernels]
    matrices = [*(w.T for w in network.encoder_weights_IH), *network.decoder_weights_HI]
    with torch.no_grad():
        for kernel, matrix, product in zip(
            network.kernels, matrices, plain.matrices(), strict=True
        ):
            assert isinstance(kernel, SparsityKernel)
            kernel.inputs_IK.mul_(400)
            weight_HI = matrix * kernel()
            product.copy_(weight_HI if product.shape == weight_HI.shape else weight_HI.T)
    x_BN = torch.tensor([[1.0, 0.0, 3.0, 5.0, 2.0]])
    assert torch.allclose(plain(x_BN), network(x_BN))


def test_kernels_start_at_nearly_one() -> None:
    network = Autoencoder(50, [20], kernel_size=5)
    assert all(kernel().sub(1).abs().max() < 1e-3 for kernel in network.kernels)
