"""Links from the pages to the repository: the book does not know its own address, so that is a setting of the build.

ASTRACLR_REPOSITORY=https://github.com/OWNER/NAME make book (and ASTRACLR_BRANCH, where it is not `main`) adds to
every page links to its source and to the issues, and to every chapter buttons for Binder and Colab. Without it no page
holds a button that leads nowhere.
"""

import copy
import os
import re
from pathlib import Path

import yaml

COLAB = """On Colab, run this in a cell of its own first (some minutes; Binder needs nothing of the kind):

```python
!git clone --quiet --depth 1 --branch {branch} {url} book-of-stars
%pip install --quiet "./book-of-stars[book,data,interop]"
import os, sys
sys.path.insert(0, os.path.abspath("book-of-stars"))  # chapters read files of the clone
```
"""


# Both settings end in links and in a cell that readers paste: whole names of plain characters, and no ".." among them.
_WORD = r"(?:(?!\.\.)[A-Za-z0-9_.-])*"
_NAMES = rf"[A-Za-z0-9_]{_WORD}(?:/[A-Za-z0-9_]{_WORD})"
ADDRESS = re.compile(rf"https://(?:github\.com/{_NAMES}|gitlab\.com/{_NAMES}+|bitbucket\.org/{_NAMES})")
BRANCH = re.compile(rf"{_NAMES}*(?<!\.)(?<!\.lock)")


def settings() -> tuple[str, str]:
    """Address and branch of the public repository; no address without one.

    Raises
    ------
    ValueError
        If the address is not that of a repository on a known host, or the branch is no plain name.
    """
    url = os.environ.get("ASTRACLR_REPOSITORY", "").strip().rstrip("/").removesuffix(".git")
    if url and not ADDRESS.fullmatch(url):
        raise ValueError(
            f"ASTRACLR_REPOSITORY is {url!r}; write https://github.com/OWNER/NAME (or gitlab.com, bitbucket.org), "
            "or leave it out"
        )
    branch = os.environ.get("ASTRACLR_BRANCH") or "main"
    if not BRANCH.fullmatch(branch):
        raise ValueError(
            f"ASTRACLR_BRANCH is {branch!r}; write a name of letters, digits and . _ - / such as main or release/1.0, "
            "or leave it out"
        )
    return url, branch


def with_links(config: dict, url: str, branch: str = "main") -> dict:
    """The configuration of Jupyter Book with the links of a repository; unchanged without one."""
    if not url:
        return config
    config = copy.deepcopy(config)
    buttons = {"notebook_interface": "jupyterlab", "binderhub_url": "https://mybinder.org"}
    if url.startswith("https://github.com/"):  # Colab reads from nowhere else
        buttons["colab_url"] = "https://colab.research.google.com"
        config["parse"]["myst_substitutions"]["in_a_browser"] = COLAB.format(url=url, branch=branch)
    config["sphinx"]["config"]["html_theme_options"] |= {
        "repository_url": url,
        "repository_branch": branch,
        "path_to_docs": "book",
        "launch_buttons": buttons,
        "use_repository_button": True,
        "use_source_button": True,
        "use_issues_button": True,
    }
    return config


def write_config(source: Path, target: Path) -> Path:
    """Write the configuration that a build reads, with the links that the environment asks for."""
    target.write_text(yaml.safe_dump(with_links(yaml.safe_load(source.read_text()), *settings()), allow_unicode=True))
    return target
