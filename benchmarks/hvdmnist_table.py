"""Write the table of results/hvdmnist/*.json into README.md, between its two markers; --check only says whether it is there.

    python benchmarks/hvdmnist_table.py [--check]

Made from runs of `jpvae hvdmnist`: copy each run's result.json to results/hvdmnist/<variant>-<protocol>.json.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path

HERE = Path(__file__).parent
README = HERE.parent / "README.md"
BEGIN, END = "<!-- results: benchmarks/hvdmnist_table.py -->", "<!-- end of results -->"
ROWS = {
    "zero-published": "C = 0, as published",
    "svd-published": "σ₁ < 1, as published",
    "orthogonal-published": "orthogonal, as published",
    "svd-ours": "SVD, subset objective",
    "orthogonal-ours": "orthogonal, subset objective",
}


def table() -> str:
    """The markdown table of every result there is."""
    lines = [
        "| test nats: view 1 / 2 | reconstruction | imputation (Table 1) | plug-in | predictive | conditional NLL | active |",
        "|---|---|---|---|---|---|---|",
    ]
    for name, label in ROWS.items():
        r = json.loads((HERE / "results" / "hvdmnist" / f"{name}.json").read_text())
        table_1 = r["table_1"]
        pairs = [table_1["reconstruction"], table_1["imputation"], r["plug_in"], r["predictive"], r["conditional_nll"]]
        cells = [f"{a:.1f} / {b:.1f}" for a, b in pairs]
        if name == "zero-published":
            cells[2] = "–"  # under C = 0 the prior knows nothing of the other view
        lines.append(f"| {label} | {' | '.join(cells)} | {r['table_2']['active_units_percent']:.0f} % |")
    return "\n".join(lines)


def readme() -> str:
    """README.md with the table as it should be."""
    text = README.read_text()
    before, rest = text.split(BEGIN)
    _, after = rest.split(END)
    return f"{before}{BEGIN}\n{table()}\n{END}{after}"


if __name__ == "__main__":
    wanted = readme()
    if "--check" in sys.argv:
        sys.exit(0 if README.read_text() == wanted else "README.md's table is not what benchmarks/hvdmnist_table.py prints")
    README.write_text(wanted)
