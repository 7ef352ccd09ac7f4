"""Options are read strictly, and places that cannot be written are refused."""

import errno
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest
import typer
from typer.testing import CliRunner

from astraclr.cli import parsing, terminal
from astraclr.files import replacing
from astraclr.parts import part_of


def test_bands():
    assert parsing.parse_bands(None) is None and parsing.parse_bands([]) is None
    assert parsing.parse_bands(["u=3551", "z=8932.5"]) == {"u": 3551.0, "z": 8932.5}


@pytest.mark.parametrize("text", ["g", "g=", "=4746", "g=green", "g=nan", "g=-4746", "g=474.6", "g=0.4746", "g=1e9"])
def test_a_band_needs_a_name_and_angstrom(text):
    with pytest.raises(ValueError, match="write NAME=ANGSTROM.*such as --band g=4746.48"):
        parsing.parse_bands([text])


def test_a_band_is_given_once():
    with pytest.raises(ValueError, match="--band g is given twice"):
        parsing.parse_bands(["g=4746", "g=4747"])


def test_cut():
    assert parsing.parse_cut("g=200, r=100") == {"g": 200, "r": 100}


@pytest.mark.parametrize("text", ["", "g", "g=", "=3", "g=-3", "g=2.5", "g=200;r=200", "g=200,"])
def test_a_cut_needs_bands_and_whole_numbers(text):
    with pytest.raises(ValueError, match="write BAND=EPOCHS"):
        parsing.parse_cut(text)


def test_near():
    assert parsing.parse_near(None) is None
    assert parsing.parse_near("244.19,-0.27,60") == (244.19, -0.27, 60.0)


@pytest.mark.parametrize("text", ["", "1,2", "1,2,3,4", "a,b,c", "nan,0,1", "361,0,6", "10,91,6", "10,0,0", "10,0,-5"])
def test_near_needs_a_place_on_the_sky_and_a_radius(text):
    with pytest.raises(ValueError, match="--near"):
        parsing.parse_near(text)


def test_one_line():
    assert terminal.one_line(ValueError("first\n\t second  third")) == "first second third"


def test_lines_show_control_characters(capsys):
    terminal.say("a\x1b[31m\nerror: b")
    terminal.tell(str(Path("map\u202e.html")))
    said = capsys.readouterr()
    assert said.err == "a\\x1b[31m\\nerror: b\n" and said.out == "map\\u202e.html\n"


def test_commands_print_names_through_what_shows_them():
    """A block of text is made by `report`, which shows names itself; all else goes to `tell` or `say`."""
    folder = Path(terminal.__file__).parent
    printed = {
        f.name: re.findall(r"typer\.echo\((?!report\.|f?\"{describe)[^)]*", f.read_text()) for f in folder.glob("*.py")
    }
    assert {name: found for name, found in printed.items() if found} == {
        "__init__.py": ['typer.echo(f"astraclr {__version__}"'],
        "terminal.py": ["typer.echo(for_terminal(line", "typer.echo(for_terminal(line"],
    }


def test_an_output_may_be_new_or_replace_an_old_one(tmp_path):
    (tmp_path / "old.csv").write_text("")
    terminal.check_output(tmp_path / "old.csv", [".csv"], tmp_path / "missing.csv", None)
    terminal.check_output(tmp_path / "new" / "deeper" / "out.csv", [".csv"])
    terminal.check_output(Path("out.csv"), [".csv"])
    assert sorted(p.name for p in tmp_path.iterdir()) == ["old.csv"]  # looking changes nothing


def test_a_read_only_folder_is_refused(tmp_path, monkeypatch):
    monkeypatch.setattr(terminal.os, "access", lambda *_: False)  # for root every folder is writable
    with pytest.raises(ValueError, match=f"cannot write .*out.csv: {tmp_path} is read-only for you"):
        terminal.check_output(tmp_path / "new" / "out.csv", [".csv"])


def test_an_output_reached_by_another_path_is_still_the_input(tmp_path):
    (tmp_path / "stars.parquet").write_text("")
    (tmp_path / "link.parquet").symlink_to(tmp_path / "stars.parquet")
    with pytest.raises(ValueError, match="it is the input"):
        terminal.check_output(tmp_path / "link.parquet", [".parquet"], tmp_path / "stars.parquet")


def test_an_output_among_the_inputs_is_refused(tmp_path):
    (tmp_path / "stars").mkdir()
    with pytest.raises(ValueError, match="would lie among the light curves of"):
        terminal.check_output(tmp_path / "stars" / "new.parquet", [".parquet"], tmp_path / "stars")
    terminal.check_output(tmp_path / "new.parquet", [".parquet"], tmp_path / "stars")


@pytest.mark.parametrize(
    ("name", "text", "kind"),
    [
        ("config.json", '{"format": "astraclr checkpoint 1"}', "a checkpoint"),
        ("manifest.json", '{"format": "astraclr.shards"}', "shards"),
        ("state.safetensors", "", "a training run"),
    ],
)
def test_an_output_inside_a_checkpoint_a_run_or_shards_is_refused(tmp_path, name, text, kind):
    (tmp_path / name).write_text(text)
    for output in ("history.csv", "new.csv"):
        with pytest.raises(ValueError, match=f"cannot write .*{output}: the folder holds {kind}"):
            terminal.check_output(tmp_path / output, [".csv"])
    terminal.check_output(tmp_path / "head.safetensors", [".safetensors"])
    terminal.check_output(tmp_path / "below" / "new.csv", [".csv"])


def test_a_config_of_something_else_is_no_checkpoint(tmp_path):
    for text in ("{}", "[]", "no JSON", '{"format": 7}'):
        (tmp_path / "config.json").write_text(text)
        terminal.check_output(tmp_path / "new.csv", [".csv"])


@pytest.mark.parametrize("name", ["pipe.csv", "device.csv"])
def test_a_pipe_or_a_device_is_not_replaced_by_a_file(tmp_path, name):
    os.mkfifo(tmp_path / "pipe.csv")
    (tmp_path / "device.csv").symlink_to("/dev/null")
    with pytest.raises(ValueError, match=f"cannot write .*{name}: it is a pipe or a device; name a file"):
        terminal.check_output(tmp_path / name, [".csv"])
    with pytest.raises(ValueError, match="pipe or a device"), replacing(tmp_path / name):
        pass
    assert (tmp_path / "pipe.csv").is_fifo() and (tmp_path / "device.csv").is_char_device()


def test_a_name_that_is_too_long_while_the_file_is_written_is_refused_before(tmp_path):
    fits = 255 - len(os.fsencode(part_of(Path("x.csv")).name)) + 1
    terminal.check_output(tmp_path / f"{'x' * fits}.csv", [".csv"])
    for name in ("x" * (fits + 1), "x" * 300, "é" * 130):
        with pytest.raises(ValueError, match="the name is too long by .* bytes.*choose a shorter one"):
            terminal.check_output(tmp_path / f"{name}.csv", [".csv"])


@pytest.mark.parametrize("link", ["loop", "dangling"])
def test_links_that_lead_nowhere_are_refused_before_work_starts(tmp_path, link):
    (tmp_path / "loop").symlink_to(tmp_path / "loop")
    (tmp_path / "dangling").symlink_to(tmp_path / "nowhere")
    said = f"{tmp_path / link} is a symbolic link that leads nowhere; choose another place"
    with pytest.raises(ValueError, match=said):
        terminal.check_output(tmp_path / link / "out.csv", [".csv"], tmp_path / "stars")
    with pytest.raises(ValueError, match=said):
        terminal.check_folder(tmp_path / link)
    terminal.check_apart(tmp_path / link, tmp_path / "stars")


def test_a_stopped_command_says_what_it_has_written(tmp_path):
    app = typer.Typer(cls=terminal.Commands)
    app.callback()(lambda: None)

    @app.command()
    def write(out: Path) -> None:
        terminal.write_json({}, out)
        raise KeyboardInterrupt

    result = CliRunner().invoke(app, ["write", str(tmp_path / "m.json")])
    assert result.exit_code == 130
    assert result.stderr == f"stopped: written before, and whole: {tmp_path / 'm.json'}; nothing else was changed\n"


def test_a_folder_to_write_lies_apart_from_the_input(tmp_path):
    (tmp_path / "stars").mkdir()
    (tmp_path / "stars" / "a.csv").write_text("")
    for out, given in (
        ("stars", "stars"),
        ("stars/run", "stars"),
        ("stars/../stars", "stars"),
        ("stars", "stars/a.csv"),
    ):
        with pytest.raises(ValueError, match="cannot write .*choose another folder"):
            terminal.check_apart(tmp_path / out, tmp_path / given)
    terminal.check_apart(tmp_path / "run", tmp_path / "stars")
    terminal.check_apart(tmp_path / "run", tmp_path / "stars" / "a.csv")


def test_sigterm_removes_what_is_half_written_and_says_so(tmp_path):
    code = """
import signal, sys, typer
from pathlib import Path
from astraclr.cli import terminal
from astraclr.files import replacing
app = typer.Typer(cls=terminal.Commands)
@app.callback()
def main(): pass
@app.command()
def write(out: Path):
    with replacing(out) as part:
        part.write_text("half")
        signal.raise_signal(signal.SIGTERM)
app()
"""
    environment = os.environ | {"PYTHONPATH": os.pathsep.join(sys.path)}
    child = subprocess.run(
        [sys.executable, "-c", code, "write", tmp_path / "out.csv"], capture_output=True, text=True, env=environment
    )
    assert child.returncode == 143 and not list(tmp_path.iterdir())
    assert child.stderr == "stopped: no output was changed (files appear whole, or not at all)\n"


@pytest.mark.parametrize(
    ("error", "said"),
    [
        (EOFError("Compressed file ended"), "a file ends too early (Compressed file ended); is it complete?"),
        (FileNotFoundError("a/b.parquet"), "a/b.parquet does not exist: is the folder that it belongs to complete?"),
        (MemoryError("37 GiB"), "out of memory (37 GiB): give fewer stars at a time"),
        (
            PermissionError(errno.EACCES, "Permission denied", "a.csv"),
            "a.csv: you may not read or write it; change its permissions, or choose another",
        ),
        (OSError(errno.EROFS, "", "a.csv"), "a.csv: the disk is read-only; choose another place"),
        (OSError(errno.ENAMETOOLONG, "", "a" * 300), f"{'a' * 40}...: the name is too long; choose a shorter one"),
        (OSError(errno.ELOOP, "", "a"), "a: its symbolic links lead in a circle; name the file itself"),
    ],
)
def test_errors_of_files_and_memory_are_one_line(error, said):
    app = typer.Typer(cls=terminal.Commands)

    def fail():
        raise error

    app.callback()(lambda: None)
    app.command()(fail)
    result = CliRunner().invoke(app, ["fail"])
    assert result.exit_code == 2 and result.stderr == f"error: {said}\n"
