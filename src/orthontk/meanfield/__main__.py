"""Print what mean-field theory says of a setting, and the infinite-width NTK's spectrum against depth.

python -m orthontk.meanfield --activation tanh --critical 0.0259 --depths 2 10 50 100
python -m orthontk.meanfield --activation tanh --phase-diagram tanh.png
"""

import argparse
import sys
from pathlib import Path

import numpy as np
import torch
from matplotlib.backend_bases import FigureCanvasBase
from rich.table import Table

from orthontk.checks import InvalidValue, check_seed, integer
from orthontk.files import replacing
from orthontk.kernels.infinite import infinite_kernels
from orthontk.kernels.infinite.gaussian import as_activation
from orthontk.kernels.measures import condition_number, effective_rank, eigenvalues
from orthontk.meanfield.correlation import correlation_fixed_point, correlation_length
from orthontk.meanfield.critical import chi_1, critical_point
from orthontk.meanfield.fixed_point import every_length_is_fixed, fixed_point
from orthontk.meanfield.phase_diagram import phase_diagram, plot_phase_diagram
from orthontk.networks import FCN
from orthontk.terminal import console as open_console

# Of what is refused under the name that a function has for it.
OPTIONS = {"activation": "--activation", "weight_var": "--weight-var", "bias_var": "--bias-var"}
OPTIONS |= {"q_star": "--critical", "depth": "--depths"}


def main(arguments: list[str] | None = None) -> None:
    options = _parser().parse_args(arguments)
    try:
        as_activation(options.activation)  # refused here, it is no setting without a fixed point
        if options.phase_diagram is None:
            _print_setting(options)
        else:
            _require_activation_alone(options)
            _draw_phase_diagram(options.activation, _image(options.phase_diagram))
    except InvalidValue as refusal:
        option = OPTIONS.get(refusal.name, refusal.name)
        sys.exit(f"error: {InvalidValue(option, refusal.value, refusal.accepted)}")


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m orthontk.meanfield",
        description="Fixed points of a setting, and spectrum and condition number of its infinite-width NTK by depth.",
    )
    parser.add_argument("--activation", default="tanh")
    parser.add_argument("--weight-var", type=float, help="sigma_w^2 (default 1.05)")
    parser.add_argument("--bias-var", type=float, help="sigma_b^2 (default 2.01e-5)")
    parser.add_argument(
        "--critical", type=float, metavar="Q", help="the critical point with q* = Q, instead of the two"
    )
    parser.add_argument("--depths", type=int, nargs="+", default=[2, 5, 10, 20, 50, 100])
    parser.add_argument("--inputs", type=int, default=64, help="random inputs of equal length (default 64)")
    parser.add_argument("--features", type=int, default=784, help="entries of an input (default 784)")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument(
        "--phase-diagram",
        type=Path,
        metavar="FILE.png",
        help="draw chi_1 and xi_c over both variances instead; FILE.csv has q*, too",
    )
    return parser


def _require_activation_alone(options: argparse.Namespace) -> None:
    """Refuse to draw a phase diagram of a setting: it is that of all variances."""
    parser = _parser()
    for name, value in vars(options).items():
        if name not in ("activation", "phase_diagram") and value != parser.get_default(name):
            accepted = f"without --{name.replace('_', '-')}, as it shows every setting of an activation"
            raise InvalidValue("--phase-diagram", options.phase_diagram, accepted)


def _image(path: Path) -> Path:
    """The path with its ending, if an image can be written there."""
    path = path if path.suffix else path.with_suffix(".png")
    formats = sorted(FigureCanvasBase.get_supported_filetypes())
    if not path.parent.is_dir():
        raise InvalidValue("--phase-diagram", path, "a file in a folder that exists")
    if path.suffix[1:].lower() not in formats:
        raise InvalidValue("--phase-diagram", path, "an image that Matplotlib writes: " + ", ".join(formats))
    return path


def _draw_phase_diagram(activation: str, path: Path) -> None:
    """The figure, and the same as a table beside it."""
    diagram = phase_diagram(activation, np.linspace(0.5, 4.0, 36), np.linspace(0.0, 0.3, 16), progress=True)
    plot_phase_diagram(diagram).savefig(path, dpi=200)
    variances = np.meshgrid(diagram.weight_vars, diagram.bias_vars)
    fields = [*variances, diagram.q_star, diagram.chi_1, diagram.correlation_length]  # each (B, W)
    names = "weight_var,bias_var,q_star,chi_1,correlation_length"
    with replacing(path.with_suffix(".csv")) as partial:
        np.savetxt(partial, np.stack(fields, -1).reshape(-1, len(fields)), "%.8g", ",", header=names, comments="")
    print(f"{path}\n{path.with_suffix('.csv')}")


def _print_setting(options: argparse.Namespace) -> None:
    inputs, features = integer("--inputs", options.inputs), integer("--features", options.features)
    weight_var, bias_var = _variances(options)
    generator = torch.Generator().manual_seed(check_seed("--seed", options.seed))
    x = torch.randn(inputs, features, generator=generator, dtype=torch.float64)
    x *= (features**0.5) / x.norm(dim=1, keepdim=True)
    # All networks are made before the first kernel is computed, and all kernels before anything is printed: what
    # refuses a value comes first.
    nets = [FCN(features, 1, 1, depth, options.activation, weight_var, bias_var) for depth in options.depths]
    table = Table("depth", "NTK(x,x)", "largest", "median", "smallest eigenvalue", "condition number", "effective rank")
    for net in nets:
        table.add_row(str(net.depth), *_spectrum(_ntk(net, x, options.critical)))
    print(f"{options.activation}: weight_var {weight_var:.6g}, bias_var {bias_var:.6g}")
    print(_fixed_points(options.activation, weight_var, bias_var))
    open_console().print(table)


def _variances(options: argparse.Namespace) -> tuple[float, float]:
    if options.critical is None:
        weight_var = 1.05 if options.weight_var is None else options.weight_var
        return weight_var, 2.01e-5 if options.bias_var is None else options.bias_var
    if options.weight_var is not None or options.bias_var is not None:
        raise InvalidValue("--critical", options.critical, "without --weight-var and --bias-var, which follow from it")
    return critical_point(options.activation, options.critical)


def _ntk(net: FCN, x: torch.Tensor, critical: float | None) -> torch.Tensor:
    """Refused lengths are those of the critical point, if it was given."""
    try:
        return infinite_kernels(net, x).ntk
    except InvalidValue as refusal:
        if critical is None:
            raise
        raise InvalidValue(
            "--critical", critical, f"another length, or an activation as {refusal.accepted}"
        ) from refusal


def _fixed_points(activation: str, weight_var: float, bias_var: float) -> str:
    if every_length_is_fixed(activation, weight_var, bias_var):
        return "q*: every length is a fixed point, chi_1 1, correlation length inf layers"
    try:
        q_star = fixed_point(activation, weight_var, bias_var)
    except InvalidValue as refusal:  # the kernels exist all the same
        return f"no fixed point: {refusal}"
    chi = chi_1(activation, weight_var, q_star)
    length = correlation_length(activation, weight_var, bias_var)
    c_star = f"c* {correlation_fixed_point(activation, weight_var, bias_var):.6g}, " if q_star > 0 else ""
    return f"q* {q_star:.6g}, {c_star}chi_1 {chi:.6g}, correlation length {length:.6g} layers"


def _spectrum(ntk: torch.Tensor) -> list[str]:
    spectrum = eigenvalues(ntk)
    values = ntk.diag().mean(), spectrum[-1], spectrum.median(), spectrum[0], condition_number(spectrum, ntk)
    return [*(f"{float(v):.4g}" for v in values), f"{effective_rank(spectrum):.1f}"]


if __name__ == "__main__":
    main()
