"""A real SLURM in a temporary folder: two emulated nodes, accounting, preemption; all daemons on the loopback device.

`python tests/cluster/slurm_cluster.py` starts one to play with, and stops it at the end of the shell it opens.
"""

import os
import secrets
import shutil
import signal
import socket
import subprocess
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

PACKAGES = (
    "munge",
    "slurmctld",
    "slurmd",
    "slurm-client",
    "slurmdbd",
    "slurm-wlm-mysql-plugin",
    "mariadb-server",
)
NODES = 2
CONFIGURATION = Path(__file__).parent / "configuration"


@dataclass
class Cluster:
    """A running SLURM; `environment` is what its clients need."""

    folder: Path
    environment: dict[str, str]

    def run(self, *command: str | Path, cwd: Path | None = None, check: bool = True) -> str:
        """What a client's command prints."""
        done = subprocess.run(
            [str(part) for part in command], env=self.environment, cwd=cwd, capture_output=True, text=True
        )
        if check and done.returncode != 0:
            raise RuntimeError(f"{' '.join(map(str, command))}: {done.stdout}{done.stderr}")
        return done.stdout


@contextmanager
def slurm() -> Iterator[Cluster]:
    """Start munge, MariaDB, slurmdbd, slurmctld and two slurmd, and stop them in the end; needs root.

    Debian's packages are installed if they are missing.
    """
    _install()
    folder = Path(tempfile.mkdtemp(prefix="slurm-"))
    folder.chmod(0o755)  # munge refuses a socket that not everyone can reach
    daemons: list[subprocess.Popen[bytes]] = []
    try:
        yield _start(folder, daemons)
    finally:
        for daemon in reversed(daemons):
            _stop(daemon)
        for process in _left_in(folder):
            with suppress(ProcessLookupError):
                os.kill(process, signal.SIGKILL)
        shutil.rmtree(folder, ignore_errors=True)


def _install() -> None:
    if os.geteuid() != 0:
        raise PermissionError("SLURM's daemons start jobs for others, so the cluster tests need root")
    if shutil.which("slurmctld") and shutil.which("slurmdbd") and shutil.which("mariadbd"):
        return
    environment = {**os.environ, "DEBIAN_FRONTEND": "noninteractive"}
    subprocess.run(["apt-get", "update", "-q"], check=True, capture_output=True)
    command = ["apt-get", "install", "-yq", "--no-install-recommends", *PACKAGES]
    subprocess.run(command, check=True, env=environment, capture_output=True)


def _start(folder: Path, daemons: list[subprocess.Popen[bytes]]) -> Cluster:
    for part in ("state", "log", "munge", "mysql", "dev", *(f"spool/n{node}" for node in range(NODES))):
        (folder / part).mkdir(parents=True)
    (folder / "munge").chmod(0o755)
    ports = _free_ports(4 + NODES)
    _configure(folder, ports)
    environment = {
        **{name: value for name, value in os.environ.items() if not name.startswith(("SLURM_", "SBATCH_"))},
        "SLURM_CONF": str(folder / "slurm.conf"),
        "MASTER_ADDR": "127.0.0.1",  # the nodes' names, n0 and n1, are known to no resolver
        "GLOO_SOCKET_IFNAME": "lo",
    }

    def daemon(name: str, *command: str) -> None:
        with open(folder / "log" / f"{name}.out", "wb") as log:
            daemons.append(subprocess.Popen(command, env=environment, stdout=log, stderr=log, stdin=subprocess.DEVNULL))

    cluster = Cluster(folder, environment)
    munge, database = folder / "munge", folder / "mysql"
    daemon(
        "munged",
        *("munged", "--foreground", f"--socket={munge}/socket", f"--key-file={munge}/key"),
        *(f"--log-file={munge}/log", f"--pid-file={munge}/pid", f"--seed-file={munge}/seed"),
    )
    cluster.run(
        *("mariadb-install-db", "--no-defaults", "--user=root", f"--datadir={database}/data", "--skip-test-db"),
        "--auth-root-authentication-method=normal",
    )
    daemon(
        "mariadbd",
        *("mariadbd", "--no-defaults", "--user=root", f"--datadir={database}/data", f"--socket={database}/socket"),
        *("--bind-address=127.0.0.1", f"--port={ports[0]}", "--innodb-lock-wait-timeout=900"),
    )
    client = ("mariadb", "--no-defaults", "-S", str(database / "socket"))
    _until(lambda: _succeeds(environment, *client, "-e", "select 1"), "MariaDB answers", folder)
    accounts = "create database accounts; " + "".join(
        f"create user slurm@'{host}' identified by 'slurm'; grant all on accounts.* to slurm@'{host}'; "
        for host in ("127.0.0.1", "localhost")
    )
    cluster.run(*client, "-e", accounts)
    daemon("slurmdbd", "slurmdbd", "-D")
    _until(lambda: _succeeds(environment, "sacctmgr", "-n", "show", "cluster"), "slurmdbd answers", folder)
    cluster.run("sacctmgr", "-i", "add", "cluster", "test")
    daemon("slurmctld", "slurmctld", "-D")
    _until(lambda: _succeeds(environment, "scontrol", "ping"), "slurmctld answers", folder)
    for node in range(NODES):
        daemon(f"slurmd-n{node}", "slurmd", "-D", "-N", f"n{node}")
    _until(lambda: _idle_nodes(cluster) == NODES, "all nodes are idle", folder)
    return cluster


def _configure(folder: Path, ports: list[int]) -> None:
    (folder / "munge" / "key").write_bytes(secrets.token_bytes(1024))
    (folder / "munge" / "key").chmod(0o600)
    for gpu in range(2):  # /dev/null under another name: SLURM counts devices, it does not use them
        os.mknod(folder / "dev" / f"nvidia{gpu}", 0o020666, os.makedev(1, 3))
    names = ("database", "slurmdbd", "slurmctld", "n0", "n1")
    values = {"FOLDER": str(folder), **{f"PORT_OF_{name}": str(port) for name, port in zip(names, ports, strict=False)}}
    for template in CONFIGURATION.iterdir():
        text = template.read_text()
        for name, value in values.items():
            text = text.replace(f"@{name}@", value)
        (folder / template.name).write_text(text)
        (folder / template.name).chmod(0o600)


def _free_ports(count: int) -> list[int]:
    """Ports that nothing listens on, so that several clusters can run at once."""
    sockets = [socket.socket() for _ in range(count)]
    for one in sockets:
        one.bind(("127.0.0.1", 0))
    ports = [one.getsockname()[1] for one in sockets]
    for one in sockets:
        one.close()
    return ports


def _idle_nodes(cluster: Cluster) -> int:
    return cluster.run("sinfo", "-h", "-N", "-p", "main", "-o", "%T", check=False).split().count("idle")


def _succeeds(environment: dict[str, str], *command: str) -> bool:
    return subprocess.run(command, env=environment, capture_output=True).returncode == 0


def _until(condition: Callable[[], bool], what: str, folder: Path, seconds: float = 120) -> None:
    deadline = time.monotonic() + seconds
    while not condition():
        if time.monotonic() > deadline:
            logs = {path.name: path.read_text(errors="replace")[-500:] for path in (folder / "log").iterdir()}
            raise TimeoutError(f"{what}: not within {seconds:g} s; {logs}")
        time.sleep(0.1)


def _stop(daemon: subprocess.Popen[bytes]) -> None:
    daemon.terminate()
    try:
        daemon.wait(20)
    except subprocess.TimeoutExpired:
        daemon.kill()
        daemon.wait()


def _left_in(folder: Path) -> Iterator[int]:
    """Processes of this cluster that are left, such as the step daemons of jobs that still run."""
    mark = f"SLURM_CONF={folder}/".encode()
    for path in Path("/proc").glob("[0-9]*/environ"):
        with suppress(OSError):
            if mark in path.read_bytes():
                yield int(path.parent.name)


if __name__ == "__main__":
    with slurm() as running:
        print(f"A shell with SLURM in {running.folder}; its end stops it.")
        subprocess.run([os.environ.get("SHELL", "/bin/bash")], env=running.environment)
