"""A regression on tables with holes: impute m times, fit m times, pool by Rubin's rules; beside it, complete cases alone.

The diabetes data that scikit-learn carries: 442 people, the progression of the disease after a year, body measures and blood
serum. A third of the blood samples is lost, far more often for people whose disease progressed fast. Complete cases then
carry too little information about what drives the disease; the imputed tables, which include everybody, carry more.
"""

from typing import Any

import numpy as np
from sklearn.datasets import load_diabetes

from jpvae import JPVAE, pool

frame = load_diabetes(as_frame=True, scaled=False).frame
body, blood, outcome = ["age", "sex", "bmi", "bp"], ["s1", "s2", "s3", "s4", "s5", "s6"], ["target"]
rng = np.random.default_rng(0)
worse = (frame["target"] - frame["target"].mean()) / frame["target"].std()
lost = rng.random(len(frame)) < 1 / (1 + np.exp(1 - 2 * worse))
table = frame.mask(np.outer(lost, frame.columns.isin(blood)))


def regression(rows: Any) -> tuple[np.ndarray, np.ndarray]:
    """Coefficients of the progression on bmi, bp and s5, and their variances (ordinary least squares)."""
    X = np.column_stack([np.ones(len(rows)), rows[["bmi", "bp", "s5"]]])
    inverse = np.linalg.inv(X.T @ X)
    coefficients = inverse @ X.T @ rows["target"].to_numpy()
    residual = rows["target"].to_numpy() - X @ coefficients
    return coefficients[1:], np.diag(inverse)[1:] * (residual @ residual) / (len(X) - X.shape[1])


model = JPVAE(
    latent_dims=(4, 6, 1),
    prior="canonical",
    alpha=0.8,
    coupling_rate=1.0,
    likelihood="gaussian",
    objective="elbo",
    hidden=(64,),
    epochs=100,
    learning_rate=5e-3,
    backend="numpy",
    view_slices={"body": body, "blood": blood, "outcome": outcome},  # the outcome too: what explains it is imputed by it
    missing="nan",
)
draws = model.fit(table).sample_imputations(table, n_draws=20, observation_noise=True)
fits = [regression(type(frame)(draw, columns=frame.columns)) for draw in draws]
pooled = pool(*map(np.array, zip(*fits, strict=True)), complete_df=len(frame) - 4)
low, high = pooled.confidence_interval()

truth, _ = regression(frame)
cases, variances = regression(frame[~lost])
print(f"{lost.sum()} of {len(frame)} blood samples lost; regression of the progression on")
for k, name in enumerate(("bmi", "bp", "s5")):
    print(
        f"{name:4} imputed {pooled.estimate[k]:6.2f} ({low[k]:6.2f} to {high[k]:6.2f}), missing information "
        f"{pooled.fraction_missing[k]:4.0%}; complete cases {cases[k]:6.2f}, {variances[k] ** 0.5 / pooled.std_error[k]:.2f} "
        f"times the standard error; all data {truth[k]:6.2f}"
    )
assert np.all((low < truth) & (truth < high))
