"""What all tests share: one thread, figures without a window, no network, real light curves where there are some."""

import ipaddress
import os
import socket
from pathlib import Path

import pytest

# Before anything imports numpy or torch: one thread gives the same bytes every time, and small matrices want no more.
for name in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS", "NUMBA_NUM_THREADS"):
    os.environ[name] = "1"

import matplotlib  # noqa: E402

matplotlib.use("Agg")  # not through MPLBACKEND: the kernels that check the chapters draw inline

ROOT = Path(__file__).resolve().parents[1]


@pytest.fixture(scope="session")
def root() -> Path:
    """The project's root folder."""
    return ROOT


@pytest.fixture(scope="session")
def real_data() -> Path:
    """Folder with real light curves, which are not part of the project: ASTRACLR_REAL_DATA, or ../shared/real."""
    folder = Path(os.environ.get("ASTRACLR_REAL_DATA", ROOT.parent / "shared" / "real"))
    if not folder.is_dir():
        pytest.skip(f"no real light curves at {folder}: set ASTRACLR_REAL_DATA to a folder that holds them")
    return folder


def is_local(host) -> bool:
    """Whether a host name or address means this machine."""
    if isinstance(host, bytes):
        host = host.decode()
    if host in (None, "", "localhost", "0.0.0.0", "::", socket.gethostname()):
        return True
    try:
        return ipaddress.ip_address(host.split("%")[0]).is_loopback
    except ValueError:
        return False


@pytest.fixture(autouse=True)
def no_network(monkeypatch):
    """Tests never leave the machine: another host's name does not resolve, and a stream to it does not open."""
    resolve, connect = socket.getaddrinfo, socket.socket.connect

    def resolve_local(host, *args, **kwargs):
        if not is_local(host):
            raise socket.gaierror(socket.EAI_NONAME, f"tests do not use the network (asked for {host!r})")
        return resolve(host, *args, **kwargs)

    def connect_local(self, address):
        # Datagrams may pass: Dask "connects" one to learn this machine's own address, and nothing is sent.
        remote = self.family in (socket.AF_INET, socket.AF_INET6) and not is_local(address[0])
        if remote and self.type == socket.SOCK_STREAM:
            raise OSError(f"tests do not use the network (asked for {address!r})")
        return connect(self, address)

    monkeypatch.setattr(socket, "getaddrinfo", resolve_local)
    monkeypatch.setattr(socket.socket, "connect", connect_local)


@pytest.fixture(scope="session")
def oracles():
    """Arrays of the reference implementation: ``oracles("nt_xent")["views2/z"]``; their README is in tests/oracles."""
    import numpy as np

    def load(name: str) -> dict:
        with np.load(ROOT / "tests" / "oracles" / f"{name}.npz") as file:
            return {key: file[key] for key in file.files}

    return load


def pytest_addoption(parser):
    parser.addoption(
        "--write-parity",
        metavar="FILE",
        type=Path,
        help="write stage, tolerance and largest difference of every comparison with the reference as "
        "JSON; only if all tests of the session passed",
    )


PARITY = pytest.StashKey[list]()


@pytest.fixture
def parity(request):
    """Compare with the reference: ``parity(stage, tolerance, ours, theirs, relative=False)``.

    Asserts that shapes agree and no difference is over the tolerance (NaN equals NaN), and keeps a record for
    benchmarks/results/parity.json. For a distribution, `ours` is a statistic, `theirs` is 0, the tolerance its limit.
    """
    from parity import compared

    records = request.node.stash.setdefault(PARITY, [])

    def compare(stage, tolerance, ours, theirs, *, relative=False):
        records.append(compared(name_of_test(request.node), stage, tolerance, ours, theirs, relative))

    return compare


def name_of_test(item) -> str:
    return f"{item.path.name}::{item.name}"


@pytest.hookimpl(wrapper=True)
def pytest_runtest_call(item):
    """A test whose stages and tolerances are not those of the table fails: the table is stale."""
    result = yield
    if PARITY in item.stash and not item.config.getoption("--write-parity"):
        from parity import check_against_table

        check_against_table(name_of_test(item), item.stash[PARITY])
    return result


def pytest_sessionfinish(session, exitstatus):
    """Write the table of parity, if all tests ran and passed."""
    path = session.config.getoption("--write-parity")
    if path is None:
        return
    from parity import write_table

    said = session.config.pluginmanager.get_plugin("terminalreporter")
    skipped, deselected = (len(said.stats.get(key, [])) for key in ("skipped", "deselected"))
    try:
        if exitstatus != 0 or skipped or deselected:
            raise ValueError(
                f"exit status {int(exitstatus)}, {skipped} skipped, {deselected} deselected; "
                "every test must run and pass"
            )
        seconds = sum(report.duration for report in said.stats.get("passed", []))
        write_table([record for item in session.items for record in item.stash.get(PARITY, [])], path, seconds)
        said.write_line(f"\nwrote {path}")
    except ValueError as error:
        said.write_line(f"\n{path} not written: {error}", red=True)
        session.exitstatus = session.exitstatus or pytest.ExitCode.TESTS_FAILED


@pytest.fixture(scope="session")
def stars():
    """96 simulated stars; small, balanced, seeded."""
    from astraclr.simulation.simulate import simulate

    return simulate(96, seed=11)
