"""The pages' JavaScript for tests, run by node: what it prints, and stars as it holds them."""

from __future__ import annotations

import json
import os
import shutil
import subprocess

import numpy as np
import pytest

from astraclr.data.lightcurves import LightCurves

REQUIRED = "ASTRACLR_BROWSER_REQUIRED"
needs_node = pytest.mark.skipif(
    shutil.which("node") is None and not os.environ.get(REQUIRED), reason="no node: JavaScript is not run here"
)


def node(root, tmp_path, code: str, **values) -> dict:
    """What JavaScript prints as JSON; `E` is the encoder, `F` its folding, `L` the light curves, `given` the values."""
    given, program = tmp_path / "given.json", tmp_path / "program.js"
    given.write_text(json.dumps(values))
    program.write_text(
        f"const E = require({str(root / 'book/interactive/encoder.js')!r});\n"
        f"const F = require({str(root / 'book/interactive/folding.js')!r});\n"
        f"const L = require({str(root / 'book/interactive/lightcurve.js')!r});\n"
        f"const given = JSON.parse(require('fs').readFileSync({str(given)!r}, 'utf8'));\n"
        f"const print = (v) => process.stdout.write(JSON.stringify(v));\n{code}\n"
    )
    done = subprocess.run(["node", str(program)], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


def as_stars(lc: LightCurves) -> list[dict]:
    """Stars as the pages hold them."""
    return [
        {
            "id": lc.object_id[s],
            "bands": [
                {"name": b, "wavelength": w, **dict(zip(("mjd", "mag", "magerr"), columns, strict=True))}
                for (b, w), columns in zip(
                    lc.bands.items(),
                    ([c.astype(float).tolist() for c in lc.star(s).get(b, [np.array([])] * 3)] for b in lc.bands),
                    strict=True,
                )
            ],
        }
        for s in range(len(lc))
    ]
