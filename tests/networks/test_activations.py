"""Which modules may be φ, and that every layer has its own."""

import pytest
import torch
from torch import nn

from elementwise import Elementwise
from orthontk.checks import InvalidValue
from orthontk.networks import ACTIVATIONS, CNN, FCN, make_activation

Z = torch.linspace(-3, 3, 25, dtype=torch.float64)


class Frequency(nn.Module):
    """A user's own φ with a parameter."""

    def __init__(self):
        super().__init__()
        self.frequency = nn.Parameter(torch.tensor(2.0))

    def forward(self, z):
        return torch.sin(self.frequency * z)


class Centred(nn.Module):
    """No φ: it mixes the batch."""

    def forward(self, z):
        return z - z.mean(0)


class Overwriting(nn.Module):
    """No φ: it destroys the pre-activations, and has no switch to stop it."""

    def forward(self, z):
        return z.mul_(2)


class Noisy(nn.Module):
    """No φ: random, though by too little for outputs to tell."""

    def forward(self, z):
        return z + 1e-30 * torch.randn_like(z)


def test_the_named_activations_are_those_of_the_definitions():
    assert list(ACTIVATIONS) == ["tanh", "erf", "relu", "leaky_relu", "gelu", "identity"]


@pytest.mark.parametrize(
    "module", [Elementwise(torch.sin), Frequency(), nn.Softplus(beta=2), nn.Sequential(nn.Tanh(), nn.ELU())]
)
def test_elementwise_modules_are_copied(module):
    phi = make_activation(module)
    assert phi is not module and torch.equal(phi(Z), module(Z))


ELEMENTWISE = [
    "CELU",
    "ELU",
    "GELU",
    "Hardshrink",
    "Hardsigmoid",
    "Hardswish",
    "Hardtanh",
    "Identity",
    "LeakyReLU",
    "LogSigmoid",
    "Mish",
    "PReLU",
    "ReLU",
    "ReLU6",
    "SELU",
    "Sequential",
    "SiLU",
    "Sigmoid",
    "Softplus",
    "Softshrink",
    "Softsign",
    "Tanh",
    "Tanhshrink",
]


@pytest.mark.filterwarnings("ignore")  # of deprecated classes
def test_of_all_torch_nn_names_the_elementwise_ones_are_accepted():
    """Every class of torch.nn either makes an activation or is refused as a value; none escapes with another error."""
    accepted = []
    classes = (name for name, c in vars(nn).items() if isinstance(c, type) and issubclass(c, nn.Module))
    for name in sorted(set(classes) - {"Transformer"}):  # 44 million parameters, refused for what it is below
        try:
            make_activation(name)
            accepted.append(name)
        except InvalidValue as refusal:
            assert refusal.name == "activation" and refusal.value == name
    assert accepted == ELEMENTWISE


@pytest.mark.parametrize(
    "refused, valid",
    [
        (nn.Softmax(dim=-1), nn.Sigmoid()),
        (nn.Softmax(dim=0), nn.Sigmoid()),
        (nn.Softmax2d(), nn.Softplus()),
        (nn.GLU(), nn.GELU()),
        (nn.Dropout(0.5), nn.Identity()),
        (nn.Dropout(1e-9), nn.Identity()),  # drops next to nothing, yet is random
        (nn.Dropout(0.5).eval(), nn.Identity()),  # until Lightning sets the network to train
        (nn.AlphaDropout(0.5), nn.SELU()),
        (nn.RReLU(), nn.LeakyReLU(0.2)),
        (nn.RReLU().eval(), nn.LeakyReLU(0.2)),
        (nn.BatchNorm1d(4), nn.Tanh()),
        (nn.BatchNorm1d(4).eval(), nn.Tanh()),
        (nn.LayerNorm(4), nn.Tanh()),
        (nn.Flatten(), nn.Identity()),
        (nn.PReLU(4), nn.PReLU()),  # a slope for each channel
        (nn.Linear(4, 4), nn.Tanh()),
        (nn.Sequential(nn.Tanh(), nn.Dropout()), nn.Sequential(nn.Tanh(), nn.Identity())),
        (Centred(), Elementwise(torch.sin)),
        (Overwriting(), Elementwise(torch.sin)),
        (Noisy(), Elementwise(torch.sin)),
    ],
    ids=repr,
)
def test_modules_that_mix_elements_or_are_random_are_refused(refused, valid):
    make_activation(valid)
    with pytest.raises(InvalidValue, match="expected an elementwise, deterministic module"):
        make_activation(refused)


@pytest.mark.filterwarnings("ignore:Implicit dimension choice")
@pytest.mark.parametrize(
    "refused, valid",
    [
        ("tanhh", "tanh"),
        ("Relu", "relu"),
        ("silu", "SiLU"),
        ("", "identity"),
        ("Softmax", "Sigmoid"),
        ("Linear", "Identity"),
        (None, "identity"),
        (1, "identity"),
        (["relu"], "relu"),
        (torch.tanh, nn.Tanh()),
        (nn.Tanh, nn.Tanh()),
    ],
    ids=lambda value: getattr(value, "__name__", repr(value)),
)
def test_unknown_activations_are_refused(refused, valid):
    for build in (make_activation, lambda phi: FCN(2, 1, 3, 2, phi), lambda phi: CNN(1, 3, 1, 2, 2, activation=phi)):
        build(valid)
        with pytest.raises(InvalidValue) as refusal:
            build(refused)
        assert refusal.value.name == "activation"


def test_the_trial_leaves_the_random_state_and_the_module_alone():
    state, module = torch.get_rng_state(), nn.PReLU().eval()
    make_activation(module)
    with pytest.raises(InvalidValue):
        make_activation(nn.Dropout())
    assert torch.equal(torch.get_rng_state(), state) and not module.training


@pytest.mark.parametrize("module", [nn.ReLU(inplace=True), nn.Sequential(nn.ELU(inplace=True), nn.Tanh())], ids=repr)
def test_pre_activations_survive_a_module_that_works_in_place(module):
    phi, z = make_activation(module), Z.clone()
    expected = module(Z.clone())
    assert torch.equal(phi(z), expected) and torch.equal(z, Z)


@pytest.mark.parametrize("phi", ["PReLU", nn.PReLU(init=0.1)], ids=["by name", "module"])
@pytest.mark.parametrize(
    "build", [lambda phi: FCN(3, 2, 4, 4, phi), lambda phi: CNN(3, 4, 2, 4, 4, activation=phi)], ids=["FCN", "CNN"]
)
def test_prelu_has_a_parameter_of_its_own_in_every_layer(build, phi):
    net = build(phi)
    slopes = [module.weight for module in net.activations]
    others = [phi.weight] if isinstance(phi, nn.Module) else []
    assert len({id(slope) for slope in slopes + others}) == 3 + len(others)  # one for each hidden layer
    assert all(any(slope is p for p in net.parameters()) for slope in slopes)
    before = slopes[1].item()
    slopes[0].data.fill_(0.7)
    assert slopes[1].item() == before
    assert all(other.item() == pytest.approx(0.1) for other in others)


def test_a_parameter_of_phi_is_trained():
    net = FCN(3, 1, 4, 3, Frequency())
    for layer in net.layers:
        nn.init.ones_(layer.weight)
    net(torch.ones(2, 3)).sum().backward()
    assert all(float(phi.frequency.grad) != 0 for phi in net.activations)
