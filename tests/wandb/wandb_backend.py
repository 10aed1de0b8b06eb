"""A W&B backend on loopback that the tests' processes talk to: it keeps what it is told, and hands out a sweep's runs.

It knows the requests that wandb 0.31 makes for online runs, `wandb sync`, `wandb sweep`, `wandb agent` and reports.
"""

import gzip
import json
import re
import threading
import time
from collections import defaultdict
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

from wandb_answers import ANSWERS

ENTITY, PROJECT = "lab", "orthontk"
NOT_A_KEY = "0" * 40  # of the length that W&B's are


class RecordedRun:
    """What the backend was told of one run."""

    def __init__(self) -> None:
        self.config: dict[str, Any] = {}
        self.history: dict[int, dict[str, Any]] = {}  # by line, which is sent again when an answer is lost
        self.summary: dict[str, Any] = {}
        self.files: set[str] = set()
        self.sweep: str | None = None
        self.exit_codes: list[int] = []  # one for each time that it ended

    @property
    def is_finished(self) -> bool:
        return self.exit_codes == [0]

    def steps(self) -> list[int]:
        return [row["_step"] for _, row in sorted(self.history.items())]


class Backend:
    """`with Backend() as backend:` serves until the end of the block; `environment` points a process at it.

    Attributes:
        runs: by id.
        jobs: the parameters of the runs that a sweep still has to hand out, one dictionary a run.
        reports: the reports' specifications, by title.
        held: ids of runs whose history does not arrive, as if the connection were down, until it is empty.
    """

    def __init__(self) -> None:
        self.runs: dict[str, RecordedRun] = defaultdict(RecordedRun)
        self.jobs: list[dict[str, Any]] = []
        self.sweep_config = ""
        self.reports: dict[str, dict[str, Any]] = {}
        self.handed_out = 0
        self.artifact_files: set[str] = set()
        self.unknown: set[str] = set()  # operations that there is no answer to
        self.held: set[str] = set()
        self.held_back = threading.Event()  # set once a request has been held
        self.lock = threading.RLock()
        self.server = _Server(("127.0.0.1", 0), type("Handler", (_Handler,), {"backend": self}))

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server.server_address[1]}"

    @property
    def environment(self) -> dict[str, str]:
        return {"WANDB_BASE_URL": self.url, "WANDB_API_KEY": NOT_A_KEY, "WANDB_ENTITY": ENTITY}

    def __enter__(self) -> "Backend":
        threading.Thread(target=self.server.serve_forever, daemon=True).start()
        return self

    def __exit__(self, *error: object) -> None:
        self.held.clear()
        self.server.shutdown()
        self.server.server_close()

    def graphql(self, query: str, variables: dict[str, Any]) -> dict[str, Any]:
        found = re.search(r"(?:query|mutation)\s+(\w+)", query)
        operation = found.group(1).lower() if found else ""
        with self.lock:
            if operation not in ANSWERS:
                self.unknown.add(operation)
                return {}
            return ANSWERS[operation](self, variables)

    def stream(self, run_id: str, body: dict[str, Any]) -> None:
        """Lines of the run's history and summary, and how it ended."""
        with self.lock:
            run = self.runs[run_id]
            for name, part in body.get("files", {}).items():
                lines = [json.loads(line) for line in part["content"]] if name.startswith("wandb-") else []
                if name == "wandb-history.jsonl":
                    run.history |= {part["offset"] + number: line for number, line in enumerate(lines)}
                elif name == "wandb-summary.json" and lines:
                    run.summary = lines[-1]
            if body.get("complete"):
                run.exit_codes.append(body["exitcode"])

    def next_commands(self) -> list[dict[str, Any]]:
        """What an idle agent is told when it asks: the next run of the sweep, or that there are none."""
        if not self.jobs:
            return [{"type": "exit"}]
        self.handed_out += 1
        parameters = {name: {"value": value} for name, value in self.jobs.pop(0).items()}
        return [{"type": "run", "run_id": f"agents{self.handed_out}", "program": "train.py", "args": parameters}]


class _Server(ThreadingHTTPServer):
    daemon_threads = True

    def handle_error(self, request: object, client_address: object) -> None:
        """Nothing: processes that are killed break their connections."""


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    backend: Backend

    def do_POST(self) -> None:
        body = self._body()
        if self.path.endswith("/graphql"):
            request = json.loads(body)
            self._answer({"data": self.backend.graphql(request["query"], request.get("variables") or {})})
            return
        if match := re.fullmatch(r"/files/[^/]+/[^/]+/([^/]+)/file_stream", self.path):
            if self._is_held(match.group(1)):
                self.close_connection = True
                return
            self.backend.stream(match.group(1), json.loads(body))
        elif match := re.fullmatch(r"/upload/([^/]+)/(.+)", self.path):
            owner, name = match.groups()
            files = self.backend.artifact_files if owner == "artifact" else self.backend.runs[owner].files
            files.add(name)
        self._answer({})

    do_PUT = do_GET = do_POST

    def _is_held(self, run_id: str) -> bool:
        """Wait while it is. What was held has not arrived: its sender may be dead, and another may send it again."""
        held = run_id in self.backend.held
        while run_id in self.backend.held:
            self.backend.held_back.set()
            time.sleep(0.05)
        return held

    def _body(self) -> bytes:
        if self.headers.get("Transfer-Encoding") == "chunked":
            body = b""
            while size := int(self.rfile.readline(), 16):
                body += self.rfile.read(size)
                self.rfile.readline()
            self.rfile.readline()
        else:
            body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
        return gzip.decompress(body) if self.headers.get("Content-Encoding") == "gzip" else body

    def _answer(self, content: dict[str, Any]) -> None:
        text = json.dumps(content).encode()
        self.send_response(200)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(text)))
        self.end_headers()
        self.wfile.write(text)

    def log_message(self, *message: object) -> None:
        """Nothing: tests read what was recorded."""
