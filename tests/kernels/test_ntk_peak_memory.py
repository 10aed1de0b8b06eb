"""`memory_limit` is kept to, as the operating system sees it."""

import json
import subprocess
import sys
import textwrap

import pytest

PEAK = """
    import json, resource, sys, threading
    import torch
    from torch import nn
    from orthontk.init import initialize
    from orthontk.kernels import empirical_ntk
    from orthontk.networks import CNN, FCN

    torch.set_num_threads(1)
    class Recurrent(nn.Module):  # one convolution, many times
        def __init__(self):
            super().__init__()
            self.layer, self.readout = nn.Conv2d(16, 16, 5, padding=2), nn.Linear(16 * 144, 4)
        def forward(self, x):
            for _ in range(12):
                x = torch.tanh(self.layer(x))
            return self.readout(x.flatten(1))
    def orthogonal():
        return nn.utils.parametrizations.orthogonal(nn.Linear(128, 128), orthogonal_map="matrix_exp")
    grouped = nn.Sequential(nn.Conv2d(512, 512, 3, groups=2), nn.Tanh(), nn.Flatten(), nn.Linear(2048, 10))
    class FirstToken(nn.Module):  # whose gradients need a part of what is held
        def __init__(self):
            super().__init__()
            self.table, self.readout = nn.Embedding(50, 64).requires_grad_(False), nn.Linear(64, 2)
        def forward(self, x):
            return self.readout(self.table(x.long().abs() % 50)[:, 0])
    class LSTM(nn.Module):  # left to torch.func
        def __init__(self):
            super().__init__()
            self.layer, self.readout = nn.LSTM(16, 64, batch_first=True), nn.Linear(64, 5)
        def forward(self, x):
            return self.readout(self.layer(x)[0][:, -1])
    def features():
        return nn.Sequential(nn.Conv2d(3, 64, 3, padding=1), nn.ReLU(), nn.Conv2d(64, 64, 3, padding=1), nn.ReLU())
    class Frozen(nn.Module):  # of which autograd keeps nothing
        def __init__(self):
            super().__init__()
            self.features, self.readout = features().requires_grad_(False), nn.Linear(64, 10)
        def forward(self, x):
            with torch.no_grad():
                h = self.features(x).mean((2, 3))
            return self.readout(h)
    class Forces(nn.Module):  # whose transforms do not let autograd say what it keeps
        def __init__(self):
            super().__init__()
            self.features, self.readout = features(), nn.Linear(64, 1)
        def forward(self, x):
            energy = lambda one: self.readout(torch.tanh(self.features(one)).mean((1, 2))).sum()
            return torch.func.vmap(torch.func.grad(energy))(x)[:, :, 12, 12]
    class LongConvolution(nn.Module):  # with a kernel that is larger than the parameters it is made of
        def __init__(self):
            super().__init__()
            self.enter, self.readout = nn.Linear(1, 64), nn.Linear(64, 10)
            self.rates, self.sizes = nn.Parameter(torch.rand(64, 16)), nn.Parameter(torch.randn(64, 16) / 10)
        def forward(self, x):
            length = x.shape[1]
            modes = self.sizes[..., None] * torch.exp(-self.rates[..., None] * torch.arange(length))
            h, kernel = self.enter(x).mT, modes.sum(1)
            product = torch.fft.rfft(h, n=2 * length) * torch.fft.rfft(kernel, n=2 * length)
            return self.readout(torch.tanh(torch.fft.irfft(product, n=2 * length)[..., :length]).mean(-1))
    class Unrolled(nn.Module):  # one dense layer, many times
        def __init__(self):
            super().__init__()
            self.layer, self.readout = nn.Linear(100, 100), nn.Linear(100, 8)
        def forward(self, x):
            h = torch.zeros_like(x)
            for _ in range(40):
                h = torch.tanh(self.layer(h) + x)
            return self.readout(h)
    nets = {
        "narrow": (FCN(20, 10, width=64, depth=2), (20,)),
        "unrolled": (Unrolled(), (100,)),
        "frozen": (Frozen(), (3, 48, 48)),
        "forces": (Forces(), (3, 24, 24)),
        "long convolution": (LongConvolution(), (256, 1)),
        "LSTM": (LSTM(), (10, 16)),
        "grouped": (grouped, (512, 4, 4)),
        "recurrent": (Recurrent(), (16, 12, 12)),
        "first token": (FirstToken(), (512,)),
        "deep": (FCN(100, 10, width=400, depth=50), (100,)),
        "orthogonal": (nn.Sequential(orthogonal(), nn.Tanh(), orthogonal(), nn.Tanh(), nn.Linear(128, 10)), (128,)),
        "FCN": (FCN(784, 10, width=512, depth=4), (784,)),
        "CNN": (CNN(3, 16, 10, width=32, depth=4), (3, 16, 16)),
    }
    net, shape = nets[sys.argv[1]]
    n, limit, outputs = int(sys.argv[2]), int(sys.argv[3]), sys.argv[4]
    if isinstance(net, FCN | CNN):
        initialize(net, "gaussian", torch.Generator().manual_seed(0))
    x = torch.randn(n, *shape)
    empirical_ntk(net, x[:3], outputs=outputs)  # libraries set up their own buffers
    def resident():
        return int(open("/proc/self/statm").read().split()[1]) * resource.getpagesize()
    before, peak, done = resident(), 0, threading.Event()
    def watch():
        global peak
        while not done.wait(0.002):
            peak = max(peak, resident())
    watcher = threading.Thread(target=watch)
    watcher.start()
    theta = empirical_ntk(net, x, memory_limit=limit, outputs=outputs)
    done.set()
    watcher.join()
    print(json.dumps({"used": peak - before, "result": theta.nbytes}))
"""


@pytest.mark.parametrize(
    ("kind", "examples", "limit_mb", "outputs"),
    [
        ("FCN", 400, 100, "full"),
        pytest.param("FCN", 400, 100, "trace", marks=pytest.mark.slow),
        pytest.param("narrow", 400, 55, "full", marks=pytest.mark.slow),
        pytest.param("unrolled", 100, 60, "full", marks=pytest.mark.slow),
        pytest.param("CNN", 60, 120, "full", marks=pytest.mark.slow),
        pytest.param("grouped", 10, 100, "full", marks=pytest.mark.slow),
        pytest.param("recurrent", 40, 100, "full", marks=pytest.mark.slow),
        pytest.param("LSTM", 128, 100, "full", marks=pytest.mark.slow),
        pytest.param("first token", 400, 30, "full", marks=pytest.mark.slow),
        pytest.param("deep", 190, 200, "trace", marks=pytest.mark.slow),
        pytest.param("orthogonal", 40, 40, "full", marks=pytest.mark.slow),
        pytest.param("frozen", 200, 50, "full", marks=pytest.mark.slow),
        pytest.param("forces", 60, 50, "full", marks=pytest.mark.slow),
        pytest.param("long convolution", 40, 100, "full", marks=pytest.mark.slow),
    ],
)
def test_peak_memory_stays_within_the_limit(kind, examples, limit_mb, outputs):
    limit = limit_mb * 2**20
    command = [sys.executable, "-c", textwrap.dedent(PEAK), kind, str(examples), str(limit), outputs]
    # By default glibc keeps freed blocks of up to 32 MB, which would count here though they are free.
    environment = {"MALLOC_MMAP_THRESHOLD_": "65536", "PYTHONPATH": ":".join(sys.path), "OMP_NUM_THREADS": "1"}
    answer = subprocess.run(command, capture_output=True, text=True, env=environment)
    assert answer.returncode == 0, answer.stderr
    measured = json.loads(answer.stdout)
    assert measured["used"] <= 1.2 * limit + measured["result"]
    assert measured["used"] > 0.2 * limit  # the limit was put to use
