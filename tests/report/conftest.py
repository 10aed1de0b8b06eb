"""A folder of real runs, its page, and Chromium to look at it with; made once, for all tests in a browser."""

import shutil
import subprocess
import sys
from contextlib import contextmanager
from pathlib import Path

import pytest

from launched import launched
from small_run import SMALL

EVIL = "<img src=x onerror=alert(1)>"
# As root and without a network: Chromium must neither use its sandbox nor call home.
FLAGS = ["--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-background-networking",
         "--disable-component-update", "--disable-sync"]  # fmt: skip
FULL_BATCH = ("data.batch_size=full", "loss=mse", "optimizer.lr=0.5", "trainer.max_steps=20")
ALONE = ("callbacks=[ntk,prediction,jacobian_spectrum]", "callbacks.ntk.steps=[0,5,20]",
         "callbacks.prediction.test_size=20", "init=orthogonal")  # fmt: skip
ENSEMBLE = ("callbacks=[ntk,tau]", "ensemble.seeds=3", "ensemble.inits=[gaussian,orthogonal]",
            "ensemble.learning_rates=[0.5,2]", "callbacks.tau.threshold=0.2", "trainer.max_steps=20")  # fmt: skip
STUDY = ("-m", "experiment=kernel_drift", "model.width=4,8,16", "trainer.max_steps=3", "study.smallest_width=4",
         "model.depth=4", "callbacks.ntk.steps=[0,3]", "seed=0,1")  # fmt: skip


def train(out: Path, *arguments: str) -> None:
    launched("model=fcn", *SMALL, *arguments, f"paths.output_dir={out}").check_returncode()


@pytest.fixture(scope="session")
def real_runs(tmp_path_factory) -> Path:
    """Single runs, an ensemble, a study, one that is half finished, and one whose name and settings are markup."""
    out = tmp_path_factory.mktemp("real") / "outputs"
    train(out, "name=single", *FULL_BATCH, *ALONE)
    train(out, "name=ensemble", *ENSEMBLE)
    train(out, *STUDY)
    (single,) = (out / "single").iterdir()
    half = shutil.copytree(single, out / "single" / "half-finished")
    (half / "summary.json").unlink()
    rows = (half / "metrics.csv").read_text().splitlines()
    (half / "metrics.csv").write_text("\n".join(rows[:4]) + "\n")
    evil = shutil.copytree(single, out / "single" / EVIL)
    settings = (evil / "config.yaml").read_text().replace("activation: tanh", 'activation: "</script><b>bold</b>"')
    (evil / "config.yaml").write_text(settings)
    return out


@pytest.fixture(scope="session")
def page_file(real_runs) -> Path:
    """`python -m orthontk.report` on them."""
    command = [sys.executable, "-m", "orthontk.report", str(real_runs)]
    result = subprocess.run(command, capture_output=True, text=True, timeout=500)
    assert result.returncode == 0, result.stderr
    return real_runs / "report" / "index.html"


@pytest.fixture(scope="session")
def chromium():
    from playwright.sync_api import expect, sync_playwright

    expect.set_options(timeout=60_000)  # the machine may be busy
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=shutil.which("chromium"), args=FLAGS, timeout=120_000)
        yield browser
        browser.close()


@pytest.fixture
def open_page(chromium):
    """`with open_page(file, "#runs") as page:`, which fails if anything goes wrong or is asked for elsewhere."""

    @contextmanager
    def opened(file: Path, route: str = "", **settings):
        context = chromium.new_context(**{"viewport": {"width": 1280, "height": 900}, **settings})
        page = context.new_page()
        page.set_default_timeout(120_000)
        wrong: list[str] = []
        page.on("console", lambda message: wrong.append(message.text) if message.type in ("error", "warning") else None)
        page.on("pageerror", lambda error: wrong.append(str(error)))
        page.on("dialog", lambda dialog: (wrong.append(dialog.message), dialog.dismiss()))
        page.on("request", lambda request: None if is_local(request.url) else wrong.append(request.url))
        page.goto(f"file://{file}{route}")
        page.wait_for_function("current !== null")
        yield page
        assert wrong == []
        context.close()

    return opened


def is_local(url: str) -> bool:
    return url.startswith(("file:", "data:", "blob:"))
