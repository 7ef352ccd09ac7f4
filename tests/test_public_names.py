"""Names that `import astraclr` gives: typed for an editor, imported when first used."""

import ast
import os
import re
import subprocess
import sys
from pathlib import Path

import astraclr


def test_an_editor_finds_each_name_where_it_is_imported_from():
    tree = ast.parse(Path(astraclr.__file__).read_text())
    typed = {
        name.name: str(node.module).removeprefix("astraclr.")
        for block in tree.body
        if isinstance(block, ast.If)
        for node in block.body
        if isinstance(node, ast.ImportFrom)
        for name in node.names
    }
    assert typed == astraclr._MODULE_OF
    assert set(astraclr.__all__) == {*typed, "__version__"} <= set(dir(astraclr))


def test_importing_the_package_imports_nothing_heavy():
    program = "import sys, astraclr; print({'torch', 'numpy', 'pandas'} & set(sys.modules))"
    assert subprocess.run([sys.executable, "-c", program], capture_output=True, text=True).stdout == "set()\n"


FREE = {k: v for k, v in os.environ.items() if k not in ("OMP_WAIT_POLICY", "GOMP_SPINCOUNT")}


def test_threads_that_wait_sleep_as_openmp_itself_says():
    command = [sys.executable, "-c", "import astraclr.cli, torch"]
    done = subprocess.run(command, capture_output=True, text=True, check=True, env=FREE | {"OMP_DISPLAY_ENV": "TRUE"})
    assert set(re.findall(r"OMP_WAIT_POLICY *= *'(\w+)'", done.stderr)) == {"PASSIVE"}


def test_the_command_line_says_how_threads_wait_before_torch_is_loaded_and_keeps_what_the_user_says():
    program = "import os, sys, astraclr.cli; print('torch' in sys.modules, os.environ['OMP_WAIT_POLICY'])"
    for mine, policy in (({}, "PASSIVE"), ({"OMP_WAIT_POLICY": "ACTIVE"}, "ACTIVE")):
        done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, env=FREE | mine)
        assert done.stdout == f"False {policy}\n"
