"""Tables of numbers and categories, and options about them, that are refused: with the table, the column and what was found."""

import numpy as np
import pytest
from clinic import CLINIC, INDEX, MASK, READS, SCAN, VIEWS, N, model
from synthetic import OPTIONS

from jpvae import JPVAE
from jpvae.errors import ConfigError, ViewError

ERRORS = {
    "category": (
        {"clinic": CLINIC.assign(sex="x")},
        r"view 'clinic', row s0, column 'sex' is 'x', a category.*one of \['f', 'm'\]",
    ),
    "code": (
        {"clinic": CLINIC.assign(site=30)},
        r"view 'clinic', row s0, column 'site' is 30, a category.*\[10.0, 20.0, 40.0\]",
    ),
    "absent": ({"clinic": CLINIC.drop(columns="age")}, r"view 'clinic' has no columns \['age'\]; expected those of the fit"),
    "unknown": ({"reads": READS.assign(q=1)}, r"view 'reads' has unknown columns \['q'\]"),
    "twice": ({"reads": READS[["v", "v"]]}, r"view 'reads' has the columns \['v'\] more than once"),
    "indexes": ({"clinic": CLINIC, "reads": READS[::-1]}, r"views 'clinic' and 'reads' have different indexes"),
    "negative": ({"reads": READS - 50}, r"view 'reads', row s0, column 'v' is -\d+; a count likelihood"),
    "a text": (
        {"reads": READS.astype(object).assign(w="many")},
        r"view 'reads' is not numeric .*column 'w'.*likelihood=\"infer\"",
    ),
    "infinite": ({"scan": np.full((N, 4), np.inf)}, r"view 'scan', row 0, column 0 is inf"),
    "empty row": ({"scan": np.full((N, 4), np.nan)}, r"view 'scan', row 0, column 0 is nan; .*missing=\"nan\""),
}


@pytest.mark.parametrize(("views", "message"), ERRORS.values(), ids=ERRORS.keys())
def test_tables_that_do_not_fit(views, message):
    with pytest.raises(ViewError, match=message):
        model().impute(views)


def test_out_is_for_numbers():
    with pytest.raises(ViewError, match="out holds numbers only"):
        model().impute(VIEWS, MASK, out={})


OPTION_ERRORS = {
    "view": ({"likelihood": {"clinic": "infer"}}, r"likelihood names the views \['clinic'\]; expected one entry for each of"),
    "column": (
        {"likelihood": {"clinic": {"x": "gaussian"}, "reads": "poisson"}},
        r"likelihood names the column 'x' of view 'clin",
    ),
    "family": ({"likelihood": {"clinic": {"age": "flow"}, "reads": "poisson"}}, r"likelihood is 'flow'"),
    "group": (
        {"likelihood": {"clinic": {("left", "right"): "gaussian"}, "reads": "poisson"}},
        r"as one group; expected 'categ",
    ),
    "twice": (
        {"likelihood": {"clinic": {("left", "right"): "categorical", "left": "bernoulli"}, "reads": "poisson"}},
        r"names a column of view 'clinic' twice",
    ),
    "one count": (
        {"likelihood": {"clinic": {"age": "poisson"}, "reads": "poisson"}},
        r"column 'age' of view 'clinic' is 'poisson', whose size factor.*'poisson_unscaled'",
    ),
    "weights": ({"view_weights": (1,)}, r"view_weights is \(1,\); expected one number per view \(2 views\)"),
    "negative weight": ({"view_weights": (1, -1)}, r"view_weights is \(1\.0, -1\.0\); expected non-negative"),
    "weight's name": ({"view_weights": {"x": 1}}, r"view_weights names the views \['x'\]; expected \['clinic', 'reads'\]"),
    "entries": ({"entries": "drop"}, r"entries is 'drop'; expected 'error'"),
}


@pytest.mark.usefixtures("no_training")
@pytest.mark.parametrize(("changes", "message"), OPTION_ERRORS.values(), ids=OPTION_ERRORS.keys())
def test_options_that_do_not_fit(changes, message):
    views = {"clinic": CLINIC, "reads": READS}
    options = OPTIONS | {"latent_dims": 2, "likelihood": {"clinic": "infer", "reads": "poisson"}} | changes
    with pytest.raises(ConfigError, match=message):
        JPVAE(**options).fit(views)


@pytest.mark.usefixtures("no_training")
@pytest.mark.parametrize(
    ("column", "message"),
    [
        (INDEX, r"view 'clinic', column 'who' has 60 categories in 60 rows.*identifier"),
        ("same", r"view 'clinic', column 'who' has 1 categories; expected at least 2"),
    ],
)
def test_texts_that_are_no_categories(column, message):
    with pytest.raises(ViewError, match=message):
        JPVAE(**OPTIONS | {"likelihood": "infer", "latent_dims": 2}).fit({"clinic": CLINIC.assign(who=column), "reads": READS})


def test_a_column_that_nobody_has():
    with pytest.raises(ViewError, match=r"view 'view0', column 1 has no value in any row"):
        JPVAE(**OPTIONS | {"entries": "marginalise", "latent_dims": 2}).fit([SCAN * [1, np.nan, 1, 1], SCAN])
