"""scikit-learn: ``JPVAE`` fills the missing half of digits inside a ``Pipeline`` that classifies them.

A third of the rows lacks its lower half (NaN in one wide matrix). The pipeline imputes, then a logistic regression reads all
64 pixels. The number: its accuracy on those unseen digits whose lower halves are missing too. The same with means for the
missing pixels is printed beside it: measured here, the two are equal (0.857), for this classifier gains nothing from better
pixels. What the pipeline shows is the use, not a gain.
"""

from typing import Any

import numpy as np
from sklearn.datasets import load_digits
from sklearn.impute import SimpleImputer
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline

from jpvae import JPVAE

digits = load_digits()
pixels, missing = digits.data / 16.0, np.random.default_rng(0).random(len(digits.data)) < 1 / 3
pixels[missing, 32:] = np.nan
train, test = slice(0, 1400), slice(1400, None)


def accuracy(imputer: Any) -> float:
    pipeline = make_pipeline(imputer, LogisticRegression(max_iter=2000))
    pipeline.fit(pixels[train], digits.target[train])
    return float(pipeline.score(pixels[test][missing[test]], digits.target[test][missing[test]]))


joint = accuracy(JPVAE(view_slices=[32, 32], missing="nan", likelihood="gaussian", steps=400, seed=0))
means = accuracy(SimpleImputer())
print(f"accuracy on unseen digits without lower halves: {joint:.3f} with JPVAE, {means:.3f} with means")
assert joint > 0.8  # chance is 0.1
