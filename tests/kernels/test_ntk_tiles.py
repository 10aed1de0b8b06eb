"""Tiles: results the same as untiled, memory within the limit, results on disk, interrupted computations resumed."""

import numpy as np
import pytest
import torch
from drawn import gaussian, inputs
from hypothesis import given, settings
from hypothesis import strategies as st
from naive_ntk import naive_ntk

from orthontk.checks import InvalidValue
from orthontk.kernels import empirical, empirical_ntk, explain_ntk
from orthontk.kernels.grain import Grain, grain_of
from orthontk.kernels.grid import Grid
from orthontk.kernels.problem import OUTPUTS
from orthontk.kernels.tile import computed_pairs, parts
from orthontk.networks import CNN, FCN

FCN_NET = gaussian(FCN(6, 3, width=8, depth=3, weight_var=1.5, bias_var=0.1))
CNN_NET = gaussian(CNN(2, 4, 3, width=4, depth=3, weight_var=1.5, bias_var=0.1))


@given(st.integers(1, 400), st.integers(1, 12), st.sampled_from([64, 1024]))
def test_parts_hold_each_pair_once(examples, directions, leaf_rows):
    """Every pair of the upper triangle once, and of the lower one only what lies in blocks on the diagonal."""
    pairs = torch.zeros(examples, examples)
    for part in parts(examples, examples, directions, same=True, leaf_rows=leaf_rows):
        part.of_pairs(pairs).add_(1)
    assert torch.equal(pairs.triu(), torch.ones_like(pairs).triu())
    assert set(pairs.tril(-1).unique().tolist()) <= {0, 1}
    assert pairs.sum() * directions**2 == computed_pairs(directions, examples, examples, True, leaf_rows)


@pytest.mark.parametrize("directions", [1, 10])
def test_large_triangles_save_almost_half(directions):
    assert computed_pairs(directions, 1024, 1024, True, 64) <= 0.57 * 1024**2 * directions**2


@settings(max_examples=40, deadline=None)
@given(
    st.sampled_from(["FCN", "CNN"]),
    st.sampled_from(OUTPUTS),
    st.integers(1, 7),
    st.none() | st.integers(1, 7),
    st.integers(1, 7),
    st.integers(1, 7),
    st.integers(2, 5),
)
def test_any_tiling_gives_the_same_kernel(kind, outputs, n1, n2, size1, size2, held):
    net, shape = (FCN_NET, (6,)) if kind == "FCN" else (CNN_NET, (2, 4, 4))
    x1, x2 = inputs(n1, *shape), None if n2 is None else inputs(n2, *shape, seed=2)
    problem = empirical.prepare(net, x1, x2, outputs, None, None)
    problem.make_plan()
    whole = empirical.compute(problem, None, progress=False)
    assert len(list(problem.grid.tiles())) == 1

    def cut(n: int, size: int) -> list[slice]:  # the last one smaller
        return [slice(start, min(start + size, n)) for start in range(0, n, size)]

    blocks1 = cut(n1, size1)
    problem.grid = Grid(blocks1, blocks1 if n2 is None else cut(n2, size2), n2 is None, held)
    tiled = empirical.compute(problem, None, progress=False)
    torch.testing.assert_close(tiled, whole, rtol=1e-12, atol=1e-12)
    if n2 is None:
        assert torch.equal(tiled, tiled.transpose(0, 1).transpose(2, 3) if outputs == "full" else tiled.T)


GRAINS = [Grain(1, 1, 1, 1), Grain(7, 50, 2000, 300), grain_of(torch.device("cuda"), 2**31)]


@pytest.mark.parametrize("grain", GRAINS)
@pytest.mark.parametrize("outputs", OUTPUTS)
def test_the_device_changes_no_kernel(outputs, grain, monkeypatch):
    monkeypatch.setattr("orthontk.kernels.problem.grain_of", lambda device, limit: grain)
    for net, x in ((FCN_NET, inputs(23, 6)), (CNN_NET, inputs(9, 2, 4, 4))):
        torch.testing.assert_close(
            empirical_ntk(net, x, outputs=outputs), naive_ntk(net, x, None, outputs), rtol=1e-10, atol=1e-10
        )


def test_the_limit_decides_the_tiles_and_nothing_else():
    x = inputs(40, 6)
    limits = 80_000, 200_000, 2**30
    tables = [explain_ntk(FCN_NET, x, memory_limit=limit) for limit in limits]
    assert tables[0].tiles > tables[1].tiles > tables[2].tiles == 1
    assert tables[0].tile_examples < tables[1].tile_examples < tables[2].tile_examples == (40, 40)
    assert tables[2].examples_in_passes == tables[2].examples == 40
    expected = naive_ntk(FCN_NET, x)
    for limit in limits:
        theta = empirical_ntk(FCN_NET, x, memory_limit=limit)
        torch.testing.assert_close(theta, expected, rtol=1e-10, atol=1e-10)


@pytest.mark.parametrize("limit", [0, -5, 1.5, 10])
def test_an_impossible_limit_is_refused(limit):
    with pytest.raises(InvalidValue, match=r"memory_limit=.*at least"):
        empirical_ntk(FCN_NET, inputs(4, 6), memory_limit=limit)


@pytest.mark.parametrize("outputs", OUTPUTS)
def test_result_on_disk(tmp_path, outputs):
    x1, x2 = inputs(30, 6), inputs(7, 6, seed=2)
    for second in (None, x2):
        path = tmp_path / f"{outputs}_{second is None}.npy"
        theta = empirical_ntk(FCN_NET, x1, second, outputs=outputs, out=path, memory_limit=100_000)
        expected = naive_ntk(FCN_NET, x1, second, outputs)
        torch.testing.assert_close(theta, expected, rtol=1e-10, atol=1e-10)
        torch.testing.assert_close(torch.from_numpy(np.load(path)), expected, rtol=1e-10, atol=1e-10)


def test_changing_the_result_leaves_the_file_alone(tmp_path):
    path, x = tmp_path / "theta.npy", inputs(5, 6)
    theta = empirical_ntk(FCN_NET, x, out=path)
    before = theta.clone()
    theta /= theta.norm()
    assert torch.equal(theta, before / before.norm())
    assert torch.equal(empirical_ntk(FCN_NET, x, out=path), before)


def test_an_interrupted_computation_resumes_at_its_last_finished_tile(tmp_path, monkeypatch):
    path, x, limit = tmp_path / "theta.npy", inputs(40, 6), 50_000
    computed = []
    tile = empirical._compute_tile

    def until_the_fifth(problem, sides, i, j, theta, *rest):
        if len(computed) == 5:
            theta[problem.grid.blocks1[i], problem.grid.blocks1[j]] = -1.0  # a tile may be half written
            raise KeyboardInterrupt
        computed.append((i, j))
        tile(problem, sides, i, j, theta, *rest)

    monkeypatch.setattr(empirical, "_compute_tile", until_the_fifth)
    with pytest.raises(KeyboardInterrupt):
        empirical_ntk(FCN_NET, x, out=path, memory_limit=limit)
    with (path.parent / "theta.npy.tiles").open("a") as log:
        log.write("\n[3, 1")  # a process killed while it wrote
    monkeypatch.setattr(empirical, "_compute_tile", lambda *a: (computed.append(a[2:4]), tile(*a)))
    theta = empirical_ntk(FCN_NET, x, out=path, memory_limit=limit)
    assert len(computed) == len(set(computed)) == explain_ntk(FCN_NET, x, memory_limit=limit).tiles
    assert torch.equal(theta, empirical_ntk(FCN_NET, x, memory_limit=limit))
    count = len(computed)
    assert torch.equal(empirical_ntk(FCN_NET, x, out=path, memory_limit=limit), theta)
    assert len(computed) == count  # nothing left to do


def test_a_file_of_another_computation_is_never_overwritten(tmp_path):
    path, x = tmp_path / "theta.npy", inputs(5, 6)
    empirical_ntk(FCN_NET, x, out=path)
    content = path.read_bytes()
    others = [
        ("the inputs", lambda: empirical_ntk(FCN_NET, x + 1, out=path)),
        ("the inputs", lambda: empirical_ntk(FCN_NET, x, x, out=path)),
        ("outputs, dtype", lambda: empirical_ntk(FCN_NET, x, outputs="trace", out=path)),
        ("the network", lambda: empirical_ntk(gaussian(FCN(6, 3, width=9, depth=3)), x, out=path)),
    ]
    for different, other in others:
        with pytest.raises(InvalidValue, match=f"out=.* it differs in {different}"):
            other()
    assert path.read_bytes() == content
    foreign = tmp_path / "foreign.npy"
    foreign.write_bytes(b"something")
    with pytest.raises(InvalidValue, match="out="):
        empirical_ntk(FCN_NET, x, out=foreign)
    assert foreign.read_bytes() == b"something"


def test_a_file_begun_but_not_made_and_one_of_another_shape(tmp_path):
    path, x = tmp_path / "theta.npy", inputs(5, 6)
    theta = empirical_ntk(FCN_NET, x, out=path).clone()
    path.unlink()  # as if the process had died after it noted what it was to compute
    assert torch.equal(empirical_ntk(FCN_NET, x, out=path), theta)
    with path.with_name("theta.npy.tiles").open("a") as log:
        log.write("\nnoise]")
    assert torch.equal(empirical_ntk(FCN_NET, x, out=path), theta)
    np.save(path, theta.numpy().ravel())
    with pytest.raises(InvalidValue, match="out="):
        empirical_ntk(FCN_NET, x, out=path)


@pytest.mark.parametrize("name", ["theta.txt", "absent/theta.npy"])
def test_an_impossible_path_is_refused(tmp_path, name):
    with pytest.raises(InvalidValue, match="out="):
        empirical_ntk(FCN_NET, inputs(5, 6), out=tmp_path / name)
