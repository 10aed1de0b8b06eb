"""Each scheme's exact identities: orthogonality, total variance, and which part of the draw makes which tap."""

import pytest
import torch
from factors import assert_factor, isometry_defect, normal
from hypothesis import given, settings
from hypothesis import strategies as st

from orthontk.checks import InvalidValue
from orthontk.init import delta_orthogonal, flat_orthogonal, gaussian, initialize, orthogonal
from orthontk.networks import FCN, Conv

sizes, kernels, seeds = st.integers(1, 24), st.sampled_from([1, 3, 5]), st.integers(0, 2**32)
varied = settings(max_examples=40, deadline=None, derandomize=True)


def taps(weight):
    return weight.permute(2, 3, 0, 1)  # (k, k, n_out, n_in)


@varied
@given(n_out=sizes, n_in=sizes, seed=seeds)
def test_dense_rectangles(n_out, n_in, seed):
    draw = normal(n_out, n_in, seed=seed)
    weight = orthogonal(draw)
    assert isometry_defect(weight) < 1e-13
    assert weight.square().mean().item() == pytest.approx(1, rel=1e-13)  # unit variance
    for scheme in (flat_orthogonal, delta_orthogonal):
        assert torch.equal(scheme(draw), weight)


@varied
@given(n_out=sizes, n_in=sizes, k=kernels, seed=seeds)
def test_convolutions(n_out, n_in, k, seed):
    draw = normal(n_out, n_in, k, k, seed=seed)
    assert gaussian(draw) is draw
    per_tap, flat = orthogonal(draw), flat_orthogonal(draw)
    assert isometry_defect(taps(per_tap)) < 1e-13
    assert taps(per_tap).square().mean((2, 3)).sub(1).abs().max() < 1e-13  # unit variance in every tap
    assert isometry_defect(flat.flatten(1)) < 1e-13
    assert flat.square().mean().item() == pytest.approx(1, rel=1e-13)
    assert per_tap.shape == flat.shape == draw.shape


@varied
@given(n_in=sizes, more=st.integers(0, 12), k=kernels, seed=seeds)
def test_delta_orthogonal_convolutions(n_in, more, k, seed):
    weight = delta_orthogonal(normal(n_in + more, n_in, k, k, seed=seed))
    centre = weight[:, :, k // 2, k // 2]
    assert isometry_defect(centre / k) < 1e-13
    assert weight.square().mean().item() == pytest.approx(1, rel=1e-13)  # the total variance of the other schemes
    assert torch.count_nonzero(weight) == torch.count_nonzero(centre)


@varied
@given(n_out=sizes, less=st.integers(1, 12), k=kernels)
def test_delta_orthogonal_needs_as_many_outputs_as_inputs(n_out, less, k):
    delta_orthogonal(normal(n_out, n_out, k, k))
    with pytest.raises(InvalidValue, match=f"n_in ≤ n_out in every convolution, not {n_out + less} inputs to {n_out}"):
        delta_orthogonal(normal(n_out, n_out + less, k, k))


@pytest.mark.parametrize("n_in, width", [(300, 400), (400, 300), (300, 300), (1, 50), (50, 1)])
def test_networks_in_float32_are_orthogonal_to_1e_5(n_in, width):
    net = initialize(FCN(n_in, 10, width, 3), "orthogonal", torch.Generator().manual_seed(0))
    assert all(layer.weight.dtype == torch.float32 for layer in net.layers)
    assert max(isometry_defect(layer.weight.detach()) for layer in net.layers) < 1e-5


@pytest.mark.parametrize("n_in, n_out", [(48, 48), (48, 64), (64, 48)])
def test_convolutions_in_float32_are_orthogonal_to_1e_5(n_in, n_out):
    conv, generator = Conv(n_in, n_out), torch.Generator().manual_seed(0)
    assert isometry_defect(taps(initialize(conv, "orthogonal", generator).weight.detach())) < 1e-5
    assert isometry_defect(initialize(conv, "flat_orthogonal", generator).weight.detach().flatten(1)) < 1e-5
    if n_in <= n_out:
        centre = initialize(conv, "delta_orthogonal", generator).weight.detach()[:, :, 1, 1]
        assert isometry_defect(centre / 3) < 1e-5


def test_gaussian_weights_are_not_orthogonal():
    assert isometry_defect(normal(64, 64)) > 0.5  # what the tests above would see of a scheme that did nothing


def test_a_tap_depends_on_its_own_part_of_the_draw_alone():
    """So taps of one `orthogonal` weight are independent, since the parts are; those of `flat_orthogonal` are not."""
    draw = normal(5, 4, 3, 3)
    changed = normal(5, 4, 3, 3, seed=1)
    for i in range(3):
        for j in range(3):
            changed_elsewhere = changed.clone()
            changed_elsewhere[:, :, i, j] = draw[:, :, i, j]
            same = [
                torch.equal(scheme(changed_elsewhere)[:, :, i, j], scheme(draw)[:, :, i, j])
                for scheme in (orthogonal, flat_orthogonal)
            ]
            assert same == [True, False]


@varied
@given(n_out=sizes, n_in=sizes, k=kernels, seed=seeds)
def test_the_factor_comes_from_the_draw(n_out, n_in, k, seed):
    """G = Q·R (Gᵀ = Q·R where there are more inputs) with a positive diagonal of R, which determines Q."""
    draw = normal(n_out, n_in, k, k, seed=seed)
    assert_factor(taps(draw), taps(orthogonal(draw)))
    assert_factor(draw.flatten(1), flat_orthogonal(draw).flatten(1))
    if n_in <= n_out:
        assert_factor(draw[:, :, k // 2, k // 2], delta_orthogonal(draw)[:, :, k // 2, k // 2] / k)


def test_a_delta_orthogonal_kernel_need_not_be_square():
    """Its total variance counts both sides: ‖W‖² is n_in·k₁k₂·max(n_out, n_in)."""
    weight = delta_orthogonal(normal(6, 4, 3, 5, seed=0))
    assert weight.square().sum().item() == pytest.approx(4 * 15 * 6, rel=1e-12)
    assert weight[:, :, 1, 2].square().sum().item() == pytest.approx(4 * 15 * 6, rel=1e-12)
