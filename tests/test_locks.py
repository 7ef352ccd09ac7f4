"""What is installed is exact and known by its hash, and what runs in public is known by its commit."""

import os
import re
import runpy
import tomllib
import zipfile
from hashlib import sha256
from pathlib import Path

import pytest
import yaml
from packaging.markers import default_environment
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

ROOT = Path(__file__).resolve().parents[1]
LOCKS = sorted((ROOT / "constraints").glob("*.txt"))
ENTRY = re.compile(
    r"([A-Za-z0-9._-]+==[A-Za-z0-9.+]+(?: ; [^\\]+?)?) \\\n((?: {4}--hash=sha256:[0-9a-f]{64}(?: \\)?\n)+)"
)


def locked(name: str) -> list[Requirement]:
    """Requirements that a lock file holds."""
    return [Requirement(line) for line, _ in ENTRY.findall((ROOT / "constraints" / name).read_text())]


@pytest.fixture(scope="module")
def project() -> dict:
    return tomllib.loads((ROOT / "pyproject.toml").read_text())


@pytest.mark.parametrize("file", LOCKS, ids=lambda f: f.stem)
def test_a_lock_holds_exact_versions_with_hashes_and_nothing_else(file):
    rest = ENTRY.sub("", file.read_text())
    assert all(line.startswith("#") for line in rest.splitlines()), "no URL, no option, none without hash"
    assert len(locked(file.name)) > 0


@pytest.mark.parametrize("minor", [11, 12, 13, 14])
@pytest.mark.parametrize(("platform", "machine"), [("linux", "x86_64"), ("darwin", "arm64"), ("win32", "AMD64")])
def test_every_declared_package_is_locked_once_inside_its_range(project, minor, platform, machine):
    environment = {
        **default_environment(),
        "python_version": f"3.{minor}",
        "python_full_version": f"3.{minor}.9",
        "sys_platform": platform,
        "platform_machine": machine,
    }
    everything = [*locked("locked.txt"), *locked("torch.txt")]
    here = [r for r in everything if r.marker is None or r.marker.evaluate(environment)]
    versions = {canonicalize_name(r.name): next(iter(r.specifier)).version for r in here}
    assert len(versions) == len(here), "a package is locked twice"
    extras = project["project"]["optional-dependencies"]
    lines = [*project["project"]["dependencies"], *(line for name in extras for line in extras[name])]
    declared = [r for r in map(Requirement, [*lines, *project["build-system"]["requires"]]) if r.name != "astraclr"]
    assert not {r.name for r in declared if versions[canonicalize_name(r.name)] not in r.specifier}


def test_one_torch_whatever_it_is_built_for():
    (cpu,) = locked("torch-cpu.txt")
    (default,) = [r for r in locked("torch.txt") if r.name == "torch"]
    assert str(cpu.specifier) == f"{default.specifier}+cpu"
    assert not [r for r in locked("locked.txt") if r.name == "torch" or r.name.startswith("nvidia")]


def test_what_builds_the_project_is_exact(project):
    (backend,) = map(Requirement, project["build-system"]["requires"])
    assert [r.specifier for r in locked("locked.txt") if r.name == backend.name] == [backend.specifier]
    assert str(backend.specifier).startswith("==")


def test_actions_are_named_by_commit_and_no_further_index_is_searched():
    workflow = (ROOT / ".github" / "workflows" / "ci.yml").read_text()
    used = re.findall(r"uses: (.+)", workflow)
    assert used and all(re.fullmatch(r"actions/[a-z-]+@[0-9a-f]{40}  # v[\d.]+", line) for line in used), used
    assert yaml.safe_load(workflow)["permissions"] == {"contents": "read"}
    files = ["Makefile", ".ci/run", ".github/workflows/ci.yml", ".devcontainer/devcontainer.json", "binder/postBuild"]
    assert not [f for f in files if re.search(r"extra.index", (ROOT / f).read_text(), flags=re.IGNORECASE)]


# Installing from a lock


@pytest.fixture
def wheel(tmp_path) -> Path:
    """A wheel of an empty package in a folder of its own."""
    file, info = tmp_path / "wheels" / "lone_star-1.0-py3-none-any.whl", "lone_star-1.0.dist-info"
    file.parent.mkdir()
    with zipfile.ZipFile(file, "w") as archive:
        archive.writestr("lone_star.py", "")
        archive.writestr(f"{info}/METADATA", "Metadata-Version: 2.1\nName: lone-star\nVersion: 1.0\n")
        archive.writestr(f"{info}/WHEEL", "Wheel-Version: 1.0\nRoot-Is-Purelib: true\nTag: py3-none-any\n")
        archive.writestr(f"{info}/RECORD", "")
    return file


def test_only_a_file_of_the_locked_hash_is_installed(wheel, tmp_path, monkeypatch):
    for name in [name for name in os.environ if name.startswith("PIP_")]:
        monkeypatch.delenv(name)
    monkeypatch.setenv("PIP_CONFIG_FILE", os.devnull)
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    monkeypatch.setenv("PIP_FIND_LINKS", str(wheel.parent))
    monkeypatch.setenv("PIP_TARGET", str(tmp_path / "site"))
    install = runpy.run_path(str(ROOT / "constraints" / "install.py"))["from_lock"]

    def said(text: str) -> str:
        (tmp_path / "lock.txt").write_text(text)
        return install(str(tmp_path / "lock.txt"))

    digest = sha256(wheel.read_bytes()).hexdigest()
    assert "DO NOT MATCH THE HASHES" in said(f"lone-star==1.0 --hash=sha256:{'0' * 64}\n")
    assert not (tmp_path / "site").exists()
    assert said(f"lone-star==1.0 --hash=sha256:{digest}\n") == ""
    assert (tmp_path / "site" / "lone_star.py").exists()


def test_another_pytorch_is_no_reason_to_take_the_default(monkeypatch):
    install = runpy.run_path(str(ROOT / "constraints" / "install.py"))
    said = {"torch-cpu.txt": "", "torch.txt": "the default"}
    monkeypatch.setitem(install["torch"].__globals__, "from_lock", lambda name, *options: said[name])
    assert install["torch"]() == ""
    said["torch-cpu.txt"] = "THESE PACKAGES DO NOT MATCH THE HASHES"
    assert install["torch"]() == said["torch-cpu.txt"]
    said["torch-cpu.txt"] = "ERROR: No matching distribution found for torch"
    assert install["torch"]() == "the default"
