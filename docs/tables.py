"""Make docs/tables.md and docs/tables.png: a session on real tables, with every command and its output.

    python docs/tables.py        takes a minute; needs pip install 'jpvae[tables]'

The tables are the first 600 of scikit-learn's handwritten digits (8 x 8 grey values, UCI) cut into three views: rows 1-3 of the
picture in a csv file; 4-5 in a parquet file; 6-8 in an Excel sheet, with a count (the number of its pixels with ink) and a
category (the digit, in words). Each digit is absent from each table with probability 0.3, but never from all; the middle also
lacks cells.
"""

from __future__ import annotations

import os
import shlex
import subprocess
import sys
import tempfile
from pathlib import Path

import numpy as np
import pandas as pd
from sklearn.datasets import load_digits

DOCS = Path(__file__).parent
VIEWS = "--view top=top.csv --view middle=middle.parquet --view bottom=bottom.xlsx"
STEPS = [
    (
        "## Fit",
        "`fit` joins the tables on the id, infers the likelihood of every column, prints what it found, and trains. Here one "
        "column is set by hand: `inked` is a count. By default, single empty cells are an error; `marginalise` leaves them out "
        "of the likelihood and imputes them. (500 steps, and few digits, keep this page quick to make.)",
        f"jpvae fit {VIEWS} --id scan --out model.safetensors \\\n"
        "    --likelihood bottom:inked=negative_binomial_unscaled --entries marginalise --steps 500 --backend numpy",
    ),
    (
        "## Inspect",
        "`inspect` summarises the model. A singular value of C_ij is the correlation between one pair of latent directions of "
        "two views; the smallest eigenvalue measures how far the prior is from singular.",
        "jpvae inspect model.safetensors --figure tables.png",
    ),
    (
        "## Impute",
        "For new scans, only two of the tables exist. `impute` fills the third for every scan, here with three draws for "
        "multiple imputation.",
        "jpvae impute model.safetensors --view top=new_top.csv --view middle=new_middle.parquet --out filled --draws 3",
    ),
    (
        "",
        "What was observed is written as it stood, and the last column marks the rows in which anything was filled:",
        "head -n 4 filled/top.csv | cut -d, -f1-6,26",
    ),
    (
        "",
        "The third table was not given at all. These are two of its grey values, the count, and the most probable name:",
        "head -n 4 filled/bottom.csv | cut -d, -f1,4,5,26-",
    ),
    (
        "",
        "The draws are complete tables, one below the other. This is one scan in all three; a drawn count is a whole number:",
        "grep -e scan -e d0513 filled/bottom.draws.csv | cut -d, -f1,2,5,6,27-",
    ),
    (
        "## Evaluate",
        "`evaluate` shows whether the model is better than simpler methods. It trains a new model with the same options on "
        "four fifths of the rows, hides each view of the remaining rows in turn, and imputes it with every method. For names, "
        "column means stand for the most frequent name. (The machine was busy: its seconds are no measure.)",
        f"jpvae evaluate model.safetensors {VIEWS}",
    ),
    (
        "## Mistakes",
        "Each mistake gives one message, before any work starts, and exit code 2:",
        "jpvae impute model.safetensors --view top=renamed.csv --out more",
    ),
    ("", "", "jpvae impute model.safetensors --view top=new_top.csv --view bottom=eleven.csv --out more"),
    ("", "", "jpvae fit --view top=top.csv --view sites=sites.csv --id scan --out other.safetensors"),
    ("", "", f"jpvae fit {VIEWS} --id scan --out other.safetensors"),
    (
        "## Files as they come",
        "Options set how a file is read, for all views, for one, or for a column. They are stored with the model: the "
        "files of a later `impute` are read the same way, and results have the separators and the encoding of their "
        "input. Texts that stand for numbers (units, thousands, decimal commas), dates, codes for missing and features "
        "as rows are never guessed: the message names the option that reads them.",
        "head -n 3 sites.csv",
    ),
    (
        "",
        "",
        "jpvae fit --view top=top.csv --view sites=sites.csv --id scan --id sites=probe --sep 'sites=;' \\\n"
        "    --decimal 'sites=,' --unit 'sites:dose=mg' --na 'sites:dose=?' --sentinel sites:weight=-999 \\\n"
        "    --entries marginalise \\\n"
        "    --steps 200 --backend numpy --out sites.safetensors --write-config sites.toml",
    ),
    (
        "",
        "The options are now in a file for the next time, `jpvae fit --config sites.toml`:",
        "cat sites.toml",
    ),
]
CLOSING = """## Cells, batches, repeated measures

`.h5ad` and `.h5mu` files are views too (`pip install 'jpvae[single-cell]'`): `--view rna=cite.h5mu --view adt=cite.h5mu`
reads two modalities of one file by their names, `--layer rna=counts` a layer; cells go by their obs names, a cell that a
modality lacks is a missing view, and whole numbers are counts, with a negative binomial likelihood. Results are files of
the same kind: `X` has the filled numbers (of whichever layer was read), `obs["imputed"]` marks what was filled, and all else
is the input's: `obs`, `var`, `uns`, layers, `obsm` and `varm`, with gaps for cells that a modality lacks. Draws are layers of
a file of their own. In Python: `JPVAE(likelihood="infer", layer=...).fit(mdata)` and `impute(mdata)`, which gives a MuData.
A damaged file can crash the HDF5 library; each is therefore read in a process of its own first, and refused with a message
where that crashes, where it unpacks to gigabytes, or where it refers to other files.

Batches (sites, plates, donors) are not modelled. A known batch can be a view of its own with one categorical column, so
that the others may depend on it; or its effect is removed before the fit, column by column, and added again to what was
imputed.

Repeated measures are not modelled: every id may stand once per table. Either each visit is a view (`visit1`, `visit2`),
which learns how visits are related and fills those that were missed, or each visit is a subject (`P1-visit2`), which learns
nothing from the other visits of the same person, and whose intervals are therefore too wide within persons and too narrow
for means of them.
"""
NAMES = np.array(["zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine"])
OPENING = """# Your tables on the command line

*This page is a transcript: `python docs/tables.py` ran the commands and wrote their output.*

The data are 600 handwritten digits (from scikit-learn, 8 × 8 grey values from 0 to 1) cut into three views: the top in a csv
file, the middle in a parquet file, and the bottom in an Excel sheet, together with the number of its pixels that have ink and
the digit's name. Each view lacks 30 % of the digits at random, and the middle also lacks one cell in 200. The last 100 digits
are set aside for imputation.
"""


def make_tables(folder: Path) -> None:
    """The views of the first 500 digits, two views of the others, two tables with mistakes, and one as people have them."""
    (ink, names), rng = load_digits(return_X_y=True), np.random.default_rng(0)
    ink, names = ink[:600], NAMES[names[:600]]
    frame = pd.DataFrame(ink / 16, columns=[f"pixel_{k}" for k in range(1, 65)])
    scan = pd.Series([f"d{k:04}" for k in range(len(frame))], name="scan")
    has = rng.random((len(frame), 3)) < 0.7
    has[~has.any(axis=1), 0] = True
    middle = frame.iloc[:, 24:40].mask(rng.random((len(frame), 16)) < 0.005)
    bottom = frame.iloc[:, 40:].assign(inked=(ink[:, 40:] > 0).sum(axis=1), name=names)
    views = {"top": frame.iloc[:, :24], "middle": middle, "bottom": bottom}
    tables = {name: pd.concat([scan, view], axis=1)[own] for (name, view), own in zip(views.items(), has.T, strict=True)}
    old = {name: t[t["scan"] < "d0500"] for name, t in tables.items()}
    new = {name: t[t["scan"] >= "d0500"] for name, t in tables.items()}
    old["top"].to_csv(folder / "top.csv", index=False)
    old["middle"].to_parquet(folder / "middle.parquet", index=False)
    old["bottom"].to_excel(folder / "bottom.xlsx", index=False)
    new["top"].to_csv(folder / "new_top.csv", index=False)
    new["middle"].to_parquet(folder / "new_middle.parquet", index=False)
    new["top"].rename(columns={"pixel_7": "pixel_seven"}).to_csv(folder / "renamed.csv", index=False)
    new["bottom"].replace({"name": "nine"}, "eleven").to_csv(folder / "eleven.csv", index=False)
    dose = [f"{k % 7 + 1} mg" if k % 11 else "?" for k in range(len(old["top"]))]
    weight = np.where(rng.random(len(dose)) < 0.01, -999, rng.normal(70, 9, len(dose)).round(1))
    sites = pd.DataFrame({"probe": old["top"]["scan"].to_numpy(), "dose": dose, "weight": weight})
    sites.to_csv(folder / "sites.csv", index=False, sep=";", decimal=",")


def run(command: str, folder: Path) -> str:
    """What the command prints, exit code included where it is not 0."""
    environment = os.environ | {"COLUMNS": "100", "NO_COLOR": "1", "OPENBLAS_NUM_THREADS": "1"}
    here = f'jpvae() {{ {shlex.quote(sys.executable)} -m jpvae "$@"; }}; {command}'
    done = subprocess.run(
        ["bash", "-c", here],
        cwd=folder,
        env=environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        check=False,
    )
    code = "" if done.returncode == 0 else f"\n[exit code {done.returncode}]"
    return "\n".join(line.rstrip() for line in done.stdout.splitlines()) + code


def main() -> None:
    """Run every step and write the page and its figure."""
    page = [OPENING]
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        make_tables(folder)
        for heading, words, command in STEPS:
            page += [part + "\n" for part in (heading, words) if part]
            page.append(f"```console\n$ {command}\n{run(command, folder)}\n```\n")
            if "--figure" in command:
                page.append("![correlations between all latents](tables.png)\n")
        page.append(CLOSING)
        (DOCS / "tables.png").write_bytes((folder / "tables.png").read_bytes())
    (DOCS / "tables.md").write_text("\n".join(page))


if __name__ == "__main__":
    main()
