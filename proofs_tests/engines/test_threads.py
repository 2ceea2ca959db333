"""An engine computes with the threads that its rows are worth, at most those that it was left, and gives them back."""

import numpy as np
import pytest
import torch
from synthetic import OPTIONS, three_views
from threadpoolctl import ThreadpoolController, threadpool_limits

from jpvae import JPVAE
from jpvae.engines import engine, limited
from jpvae.errors import ConfigError
from jpvae.model.model import Model
from jpvae.options import Options
from jpvae_numpy.threads import products_threads

SMALL = Model((5, 4), (2, 2), ("gaussian",) * 2, hidden=(8,))
LARGE = Model((392, 392), (20, 20), ("bernoulli",) * 2, hidden=(512, 512))


def in_products():
    """What threadpoolctl finds, our module left out."""
    return max(one["num_threads"] for one in ThreadpoolController().select(user_api="blas").info())


@pytest.fixture
def two_torch_threads():
    before = torch.get_num_threads()
    torch.set_num_threads(2)
    yield
    torch.set_num_threads(before)


def test_what_rows_are_worth():
    """One thread per 2^29 rows x weights: of encoders 392-512-512-40 and decoders 20-512-512-392, two each."""
    weights = 2 * (392 * 512 + 512 * 512 + 512 * 40 + 20 * 512 + 512 * 512 + 512 * 392)
    assert LARGE.weights == weights
    rows = -(-(2**29) // weights)
    assert [LARGE.threads(n) for n in (1, rows, 2 * rows, 8 * rows)] == [1, 1, 2, 8]


@pytest.mark.usefixtures("two_torch_threads")
@pytest.mark.parametrize(("model", "rows", "options", "expected"), [
    (SMALL, 64, {}, 1),
    (LARGE, 64, {}, 1),
    (LARGE, 4096, {}, 2),
    (SMALL, 64, {"threads": 3}, 3),
])  # fmt: skip
def test_torch(model, rows, options, expected):
    made = engine("torch", model, **options)
    with limited(made, rows):
        assert torch.get_num_threads() == expected
    assert torch.get_num_threads() == 2


@pytest.mark.parametrize(("left", "model", "rows", "options", "own", "products"), [
    (2, SMALL, 64, {}, 1, 1),
    (2, SMALL, 2**24, {}, 1, 2),
    (2, LARGE, 64, {}, 2, 1),  # one for each view, and one in each product
    (2, LARGE, 4096, {}, 2, 1),
    (1, LARGE, 4096, {}, 1, 1),  # no more than it was left
    (1, SMALL, 64, {"threads": 2}, 2, 1),
])  # fmt: skip
def test_numpy(left, model, rows, options, own, products):
    with threadpool_limits(left, user_api="blas"):
        made = engine("numpy", model, **options)
        assert made.threads == own
        with limited(made, rows):
            assert in_products() == products_threads() == products
        assert in_products() == left


@pytest.mark.usefixtures("two_torch_threads")
def test_a_fitted_model_gives_the_threads_back():
    views, mask = three_views(20, 0)
    seen = []
    model = JPVAE(**OPTIONS | {"steps": 2, "backend": "torch"})
    model.fit(views, mask, on_log=lambda _: seen.append(torch.get_num_threads()))
    assert (set(seen), torch.get_num_threads()) == ({1}, 2)
    decode = model.predictor().engine.decode
    model.predictor().engine.decode = lambda *given: seen.append(torch.get_num_threads()) or decode(*given)
    for call in (model.impute, model.transform, model.score, model.elbo, model.reconstruct):
        call(views, mask)
    assert (set(seen), torch.get_num_threads()) == ({1}, 2)


def test_threads_are_no_part_of_a_training():
    assert Options(threads=2).to_json() == Options().to_json()


def test_what_is_refused():
    with pytest.raises(ConfigError, match=r"threads is 2 with backend='jax', which chooses its own; expected None"):
        engine("jax", SMALL, threads=2)
    for wrong in (0, 1.5, "2"):
        with pytest.raises(ConfigError, match="threads is"):
            JPVAE(threads=wrong).fit([np.eye(4, 2)] * 2)
