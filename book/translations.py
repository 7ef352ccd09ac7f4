"""The book in other languages: collect its sentences, and build the pages with those that were translated.

Usage: python book/translations.py update LANGUAGE [PAGE ...]    book/locale/LANGUAGE/LC_MESSAGES/PAGE.po
       python book/translations.py build LANGUAGE                _build/LANGUAGE/html, after the book itself

LANGUAGE is a code such as `de`. `update` keeps what is translated, adds sentences that are new, and marks as fuzzy
those that changed; without PAGE it takes the pages that the language has. The layout is that of sphinx-intl, whose
`sphinx-intl update -p _build/gettext -l LANGUAGE -d book/locale` does the same for all pages.
"""

from __future__ import annotations

import argparse
import re
import shutil
import sys
import sysconfig
from pathlib import Path

import yaml
from babel.messages.pofile import read_po, write_po
from notebooks import BOOK, ROOT, toc_pages
from processes import measured

from astraclr.files import replacing

LOCALE = BOOK / "locale"


def config_for(language: str, source: Path, target: Path) -> Path:
    """Write the settings of the book for another language; return the file."""
    settings = yaml.safe_load(source.read_text(encoding="utf-8"))
    added = {"language": language, "locale_dirs": [str(LOCALE)], "gettext_compact": False, "gettext_uuid": False}
    settings["sphinx"]["config"] |= added
    target.write_text(yaml.safe_dump(settings, allow_unicode=True, sort_keys=False), encoding="utf-8")
    return target


def jupyter_book(build: Path, config: Path, output: Path, *options: str) -> None:
    """Run jupyter-book over the sources of the last build. Raises RuntimeError without them, or when it fails."""
    source = build / "src"
    if not (source / "_toc.yml").is_file():
        raise RuntimeError(f"no sources in {source}: run `make book` first")
    program = str(Path(sysconfig.get_path("scripts")) / "jupyter-book")
    command = [program, "build", str(source), "--config", str(config), "--path-output", str(output), *options]
    status, _ = measured(command, build / "translation.log", build.parent)
    if status:
        raise RuntimeError(f"jupyter-book failed; all of it is in {build / 'translation.log'}")


def sentences(build: Path) -> Path:
    """Collect the sentences of all pages; return the folder of the templates (.pot)."""
    config = config_for("en", build / "config.yml", build / "config-gettext.yml")
    jupyter_book(build, config, build / "gettext-build", "--builder", "custom", "--custom-builder", "gettext")
    target = build / "gettext"
    shutil.rmtree(target, ignore_errors=True)
    shutil.copytree(build / "gettext-build" / "_build" / "gettext", target)
    return target


def update(template: Path, catalogue: Path, language: str) -> tuple[int, int]:
    """Bring the sentences of a page up to date; return how many there are, and how many are translated."""
    with template.open("rb") as file:
        wanted = read_po(file)
    kept = wanted
    if catalogue.is_file():
        with catalogue.open("rb") as file:
            kept = read_po(file, locale=language)
        kept.update(wanted, no_fuzzy_matching=False)
    kept.locale = language  # type: ignore[assignment]
    kept.project, kept.version, kept.fuzzy = "Astra-CLR, the book", "0.1", False
    kept.header_comment = f"# The text of this page in the language {language}; licence CC BY 4.0, as the book."
    kept.last_translator = kept.language_team = kept.msgid_bugs_address = ""
    catalogue.parent.mkdir(parents=True, exist_ok=True)
    with replacing(catalogue) as part, part.open("wb") as file:
        write_po(file, kept, width=0, omit_header=False, sort_by_file=False, no_location=True)
    messages = [m for m in kept if m.id]
    return len(messages), sum(bool(m.string) and not m.fuzzy for m in messages)


def pages_of(language: str) -> list[str]:
    """Pages of which a language has a catalogue."""
    folder = LOCALE / language / "LC_MESSAGES"
    return sorted(f.relative_to(folder).with_suffix("").as_posix() for f in folder.rglob("*.po"))


def main() -> int:
    """Do what the command line asks for."""
    parser = argparse.ArgumentParser(description="Collect the sentences of the book, or build it in another language.")
    parser.add_argument("action", choices=("update", "build"))
    parser.add_argument("language", help="a code such as de or pt_BR")
    parser.add_argument("pages", nargs="*", help="pages to update, such as errata")
    given, build = parser.parse_args(), ROOT / "_build"
    if not re.fullmatch(r"[a-z]{2,3}(_[A-Z]{2})?", given.language):
        parser.error(f"{given.language!r} is no code of a language; give one such as de or pt_BR")
    if unknown := set(given.pages) - set(toc_pages(BOOK)):
        parser.error(f"no page {unknown.pop()!r} in book/_toc.yml")
    try:
        if given.action == "build":
            config = config_for(given.language, build / "config.yml", build / f"config-{given.language}.yml")
            jupyter_book(build, config, build / given.language)
            print(f"Pages: _build/{given.language}/_build/html/index.html")
            print(f"Translated: {', '.join(pages_of(given.language))}")
            return 0
        templates = sentences(build)
        for page in given.pages or pages_of(given.language):
            file = LOCALE / given.language / "LC_MESSAGES" / f"{page}.po"
            n, done = update(templates / f"{page}.pot", file, given.language)
            print(f"{page}: {done} of {n} sentences are translated, {file.relative_to(ROOT)}")
    except RuntimeError as error:
        print(error, file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
