"""Golden values for coordinator/analysis, by SciPy and mpmath.

    python tests/golden/analysis.py > coordinator/analysis/tests/golden/stats.json

Each case holds two samples and what SciPy says of them: the paired t test of x - y, d_z, and Welch's test of x - y.
What is null there is null here: a statistic that a constant sample leaves without a denominator. Medians hold SciPy's
95% interval for the median of n values as ranks from 1; signs hold the sign test of so many differences below and above
zero.
"""

import json
import sys

import mpmath
import numpy as np
from scipy import stats

mpmath.mp.dps = 60


def finite(value):
    return float(value) if np.isfinite(value) else None


def case(name, x, y):
    x, y = np.asarray(x, float), np.asarray(y, float)
    d = x - y
    out = {"name": name, "x": x.tolist(), "y": y.tolist(), "t": None, "p": None, "d_z": None}
    if len(d) >= 2 and np.all(d == d[0]):
        out["p"] = 1.0 if d[0] == 0 else None
    elif len(d) >= 2:
        test = stats.ttest_rel(x, y)
        out |= {"t": finite(test.statistic), "p": finite(test.pvalue), "d_z": finite(d.mean() / d.std(ddof=1))}
    out |= {"mean": finite(x.mean()), "sd": finite(x.std(ddof=1)) if len(x) > 1 else None}
    out |= {"welch_t": None, "welch_p": None}
    if len(x) >= 2 and (np.ptp(x) > 0 or np.ptp(y) > 0):
        test = stats.ttest_ind(x, y, equal_var=False)
        out |= {"welch_t": finite(test.statistic), "welch_p": finite(test.pvalue)}
    elif len(x) >= 2:
        out["welch_p"] = 1.0 if x[0] == y[0] else None
    return out


def main():
    rng = np.random.default_rng(0)
    cases = [
        case("one pair", [1.0], [2.0]),
        case("two pairs", [1.0, 2.5], [0.5, 0.25]),
        case("two pairs, one tie", [1.0, 2.0], [1.0, 1.0]),
        case("ties", [1, 1, 2, 2, 3, 3, 4], [1, 2, 2, 1, 3, 4, 4]),
        case("equal samples", [0.5, 0.25, 4.0], [0.5, 0.25, 4.0]),
        case("constant difference", [1.5, 2.5, 3.5, 8.5], [1, 2, 3, 8]),
        case("one constant sample", [1, 1, 1, 1], [1, 2, 3, 5]),
        case("two constant samples", [1, 1, 1], [2, 2, 2]),
        case("far apart", rng.normal(0, 1e-3, 30), rng.normal(10, 1e-3, 30)),
        case("nearly equal", 1 + rng.normal(0, 1e-6, 12), 1 + rng.normal(0, 1e-6, 12)),
        case("large offsets", 1e8 + rng.normal(0, 1, 20), 1e8 + rng.normal(0.1, 1, 20)),
    ]
    for n in (3, 5, 10, 30, 100, 1000):
        cases.append(case(f"normal {n}", rng.normal(0.1, 1, n), rng.normal(0, 2, n)))
        cases.append(case(f"heavy tails {n}", rng.standard_t(2, n), rng.standard_t(2, n) + 0.5))
    tails = []
    for freedom in (1, 1.5, 2, 5, 29, 99, 3198.7, 1e6):
        for t in (0.0, 1e-8, 0.1, 1, 2, 5, 10, 30, 38, 1000):
            # SciPy's stdtr is good to nine digits only near zero, so that this one is by mpmath.
            half, x = mpmath.mpf(freedom) / 2, freedom / (freedom + mpmath.mpf(t) ** 2)
            p = mpmath.betainc(half, 0.5, 0, x, regularized=True)
            tails.append({"t": t, "freedom": freedom, "p": float(p)})
    families = []
    for n in (1, 2, 3, 7, 20):
        p = rng.uniform(0, 0.2, n).round(2)
        order = np.argsort(p, kind="stable")
        scaled = np.minimum(p[order] * (n - np.arange(n)), 1)
        adjusted = np.empty(n)
        adjusted[order] = np.maximum.accumulate(scaled)
        families.append({"p": p.tolist(), "holm": adjusted.tolist()})
    medians = []
    for n in (*range(1, 31), 50, 99, 100, 333, 1000, 4999):
        # Values that are their own ranks.
        interval = stats.quantile_test(np.arange(1, n + 1), q=0, p=0.5).confidence_interval(0.95)
        medians.append({"n": n, "low": finite(interval.low), "high": finite(interval.high)})
    signs = []
    for below, above in ((1, 0), (0, 5), (6, 0), (3, 4), (5, 5), (2, 9), (17, 3), (40, 60), (380, 620), (2600, 2399)):
        p = stats.binomtest(below, below + above, 0.5).pvalue
        signs.append({"below": below, "above": above, "p": float(p)})
    golden = {"cases": cases, "tails": tails, "holm": families, "medians": medians, "signs": signs}
    json.dump(golden, sys.stdout, indent=1)
    print()


main()
