"""What is built from the checkout: a library that works from any folder, with all of its files, and the pages."""

import os
import subprocess
import sys
import zipfile

import pytest
from blocks import PROGRAM, blocks

PIP = [sys.executable, "-m", "pip", "--quiet", "--disable-pip-version-check"]


@pytest.mark.slow
def test_the_library_installed(request, checkout, tmp_path):
    wheel = [*PIP, "wheel", "--no-deps", "--no-build-isolation", "--wheel-dir", str(tmp_path), str(checkout.folder)]
    subprocess.run(wheel, check=True, env=checkout.environment)
    (built,) = tmp_path.glob("orthontk-*.whl")
    installed = tmp_path / "installed"
    subprocess.run([*PIP, "install", "--no-deps", "--target", str(installed), str(built)], check=True)

    sources = [path for path in (checkout.folder / "src").rglob("*") if path.is_file()]
    packaged = {str(path.relative_to(checkout.folder / "src")) for path in sources if "egg-info" not in str(path)}
    assert packaged <= set(zipfile.ZipFile(built).namelist())

    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    environment = {**os.environ, "PYTHONPATH": str(installed)}
    where = "\nimport orthontk\nprint(orthontk.__file__)\n"
    examples = [block for block in blocks(request.config.rootpath / "README.md") if block.language == PROGRAM]
    assert examples
    for block in examples:
        command = [sys.executable, "-c", block.text + where]
        done = subprocess.run(command, cwd=elsewhere, env=environment, capture_output=True, text=True)
        assert done.returncode == 0, done.stderr
        assert done.stdout.strip().endswith(str(installed / "orthontk" / "__init__.py"))
    command = [sys.executable, "-m", "orthontk.meanfield", "--depths", "2"]
    assert "NTK" in subprocess.run(command, cwd=elsewhere, env=environment, capture_output=True, text=True).stdout


@pytest.mark.slow
def test_pages_build_without_a_warning(checkout):
    """Warnings are errors; and nothing in the pages asks for the network."""
    done = subprocess.run(
        ["make", "docs"], cwd=checkout.folder, env=checkout.environment, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr
    pages = checkout.folder / "docs" / "_build" / "html"
    mathematics = (pages / "mathematics.html").read_text(encoding="utf-8")
    assert "<math" in mathematics and "$" not in mathematics.partition("<article")[2].partition("</article>")[0]
    assert "empirical_ntk" in (pages / "api" / "kernels.html").read_text(encoding="utf-8")
    for page in pages.rglob("*.html"):
        text = page.read_text(encoding="utf-8")
        assert not [part for part in ('src="http', 'rel="stylesheet" href="http', "@import") if part in text], page
