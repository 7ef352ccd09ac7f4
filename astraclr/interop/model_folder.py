"""A folder as model hubs expect it: a card with a YAML header, weights, ONNX, config, licence. Nothing is uploaded."""

from __future__ import annotations

import json
import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from astraclr.data.escaping import code_span, for_markdown
from astraclr.files import read_json, replacing
from astraclr.folders import locked, need_no_others
from astraclr.interop.onnx_native import export_native
from astraclr.model.checkpoint import Checkpoint

CARD, ONNX, LICENCE, _HEAD = "README.md", "model.onnx", "LICENSE", "head.safetensors"
_COPIED = ("config.json", "history.csv", _HEAD, "head_features.safetensors", "metrics.json", "scores.json")
TAGS = ("astronomy", "light-curves", "time-series", "variable-stars", "onnx", "safetensors")


def write_model_folder(checkpoint: Checkpoint, source: Path, out: Path, licence: str, text: str = "") -> list[str]:
    """Write a checkpoint as a folder for a model hub, and check its card with huggingface_hub's own parser.

    Parameters
    ----------
    checkpoint : the encoder
    source : its folder, from which config, weights, heads and scores are copied
    out : a new or empty folder, or one that this function wrote
    licence : SPDX name
    text : of the licence; by default a reference to it

    Returns
    -------
    Names of the files, sorted

    Raises
    ------
    ValueError
        If `out` holds other files, no licence is given, the ONNX file differs from torch, or the card is refused.
    ImportError
        If huggingface_hub, onnx or onnxscript is not installed.

    Examples
    --------
    >>> from astraclr.files import shipped_file
    >>> from astraclr.model.checkpoint import load_checkpoint
    >>> where = shipped_file("checkpoints/tiny")
    >>> write_model_folder(load_checkpoint("tiny"), where, Path("hub"), "MIT")  # doctest: +SKIP
    ['LICENSE', 'README.md', 'config.json', ...]
    """
    need_ready(out, licence)
    weights = str(read_json(source / "config.json")["weights"])
    names = [weights, *(name for name in _COPIED if (source / name).is_file())]
    with locked(out):
        for old in out.glob("weights-*.safetensors"):
            if old.name != weights:
                old.unlink()
        for name in names:
            with replacing(out / name) as part:
                shutil.copyfile(source / name, part)
        metadata = export_native(checkpoint, out / ONNX, licence)
        with replacing(out / LICENCE) as part:
            part.write_text(text or f"SPDX-License-Identifier: {licence}\nhttps://spdx.org/licenses/{licence}.html\n")
        card = card_of(checkpoint, [*names, ONNX, LICENCE], metadata, scores_of(source), _side_by_side(source))
        check_card(card, licence)
        with replacing(out / CARD) as part:  # the last file: a folder that holds it is complete
            part.write_text(card, encoding="utf-8")
    return sorted([*names, ONNX, LICENCE, CARD])


def need_ready(out: Path, licence: str) -> None:
    """Refuse what `write_model_folder` would, before any work.

    Raises
    ------
    ValueError
        If no licence is given, or `out` holds files of others.
    """
    if not licence:
        raise ValueError("a hub asks for a licence of the weights: name it with --licence, such as MIT or CC-BY-4.0")
    need_no_others(out, lambda path: path.name in (CARD, ONNX, LICENCE, *_COPIED) or path.name.startswith("weights-"))


def card_of(
    checkpoint: Checkpoint,
    names: list[str],
    metadata: Mapping[str, str],
    scores: list[str],
    side_by_side: bool = False,
) -> str:
    """The card: a YAML header, then what the encoder is, its inputs, its files and its scores.

    Parameters
    ----------
    checkpoint : the encoder
    names : of the files beside the card
    metadata : of the ONNX file (`onnx_graph.metadata_of`)
    scores : lines of Markdown
    side_by_side : whether the head reads the embeddings of the three windows, not their mean
    """
    preset, recipe = checkpoint.preset, checkpoint.recipe
    header = {
        "license": metadata["licence"].lower(),
        "library_name": "astraclr",
        "pipeline_tag": "feature-extraction",
        "tags": list(TAGS),
    }
    inputs = json.loads(metadata["inputs"])
    rows = [
        f"| `{name}` | ({i['shape']}) {i['type']} | {i['unit'] or '-'} | {i['meaning']} |" for name, i in inputs.items()
    ]
    width, n_weights = checkpoint.encoder.config.d_embedding, sum(p.numel() for p in checkpoint.encoder.parameters())
    about = {
        "config.json": "settings, and the SHA-256 of the weights",
        "history.csv": "losses of the training",
        _HEAD: "a classifier on the embeddings, for `astraclr predict`",
        "head_features.safetensors": "a classifier on embeddings and hand-crafted features",
        "metrics.json": "scores of the fine-tuning beside its controls",
        "scores.json": "scores of the encoder beside its controls",
        ONNX: "the encoder, for onnxruntime; its metadata repeat the table above",
        LICENCE: "the licence",
    }
    lines = [
        "---",
        *(f"{key}: {json.dumps(value)}" for key, value in header.items()),
        "---",
        "",
        f"# {for_markdown(checkpoint.name)}",
        "",
        f"An encoder of astronomical light curves: irregular observations in several bands become {width} numbers. "
        f"Astra-CLR (arXiv 2606.31627), recipe {code_span(recipe.name)}, {preset.n_layers} layers, {n_weights:,} "
        f"weights, windows of {for_markdown(metadata['windows'])}; bands in angstrom: "
        f"{for_markdown(metadata['bands'])}.",
        "",
        "## Use",
        "",
        "```python",
        "import astraclr",
        "",
        'model = astraclr.load_checkpoint("this_folder")',
        'table = astraclr.embedding_table(astraclr.read("my_light_curves.parquet"), model)',
        "```",
        "",
        f"Without PyTorch, `{ONNX}` gives `embedding` (n, {width}) of one window from",
        "",
        "| input | shape | unit | |",
        "|---|---|---|---|",
        *rows,
        "",
        "An embedding of a star is the mean over its first, middle and last window."
        + (f" {code_span(_HEAD)} reads the three side by side, in this order." if side_by_side else ""),
        "",
        "## Files",
        "",
        *(f"- {code_span(name)}: {about.get(name, 'weights')}" for name in names),
        "",
        *scores,
    ]
    return "\n".join(lines).rstrip() + "\n"


def _side_by_side(source: Path) -> bool:
    """Whether the head in a checkpoint's folder reads the embeddings of the three windows, as a fine-tuned one does."""
    from safetensors import safe_open

    if not (source / _HEAD).is_file():
        return False
    with safe_open(source / _HEAD, framework="np") as file:
        facts = json.loads((file.metadata() or {}).get("head", "{}"))
    return facts.get("fusion") == "concat"


def scores_of(source: Path) -> list[str]:
    """Lines of Markdown about the scores in a checkpoint's folder: of a fine-tuning, or the card of a shipped one."""
    metrics = read_json(source / "metrics.json") if (source / "metrics.json").is_file() else {}
    if isinstance(found := metrics.get("scores"), dict):
        rows: list[dict[str, Any]] = [{"name": name, **row} for name, row in found.items() if "accuracy" in row]
        n = metrics["stars"]

        def cell(row: Mapping[str, Any], metric: str) -> str:
            low, high = row.get(f"{metric}_low"), row.get(f"{metric}_high")
            return f"{row[metric]:.3f}" + ("" if low is None else f" ({low:.3f} to {high:.3f})")

        return [
            "## Scores",
            "",
            f"Fine-tuned with {n['train']:,} labelled stars, stopped by {n['validation']:,}, tested on {n['test']:,} "
            "others; 95 % intervals over resampled test objects.",
            "",
            "| | accuracy | macro-F1 |",
            "|---|---|---|",
            *(f"| {r['name'].replace('_', ' ')} | {cell(r, 'accuracy')} | {cell(r, 'macro_f1')} |" for r in rows),
        ]
    if not (source / CARD).is_file():
        return ["No scores were kept beside this checkpoint; measure them beside random weights before you use it."]
    return ["#" + line if line.startswith("#") else line for line in (source / CARD).read_text().splitlines()]


def check_card(card: str, licence: str) -> None:
    """Refuse a card that huggingface_hub's parser does not read as it was meant; no network is used.

    Raises
    ------
    ValueError
        If its header cannot be read, or says something else.
    ImportError
        If huggingface_hub is not installed.
    """
    try:
        from huggingface_hub import ModelCard
    except ImportError as error:
        raise ImportError(f"{error}; a card is checked by huggingface_hub: pip install 'astraclr[data]'") from error
    try:
        read = ModelCard(card).data.to_dict()
    except Exception as error:  # errors of the YAML parser, of huggingface_hub and of its types share no class
        raise ValueError(f"huggingface_hub does not read the card: {error}") from error
    wanted = {"license": licence.lower(), "library_name": "astraclr", "tags": list(TAGS)}
    if odd := [key for key, value in wanted.items() if read.get(key) != value]:
        raise ValueError(f"huggingface_hub reads {', '.join(odd)} of the card otherwise than meant")
