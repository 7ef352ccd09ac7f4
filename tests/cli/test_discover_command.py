"""The search for oddities through the command line: from light curves or a table to rounds of answers."""

import shutil

import pandas as pd
import pytest
from typer.testing import CliRunner

from astraclr.cli import app
from astraclr.model.checkpoint import load_checkpoint
from astraclr.model.embedding import embedding_table


def run(*args):
    return CliRunner().invoke(app, ["discover", *map(str, args)], catch_exceptions=False)


def refused(*args):
    result = run(*args)
    assert result.exit_code == 2, result.output
    (line,) = [text for text in result.stderr.splitlines() if text.startswith("error: ")]
    return line


@pytest.fixture(scope="module")
def made(tmp_path_factory, stars):
    """A folder with stars.parquet, embeddings.parquet, and the search of the stars."""
    folder = tmp_path_factory.mktemp("discover")
    few = stars[:30]
    few.save(folder / "stars.parquet")
    embedding_table(few, load_checkpoint("tiny")).to_parquet(folder / "embeddings.parquet")
    result = run(folder / "stars.parquet", "--checkpoint", "tiny", "--out", folder / "search", "--top", 5)
    assert result.exit_code == 0, result.output
    assert "30 stars ranked by Pine Forest on windows and features, with no answers yet" in result.stdout
    return folder


def test_rounds_of_answers(made, tmp_path):
    search = tmp_path / "search"
    shutil.copytree(made / "search", search)
    order = pd.read_csv(search / "ranking.csv", dtype=str)["object_id"]
    assert len(order) == 30 and "5 of 30 stars" in (search / "discover.html").read_text()
    answers = tmp_path / "answers.csv"
    for number, said in enumerate(("yes", "no"), start=1):
        pd.DataFrame({"object_id": [order[number]], "answer": [said]}).to_csv(answers, index=False)
        result = run(search, "--answers", answers)
        assert result.exit_code == 0 and f"with {number} answer" in result.stdout, result.output
        assert "1 answers, 1 of them new" in result.stderr
    kept = pd.read_csv(search / "answers.csv", dtype=str)
    assert kept.to_numpy().tolist() == [[order[1], "yes", "1"], [order[2], "no", "2"]]
    before = {file.name: file.read_bytes() for file in search.iterdir()}
    assert run(search).exit_code == 0  # ranking again changes nothing
    assert before == {file.name: file.read_bytes() for file in search.iterdir()}
    pd.DataFrame({"object_id": [order[1]], "answer": ["no"]}).to_csv(answers, index=False)
    assert "was yes in round 1 and is now no; give --change" in refused(search, "--answers", answers)
    assert before == {file.name: file.read_bytes() for file in search.iterdir()}


def test_the_same_command_goes_on_after_a_kill(made, tmp_path):
    """Killed before its page was there, or after its end: the stars are not read into vectors again."""
    search = tmp_path / "search"
    shutil.copytree(made / "search", search)
    whole = {file.name: file.read_bytes() for file in search.iterdir()}
    for lost in (("discover.html",), ("discover.html", "ranking.csv", "answers.csv"), ()):
        for name in lost:
            (search / name).unlink()
        result = run(made / "stars.parquet", "--checkpoint", "tiny", "--out", search, "--top", 5)
        assert result.exit_code == 0 and "embedding" not in result.stderr, result.output
        assert {file.name: file.read_bytes() for file in search.iterdir()} == whole
    other = ("--checkpoint", "tiny", "--out", search, "--seed", 1)
    assert "for other stars or settings choose a new folder" in refused(made / "stars.parquet", *other)
    begin = (made / "embeddings.parquet", "--out", tmp_path / "t")
    assert run(*begin).exit_code == run(*begin).exit_code == 0
    assert "for other stars or settings choose" in refused(*begin, "--method", "aad")


def test_a_table_of_embeddings(made, tmp_path):
    result = run(made / "embeddings.parquet", "--out", tmp_path / "s", "--method", "aad")
    assert result.exit_code == 0 and "ranked by active anomaly detection on embeddings, with no" in result.stdout, (
        result.output
    )
    assert "No light curves were given" in (tmp_path / "s" / "discover.html").read_text()
    how = ("--curves", made / "stars.parquet", "--use", "both", "--out", tmp_path / "t")
    result = run(made / "embeddings.parquet", *how)
    assert result.exit_code == 0 and "on embeddings and features" in result.stdout, result.output


def test_what_is_refused(made, tmp_path):
    stars, table, out = made / "stars.parquet", made / "embeddings.parquet", tmp_path / "s"
    assert "does not exist" in refused(tmp_path / "none.parquet", "--out", out)
    assert "needs a folder: --out DIR" in refused(stars)
    assert "is no folder of a search" in refused(stars, "--answers", stars)
    assert "--use colour: choose" in refused(stars, "--out", out, "--use", "colour")
    assert "--method svm: choose pine or aad" in refused(stars, "--out", out, "--method", "svm")
    assert "--use windows needs light curves" in refused(table, "--out", out, "--use", "windows")
    assert "name their file with --curves" in refused(table, "--out", out, "--use", "both")
    assert "holds a search already: go on with" in refused(stars, "--out", made / "search")
    assert "leave --out, --use" in refused(made / "search", "--use", "both")
    assert "does not exist" in refused(made / "search", "--answers", tmp_path / "none.csv")
    (tmp_path / "empty.csv").write_text("object_id,answer\n")
    assert "holds no answers; say yes or no" in refused(made / "search", "--answers", tmp_path / "empty.csv")
    (tmp_path / "a.csv").write_text("object_id,answer\nnobody,yes\n")
    assert "no star 'nobody' among the 30" in refused(made / "search", "--answers", tmp_path / "a.csv")
    (tmp_path / "full").mkdir()
    (tmp_path / "full" / "notes.txt").write_text("mine")
    assert "holds files that this command did not write (notes.txt)" in refused(stars, "--out", tmp_path / "full")
    assert not out.exists()
