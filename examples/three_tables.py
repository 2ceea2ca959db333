"""Three tables about the same people, each with holes: fit a model, fill the holes, and see how certain every value is."""

import numpy as np

from jpvae import JPVAE

rng = np.random.default_rng(0)
people = rng.normal(size=(800, 3))  # what the tables have in common
tables = {
    "scan": people @ rng.normal(size=(3, 12)) + 0.3 * rng.normal(size=(800, 12)),
    "genes": np.tanh(people @ rng.normal(size=(3, 20))) + 0.1 * rng.normal(size=(800, 20)),
    "clinic": 50 + 10 * (people @ rng.normal(size=(3, 5))) + rng.normal(size=(800, 5)),
}
mask = rng.random((800, 3)) < 0.7
mask[~mask.any(axis=1), 0] = True  # everyone came at least once

model = JPVAE(likelihood="gaussian")
filled, std = model.fit(tables, mask).impute(tables, mask, return_std=True)
for i, (name, truth) in enumerate(tables.items()):
    missing = ~mask[:, i]
    error = np.sqrt(np.mean((filled[name][missing] - truth[missing]) ** 2))
    naive = np.sqrt(np.mean((truth[mask[:, i]].mean(axis=0) - truth[missing]) ** 2))
    estimate = np.sqrt(np.mean(std[name][missing] ** 2))
    print(f"{name:7} {missing.sum()} rows filled: error {error:.2f} (column means {naive:.2f}), own estimate {estimate:.2f}")
    assert error < 0.7 * naive
