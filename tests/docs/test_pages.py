"""Every command and code block of README and docs runs; every link leads somewhere."""

import faulthandler
import re
from pathlib import Path

import pytest
from blocks import COMMANDS, NOT_RUN, PROGRAM, SETTINGS, blocks, commands
from shorter import APPENDED

ROOT = Path(__file__).resolve().parents[2]
PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").rglob("*.md"))]
# What a command with one of these words talks to is brought up for its page.
SLURM, ONLINE = ("launcher=slurm", "sbatch "), ("orthontk.sync", "wandb sweep")
LINK = re.compile(r"\]\((?!\\)([^)\s]+)\)")  # a formula may look like one: [x](\alpha)


def name(page):
    return str(page.relative_to(ROOT))


def pages_that_run():
    """Each page with blocks that run; those that need SLURM are marked."""
    for page in PAGES:
        if runs(page):
            yield pytest.param(
                page, id=name(page), marks=[pytest.mark.slow, *[pytest.mark.slurm] * mentions(page, SLURM)]
            )


def mentions(page, words):
    found = [command for block in runs(page) if block.language in COMMANDS for command in commands(block)]
    return any(word in command for word in words for command in found)


def runs(page):
    return [block for block in blocks(page) if block.language not in NOT_RUN]


@pytest.mark.parametrize("page", pages_that_run())
def test_every_block_runs(page, checkout, request):
    faulthandler.cancel_dump_traceback_later()  # a page takes minutes; each command has a time limit of its own
    for words, clients in ((SLURM, "slurm_clients"), (ONLINE, "wandb_clients")):
        if mentions(page, words):
            checkout.environment.update(request.getfixturevalue(clients))
    for block in runs(page):
        checkout.run(block)


@pytest.mark.parametrize("page", PAGES, ids=name)
def test_every_block_is_of_a_kind_that_is_run(page):
    for block in blocks(page):
        assert block.language in (*COMMANDS, PROGRAM, SETTINGS, *NOT_RUN), f"line {block.line}: {block.language!r}"
    fences = page.read_text(encoding="utf-8").count("```")
    assert fences == 2 * len(blocks(page))


@pytest.mark.parametrize("page", PAGES, ids=name)
def test_links_lead_somewhere(page):
    for target in LINK.findall(page.read_text(encoding="utf-8")):
        if not target.startswith(("http://", "https://", "#")):
            assert (page.parent / target.partition("#")[0]).exists(), target


def test_what_is_made_shorter_is_there():
    """No entry of the table outlives its command."""
    found = [
        command for page in PAGES for block in runs(page) if block.language in COMMANDS for command in commands(block)
    ]
    for start in APPENDED:
        assert any(command.startswith(start) for command in found), start


@pytest.mark.parametrize("page", PAGES, ids=name)
def test_a_folder_of_one_run_is_made_by_no_other_page(page):
    """`outputs/NAME/*` is then the run's directory, whatever other pages a reader has followed."""
    read = set(re.findall(r"outputs/(\w+)/\*", shell_of(page)))
    for other in PAGES:
        if other != page:
            assert not read & set(re.findall(r"\bname=(\w+)", shell_of(other))), name(other)


def shell_of(page):
    return "\n".join(command for block in runs(page) if block.language in COMMANDS for command in commands(block))


def test_blocks_and_commands(tmp_path):
    page = tmp_path / "page.md"
    page.write_text(
        "Text.\n\n```console\n$ make run   # a comment\npython a.py \\\n    b=1 c='x # y'\n```\n"
        "\n```yaml\n# @package _global_\n# mine/a.yaml\nkey: 1\n```\n"
    )
    shell, file = blocks(page)
    assert (shell.language, shell.line, shell.file) == ("console", 3, None)
    assert commands(shell)[0] == "make run"
    assert file.file == "mine/a.yaml"
