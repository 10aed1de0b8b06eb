"""The fenced blocks of a Markdown page, and what makes each of them run."""

import re
from dataclasses import dataclass
from pathlib import Path

FENCE = re.compile(r"^(?P<indent> *)```(?P<language>[^\n`]*)\n(?P<text>.*?)^(?P=indent)```$", re.MULTILINE | re.DOTALL)
# A first line that names the file a block is; what Hydra reads of a preset's head stands above it.
FILE = re.compile(r"(?:# @package \S+\n)?# ([\w./-]+\.(?:py|yaml))\n")
COMMANDS, PROGRAM, SETTINGS = ("console", "bash"), "python", "yaml"
NOT_RUN = ("text", "{toctree}", "{eval-rst}", "{include} ../CHANGELOG.md")  # output, and Sphinx's own directives


@dataclass(frozen=True)
class Block:
    """A fenced block; `line` is where its fence stands in the page."""

    language: str
    text: str
    line: int

    @property
    def file(self) -> str | None:
        """The path that the block is to be written to, if its first line names one."""
        match = FILE.match(self.text)
        return match.group(1) if match else None


def blocks(page: Path) -> list[Block]:
    text = page.read_text(encoding="utf-8")
    return [
        Block(match["language"].strip(), match["text"], text[: match.start()].count("\n") + 1)
        for match in FENCE.finditer(text)
    ]


def commands(block: Block) -> list[str]:
    """The block's commands, each on a line, without prompts, continuations and comments."""
    joined = re.sub(r"\\\n\s*", "", block.text)
    lines = (re.sub(r"\s+#.*$", "", line).removeprefix("$ ").strip() for line in joined.splitlines())
    return [line for line in lines if line and not line.startswith("#")]
