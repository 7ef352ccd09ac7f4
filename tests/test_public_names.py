"""Names that `import astraclr` gives: typed for an editor, imported when first used."""

import ast
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
