"""The identities behind pair.py, loadings.py and fused_frames.py, proved for M = 2, 3, 4 views in the field of
rational functions of a direction's loadings a_i, variances v_i and means m_i. (Any M: docs/core.md, by hand.)

Nothing here imports the package: the formulas are written a second time, and Sigma from its definition.
"""

from functools import reduce
from itertools import combinations, pairwise
from operator import add, mul

import pytest
from sympy import QQ
from sympy.polys.fields import field

every_number_of_views = pytest.mark.parametrize("M", [2, 3, 4])


def symbols(M, letters):
    """A tuple of M symbols per letter, and the field's 1."""
    K, *x = field(",".join(f"{letter}{i}" for letter in letters for i in range(M)), QQ)
    return *(tuple(x[M * k : M * (k + 1)]) for k in range(len(letters))), K.one


def product(x):
    return reduce(mul, x)


def total(x):
    return reduce(add, x)


def determinant(A, one):
    """By expansion: no division."""
    if not A:
        return one
    minors = ((-1) ** j * A[0][j] * determinant([row[:j] + row[j + 1 :] for row in A[1:]], one) for j in range(len(A)))
    return total(minors)


def one_source(a, one):
    """Sigma of y_i = a_i u + (1 - a_i^2)^{1/2} e_i: 1 on the diagonal, a_i a_j off it."""
    views = range(len(a))
    return [[one if i == j else a[i] * a[j] for j in views] for i in views]


def times(A, B):
    views = range(len(A))
    return [[total(A[i][k] * B[k][j] for k in views) for j in views] for i in views]


def identity(M, one):
    return [[one if i == j else 0 * one for j in range(M)] for i in range(M)]


@every_number_of_views
def test_loadings(M):
    """tau, the inverse, Lagrange's form of the quadratic, and the telescoped determinant."""
    a, m, one = symbols(M, "am")
    S, views, e = one_source(a, one), range(M), [x**2 / (1 - x**2) for x in a]
    h, tau = [1 + x for x in e], 1 + total(e)
    others = [total(e[j] for j in views if j != i) for i in views]
    P = [[1 + e[i] * others[i] / tau if i == j else -a[i] * h[i] * a[j] * h[j] / tau for j in views] for i in views]
    assert times(S, P) == identity(M, one)
    quad = total(m[i] * P[i][j] * m[j] for i in views for j in views)
    squares = total(h[i] / tau * m[i] ** 2 for i in views)
    lagrange = total(h[i] * h[j] / tau * (a[j] * m[i] - a[i] * m[j]) ** 2 for i, j in combinations(views, 2))
    assert quad == squares + lagrange
    u = total(a[i] * h[i] * m[i] for i in views) / tau
    assert quad == u**2 + total(h[i] * (m[i] - a[i] * u) ** 2 for i in views)
    sums = [0 * one, *(total(e[: i + 1]) for i in views)]
    assert determinant(S, one) == tau / product(h)
    assert 1 / determinant(S, one) == product(
        1 + e[i] * before / (1 + after) for i, (before, after) in enumerate(pairwise(sums))
    )


def test_a_pair():
    """Squares along (1, 1) and (1, -1); and s = a_1 a_2 with a_1^2 = (1 + s^2)/2, r_1^2 = (1 - s^2)/2, r_2 = r_1/a_1."""
    K, s, y, z = field("s,y,z", QQ)
    x = s**2 / (1 - s**2)
    assert times([[K.one, s], [s, K.one]], [[1 + x, -s * (1 + x)], [-s * (1 + x), 1 + x]]) == identity(2, K.one)
    assert (y**2 - 2 * s * y * z + z**2) / (1 - s**2) == (y - z) ** 2 / (2 * (1 - s)) + (y + z) ** 2 / (2 * (1 + s))
    a, r = (1 + s**2) / 2, (1 - s**2) / 2  # the squares
    assert (a + r, s**2 / a + r / a, r) == (1, 1, 1 / (2 * (1 + x)))


@every_number_of_views
def test_fused(M):
    """The covariance is the inverse of Sigma^-1 + diag(1/v - 1), its log-determinant and, of the mean and the KL, both forms.

    The last view is missing where M > 2: evidence 0 is v = 1, m = 0.
    """
    a, v, m, one = symbols(M, "avm")
    seen = range(M if M == 2 else M - 1)
    a2, v, m = [x**2 for x in a], list(v), list(m)
    for j in set(range(M)) - set(seen):
        v[j], m[j] = one, 0 * one
    views = range(M)
    N = [1 - a2[i] * (1 - v[i]) for i in views]
    tau = 1 + total(a2[i] * (1 - v[i]) / N[i] for i in views)
    u = total(a[i] * m[i] / N[i] for i in views) / tau
    slope, own = [a[i] * v[i] / N[i] for i in views], [(1 - a2[i]) * v[i] / N[i] for i in views]
    mean = [slope[i] * u + (1 - a2[i]) * m[i] / N[i] for i in views]
    C = [[slope[i] * slope[j] / tau + (own[i] if i == j else 0 * one) for j in views] for i in views]
    # C^-1 = Sigma^-1 + L, L = diag(1/v - 1)  <=>  Sigma = (I + Sigma L) C;   C^-1 mean = m/v: the same way
    S, L = one_source(a, one), [1 / x - 1 for x in v]
    left = [[S[i][j] * L[j] + (one if i == j else 0 * one) for j in views] for i in views]
    assert times(left, C) == S
    pulled = [total(S[i][j] * m[j] / v[j] for j in views) for i in views]
    assert [total(left[i][j] * mean[j] for j in views) for i in views] == pulled
    # log|Sigma| - log|C| = log |I + Sigma L| = log tau - sum log rho
    assert determinant(left, one) == tau * product(N[i] / v[i] for i in views)
    # What is left of 2 KL: tr(Sigma^-1 C) - M = -tr(L C), and mean^T Sigma^-1 mean = mean^T (m/v - L mean)
    dense = total(-L[i] * C[i][i] + mean[i] * (m[i] / v[i] - L[i] * mean[i]) for i in views)
    form = u**2 + 1 / tau - 1
    for i in views:
        w = a[i] * (1 - v[i])
        form += v[i] / N[i] - 1 + (1 - a2[i]) / N[i] ** 2 * ((m[i] - w * u) ** 2 + w**2 / tau)
    assert dense == form


def test_weak_evidence():
    """Both forms of ``spread`` in _alone.py, in one direction, less log N: a^2 v (1 - v)/N = 1/N - 1 - a^2 (1 - v)^2/N."""
    _, a, v = field("a,v", QQ)
    N = 1 - a**2 * (1 - v)
    assert a**2 * v * (1 - v) / N == 1 / N - 1 - a**2 * (1 - v) ** 2 / N
