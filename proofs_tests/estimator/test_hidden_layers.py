"""``hidden`` of each view: layers of these sizes, the same as one tuple for all where they are equal, in a file and back."""

import numpy as np
import pytest
from synthetic import OPTIONS, three_views

from jpvae import JPVAE

VIEWS, MASK = three_views(40, 3)
SHORT = OPTIONS | {"steps": 6, "progress": False}


@pytest.mark.parametrize("backend", ["numpy", "torch"])
def test_each_view_has_its_own_layers(tmp_path, backend):
    model = JPVAE(**SHORT | {"hidden": ((), (6,), [5, 4]), "backend": backend, "latent_dims": (3, 2, 2)}).fit(VIEWS, MASK)
    sizes = {name: x.shape for name, x in model.parameters_.items() if name.endswith("weight")}
    assert sizes == {
        "encoder.0.0.weight": (5, 6),  # 5, 4 and 3 columns; means and log-variances of 3, 2 and 2 latents
        "encoder.1.0.weight": (4, 6),
        "encoder.1.1.weight": (6, 4),
        "encoder.2.0.weight": (3, 5),
        "encoder.2.1.weight": (5, 4),
        "encoder.2.2.weight": (4, 4),
        "decoder.0.0.weight": (3, 5),
        "decoder.1.0.weight": (2, 6),
        "decoder.1.1.weight": (6, 4),
        "decoder.2.0.weight": (2, 4),
        "decoder.2.1.weight": (4, 5),
        "decoder.2.2.weight": (5, 3),
    }
    assert all(np.isfinite(filled).all() for filled in model.impute(VIEWS, MASK, n_draws=2))
    model.save(tmp_path / "m")
    loaded = JPVAE.load(tmp_path / "m")
    assert loaded.hidden == ((), (6,), (5, 4))
    assert all(
        np.array_equal(a, b)
        for a, b in zip(loaded.impute(VIEWS, MASK, n_draws=2), model.impute(VIEWS, MASK, n_draws=2), strict=True)
    )


@pytest.mark.parametrize("backend", ["numpy", "torch"])
def test_equal_layers_are_one_tuple(backend):
    one, each = (JPVAE(**SHORT | {"hidden": h, "backend": backend}).fit(VIEWS, MASK) for h in ((6, 5), ((6, 5),) * 3))
    assert all(np.array_equal(x, each.parameters_[name]) for name, x in one.parameters_.items())


def test_both_engines_train_the_same():
    options = SHORT | {"hidden": ((), (6,), (5, 4)), "dtype": "float64"}
    numpy, torch = (JPVAE(**options | {"backend": b}).fit(VIEWS, MASK) for b in ("numpy", "torch"))
    for name, x in numpy.parameters_.items():
        np.testing.assert_allclose(torch.parameters_[name], x, rtol=0, atol=1e-9)  # six steps; roundings of some 1e-15 each


@pytest.mark.parametrize(
    ("rows", "columns", "latents", "hidden"),
    [(1000, (2, 32), 32, (128,)), (999, (2, 32), 16, (64,)), (1000, (2, 31), 16, (64,))],
)
def test_large_tables_get_larger_networks(rows, columns, latents, hidden):
    data = [np.random.default_rng(c).standard_normal((rows, c)) for c in columns]
    options = {"likelihood": "gaussian", "steps": 1, "backend": "numpy", "progress": False}
    model = JPVAE(**options).fit(data)
    assert (model.model_.latent_dims, model.model_.hidden) == ((latents, latents), hidden)
    chosen = JPVAE(**options, latent_dims=(2, 3), hidden=(8,)).fit(data)
    assert (chosen.model_.latent_dims, chosen.model_.hidden) == ((2, 3), (8,))
