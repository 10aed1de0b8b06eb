"""The scalar measures on kernels whose values are known in closed form."""

import math

import pytest
import torch

from orthontk.checks import InvalidValue
from orthontk.init import initialize
from orthontk.kernels import empirical_ntk, measures
from orthontk.networks import FCN


def kernel_with_spectrum(spectrum: list[float]) -> torch.Tensor:
    generator = torch.Generator().manual_seed(0)
    n = len(spectrum)
    q, _ = torch.linalg.qr(torch.randn(n, n, generator=generator, dtype=torch.float64))
    return q @ torch.diag(torch.tensor(spectrum, dtype=torch.float64)) @ q.mT


def test_spectral_measures_of_a_known_spectrum():
    theta = kernel_with_spectrum([1.0, 2.0, 5.0])
    spectrum = measures.eigenvalues(theta)
    assert spectrum.tolist() == pytest.approx([1, 2, 5])
    assert measures.condition_number(spectrum, theta) == pytest.approx(5)
    entropy = -sum(p * math.log(p) for p in (1 / 8, 2 / 8, 5 / 8))
    assert measures.effective_rank(spectrum) == pytest.approx(math.exp(entropy))


def test_spectral_measures_of_a_full_kernel_are_those_of_its_matrix():
    matrix = kernel_with_spectrum([1.0, 2.0, 3.0, 4.0, 5.0, 6.0])
    theta = matrix.reshape(3, 2, 3, 2).transpose(1, 2)  # (N, N, O, O)
    assert torch.equal(measures.flatten_outputs(theta), matrix)
    spectrum = measures.eigenvalues(theta)
    assert spectrum.tolist() == pytest.approx([1, 2, 3, 4, 5, 6])
    assert measures.condition_number(spectrum, theta) == pytest.approx(6)


def test_flatten_outputs_puts_example_before_output():
    theta = torch.arange(2 * 3 * 2 * 2).reshape(2, 3, 2, 2)
    flat = measures.flatten_outputs(theta)
    assert flat.shape == (4, 6)
    assert flat[1 * 2 + 0, 2 * 2 + 1] == theta[1, 2, 0, 1]


def test_a_singular_kernel_has_infinite_condition_and_lower_rank():
    theta = kernel_with_spectrum([0.0, 2.0, 2.0])
    spectrum = measures.eigenvalues(theta)
    assert measures.condition_number(spectrum, theta) == math.inf
    assert measures.effective_rank(spectrum) == pytest.approx(2)


@pytest.mark.parametrize("scheme", ["gaussian", "orthogonal"])
def test_a_narrow_deep_network_has_the_condition_number_of_float64(scheme):
    net = initialize(FCN(20, 10, 16, 5), scheme, torch.Generator().manual_seed(0)).double()
    x = torch.randn(32, 20, generator=torch.Generator().manual_seed(1), dtype=torch.float64)
    exact, theta = empirical_ntk(net, x, dtype=torch.float64), empirical_ntk(net.float(), x.float())
    expected = measures.condition_number(measures.eigenvalues(exact), exact)
    assert 1e2 < expected < 1e6
    assert measures.condition_number(measures.eigenvalues(theta), theta) == pytest.approx(expected, rel=0.01)


def rounded_to_regular(size, scale, dtype, seed):
    """λ_min over its rounding, of a kernel that is singular in one direction: two inputs, `scale` long, on a line."""
    x = torch.randn(size, size, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)
    x[1] = 0.7 * x[0]
    x[:2] *= scale
    theta = (x @ x.mT).to(dtype)
    spectrum = measures.eigenvalues(theta)
    return spectrum[0].item() / measures.rounding(spectrum, theta)


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize("scale", [1.0, 30.0])
@pytest.mark.parametrize("size", [2, 16, 128])
def test_a_kernel_that_rounding_alone_makes_definite_is_told(size, scale, dtype):
    assert max(rounded_to_regular(size, scale, dtype, seed) for seed in range(50)) < 1


def test_what_rounding_makes_of_a_zero_is_not_far_below_the_bound():
    assert max(rounded_to_regular(2, 1.0, torch.float32, seed) for seed in range(50)) > 0.1


def test_relative_change_is_frobenius():
    theta0 = torch.tensor([[3.0, 0.0], [0.0, 4.0]])
    theta = theta0 + torch.tensor([[0.0, 1.0], [0.0, 0.0]])
    assert measures.relative_change(theta, theta0) == pytest.approx(1 / 5)
    assert measures.relative_change(theta0, theta0) == 0


def test_alignment_is_one_for_the_targets_own_kernel_and_centred():
    labels = torch.nn.functional.one_hot(torch.tensor([0, 1, 2, 0, 1, 2])).double()
    own = labels @ labels.mT
    assert measures.alignment(own, labels) == pytest.approx(1)
    assert measures.alignment(own + 7.0, labels) == pytest.approx(1)  # a constant is centred away
    # H itself against ±1 labels: ⟨H, yyᵀ⟩ / (‖H‖ ‖yyᵀ‖) = N / (√(N−1) N)
    y = torch.tensor([1.0, -1.0, 1.0, -1.0])
    assert measures.alignment(torch.eye(4), y) == pytest.approx(1 / math.sqrt(3))
    full = own[:, :, None, None] * torch.eye(3, dtype=torch.float64)
    assert measures.alignment(full, labels) == pytest.approx(1)


def test_offdiagonal_is_zero_for_independent_outputs():
    gram = kernel_with_spectrum([1.0, 2.0, 3.0])
    independent = gram[:, :, None, None] * torch.eye(4)
    assert measures.offdiagonal(independent) == 0
    equal = gram[:, :, None, None] * torch.ones(4, 4)
    assert measures.offdiagonal(equal) == pytest.approx(math.sqrt(3 / 4))
    with pytest.raises(InvalidValue, match="theta"):  # which has no pairs of outputs
        measures.offdiagonal(gram)


@pytest.mark.parametrize(
    "call",
    [
        lambda: measures.flatten_outputs(torch.zeros(3, 3, 2)),
        lambda: measures.eigenvalues(torch.zeros(3, 2)),
        lambda: measures.alignment(torch.eye(3), torch.zeros(4)),
        lambda: measures.alignment(torch.eye(3), torch.tensor([0, 1, 2])),
    ],
)
def test_shapes_that_make_no_sense_are_refused(call):
    with pytest.raises(InvalidValue):
        call()
