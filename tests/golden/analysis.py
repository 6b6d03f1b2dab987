"""Golden values for coordinator/analysis, by SciPy, statsmodels and mpmath.

    python tests/golden/analysis.py > coordinator/analysis/tests/golden/stats.json

Each pair holds two samples and what the libraries say of them; differences are x - y. What is null there is null here: a
statistic that a constant sample leaves without a denominator. Where no library has a method (Memmel, the studentised
Sharpe bootstrap, the crossed bootstrap, interquartile means over seeds in cells), it is written down here once more, by its
definition and as slowly as it likes. Bootstraps have ten times the resamples that ours have, so that the error of a
comparison is ours alone.

Medians hold SciPy's 95% interval for the median of n values as ranks from 1; signs hold the sign test of so many differences
below and above zero.
"""

import json
import sys
import warnings

import mpmath
import numpy as np
from scipy import stats
from statsmodels.stats.multitest import multipletests
from statsmodels.stats.power import TTestPower
from statsmodels.stats.proportion import proportion_confint

mpmath.mp.dps = 60
warnings.simplefilter("ignore")


def finite(value):
    return float(value) if np.isfinite(value) else None


def pair(name, x, y):
    """All that is said of two samples paired by place."""
    x, y = np.asarray(x, float), np.asarray(y, float)
    d = x - y
    n = len(d)
    names = ["t", "p", "d_z", "low", "high", "wilcoxon", "flips", "welch_t", "welch_p"]
    names += ["grambsch_t", "grambsch_p", "morgan_t", "morgan_p", "memmel_z", "memmel_p"]
    out = {"name": name, "x": x.tolist(), "y": y.tolist()} | dict.fromkeys(names)
    out |= {"mean": finite(x.mean()), "sd": finite(x.std(ddof=1)) if n > 1 else None}
    out |= {"iqm": float(stats.trim_mean(x, 0.25)), "hl": float(np.median([(a + b) / 2 for i, a in enumerate(d) for b in d[i:]]))}
    varies = n >= 2 and np.any(d != d[0])
    if n >= 2 and not varies:
        out["p"] = 1.0 if d[0] == 0 else None
    elif varies:
        test = stats.ttest_rel(x, y)
        interval = test.confidence_interval(0.95)
        out |= {"t": finite(test.statistic), "p": finite(test.pvalue), "d_z": finite(d.mean() / d.std(ddof=1))}
        out |= {"low": finite(interval.low), "high": finite(interval.high)}
    # SciPy has no p for zeros alone: 0/0.
    out["wilcoxon"] = float(stats.wilcoxon(d, correction=False).pvalue) if np.any(d != 0) else 1.0
    if n <= 16:
        flips = stats.permutation_test((d,), np.sum, permutation_type="samples", n_resamples=np.inf) if n > 1 else None
        out["flips"] = float(flips.pvalue) if n > 1 else 1.0
    if n >= 2 and (np.ptp(x) > 0 or np.ptp(y) > 0):
        test = stats.ttest_ind(x, y, equal_var=False)
        out |= {"welch_t": finite(test.statistic), "welch_p": finite(test.pvalue)}
    elif n >= 2:
        out["welch_p"] = 1.0 if x[0] == y[0] else None
    out |= over_paths(x, y, d) if n >= 3 else {}
    return out


def over_paths(x, y, d):
    """Variances and Sharpe ratios of samples paired by path, where both vary and are not the same."""
    s = x + y
    if np.ptp(x) == 0 or np.ptp(y) == 0 or np.ptp(d) == 0 or np.ptp(s) == 0:
        return {}
    grambsch = stats.ttest_1samp((s - s.mean()) * (d - d.mean()), 0)
    r = stats.pearsonr(s, d)
    morgan_t = r.statistic * np.sqrt((len(d) - 2) / (1 - r.statistic**2))
    rho, (first, second) = np.corrcoef(x, y)[0, 1], (v.mean() / v.std(ddof=1) for v in (x, y))
    variance = 2 - 2 * rho + 0.5 * (first**2 + second**2 - 2 * first * second * rho**2)
    z = (first - second) * np.sqrt(len(d) / variance)
    return {
        "grambsch_t": float(grambsch.statistic),
        "grambsch_p": float(grambsch.pvalue),
        "morgan_t": float(morgan_t),
        "morgan_p": float(r.pvalue),
        "memmel_z": float(z),
        "memmel_p": float(2 * stats.norm.sf(abs(z))),
    }


def pairs(rng):
    all = [
        pair("one pair", [1.0], [2.0]),
        pair("two pairs", [1.0, 2.5], [0.5, 0.25]),
        pair("two pairs, one tie", [1.0, 2.0], [1.0, 1.0]),
        pair("ties", [1, 1, 2, 2, 3, 3, 4], [1, 2, 2, 1, 3, 4, 4]),
        pair("ties without zeros", [2, 3, 4, 5, 7, 9, 1, 2], [1, 2, 6, 3, 4, 4, 2, 5]),
        pair("ties in decimals", [0.3, 0.4, 0.5, 1.1, 0.9, 0.2], [0.1, 0.2, 0.3, 0.8, 0.6, 0.4]),
        pair("equal samples", [0.5, 0.25, 4.0], [0.5, 0.25, 4.0]),
        pair("constant difference", [1.5, 2.5, 3.5, 8.5], [1, 2, 3, 8]),
        pair("one constant sample", [1, 1, 1, 1], [1, 2, 3, 5]),
        pair("two constant samples", [1, 1, 1], [2, 2, 2]),
        pair("far apart", rng.normal(0, 1e-3, 30).round(6), rng.normal(10, 1e-3, 30).round(6)),
        pair("nearly equal", 1 + rng.normal(0, 1e-6, 12).round(9), 1 + rng.normal(0, 1e-6, 12).round(9)),
        pair("large offsets", 1e8 + rng.normal(0, 1, 20).round(3), 1e8 + rng.normal(0.1, 1, 20).round(3)),
    ]
    for n in (13, 14, 50, 51, 60):
        all.append(pair(f"ties and zeros {n}", rng.integers(0, 6, n), rng.integers(0, 5, n)))
    for n in (3, 5, 10, 13, 14, 16, 20, 30, 50, 51, 100, 300):
        all.append(pair(f"normal {n}", rng.normal(0.1, 1, n).round(4), rng.normal(0, 2, n).round(4)))
    for n in (4, 7, 12, 30, 150):
        all.append(pair(f"heavy tails {n}", rng.standard_t(2, n).round(4), (rng.standard_t(2, n) + 0.5).round(4)))
    common = rng.normal(0, 1, 80)
    correlated = [(common + rng.normal(0, s, 80) + m).round(4) for s, m in ((0.3, 0.4), (0.2, 0.3))]
    all.append(pair("correlated", *correlated))
    return all


def bootstraps(rng):
    """BCa intervals of the mean difference, and of the ratio of means by its logarithm."""
    all = []
    for name, x, y in [
        ("normal 8", rng.normal(5, 1, 8), rng.normal(5.5, 1, 8)),
        ("normal 30", rng.normal(3, 0.5, 30), rng.normal(3.2, 0.5, 30)),
        ("skewed 12", rng.lognormal(0, 1, 12), rng.lognormal(0.2, 0.5, 12)),
        ("skewed 60", rng.lognormal(0, 1.5, 60), rng.lognormal(0, 1.5, 60)),
        ("signed 20", rng.normal(0, 1, 20), rng.normal(0.5, 1, 20)),
    ]:
        x, y = x.round(4), y.round(4)
        entry = {"name": name, "x": x.tolist(), "y": y.tolist(), "ratio_low": None, "ratio_high": None}

        def interval(statistic):
            found = stats.bootstrap((x, y), statistic, paired=True, n_resamples=99_999, method="BCa", batch=999, rng=rng)
            return found.confidence_interval

        low, high = interval(lambda x, y, axis: (x - y).mean(axis=axis))
        entry |= {"low": float(low), "high": float(high)}
        if np.all(x > 0) and np.all(y > 0):
            low, high = interval(lambda x, y, axis: np.log(x.mean(axis=axis) / y.mean(axis=axis)))
            entry |= {"ratio_low": float(np.exp(low)), "ratio_high": float(np.exp(high))}
        all.append(entry)
    return all


def sharpe_bootstrap(rng):
    """Ledoit's and Wolf's studentised bootstrap for independent observations, from raw moments as they write it."""
    n, resamples = 250, 9_999
    common = rng.standard_t(5, n)
    x = (0.3 + common + rng.normal(0, 0.5, n)).round(3)
    y = (0.1 + common + rng.normal(0, 0.8, n)).round(3)

    def ratio_and_error(x, y):
        moments = np.array([x.mean(), y.mean(), (x**2).mean(), (y**2).mean()])
        variances = moments[2:] - moments[:2] ** 2
        gradient = np.array([
            moments[2] / variances[0] ** 1.5,
            -moments[3] / variances[1] ** 1.5,
            -0.5 * moments[0] / variances[0] ** 1.5,
            0.5 * moments[1] / variances[1] ** 1.5,
        ])
        covariance = np.cov(np.stack([x, y, x**2, y**2]), bias=True)
        ratios = moments[:2] / np.sqrt(variances)
        return ratios[0] - ratios[1], np.sqrt(gradient @ covariance @ gradient / len(x))

    difference, error = ratio_and_error(x, y)
    far = []
    for _ in range(resamples):
        drawn = rng.integers(0, n, n)
        resampled, its_error = ratio_and_error(x[drawn], y[drawn])
        far.append(abs(resampled - difference) / its_error)
    half = np.quantile(far, 0.95) * error
    p = (1 + np.sum(far >= abs(difference) / error)) / (1 + resamples)
    return {"x": x.tolist(), "y": y.tolist(), "difference": float(difference), "statistic": float(difference / error),
            "p": float(p), "low": float(difference - half), "high": float(difference + half)}


def crossed(rng):
    """Mean CVaR of losses over seeds, with seeds and one set of paths for all of them resampled."""
    seeds, paths, level, resamples = 6, 90, 0.9, 19_999
    shared = rng.normal(0, 1, paths)
    x = (shared + rng.normal(0, 0.7, (seeds, paths)) + rng.normal(0, 0.2, (seeds, 1))).round(3)
    y = (1.1 * shared + rng.normal(0, 0.5, (seeds, paths))).round(3)

    def cvar(losses):
        return -np.sort(-losses, axis=-1)[..., : round(paths * (1 - level))].mean(axis=-1).mean(axis=-1)

    differences = np.empty(resamples)
    for resample in range(resamples):
        chosen = np.ix_(rng.integers(0, seeds, seeds), rng.integers(0, paths, paths))
        differences[resample] = cvar(x[chosen]) - cvar(y[chosen])
    low, high = np.quantile(differences, [0.025, 0.975])
    # The fractional tail: k = 4.5 of 90.
    tail = [np.sort(-losses) for losses in x]
    fractional = np.mean([-(t[:4].sum() + 0.5 * t[4]) / 4.5 for t in tail])
    return {"x": x.tolist(), "y": y.tolist(), "level": level, "arm": float(cvar(x)), "baseline": float(cvar(y)),
            "low": float(low), "high": float(high), "arm95": float(fractional)}


def iqm(rng):
    """Interquartile means over cells and seeds; a resample draws seeds, each with all its cells."""
    cells, seeds, resamples = 5, 12, 19_999
    level = rng.normal(0, 1, (1, seeds))
    x = (np.arange(cells)[:, None] + level + rng.normal(0, 0.6, (cells, seeds))).round(3)
    y = (np.arange(cells)[:, None] + 0.3 + level + rng.normal(0, 0.8, (cells, seeds))).round(3)
    mean = lambda values: stats.trim_mean(values.ravel(), 0.25)
    draws = (rng.integers(0, seeds, seeds) for _ in range(resamples))
    differences = [mean(x[:, drawn]) - mean(y[:, drawn]) for drawn in draws]
    low, high = np.quantile(differences, [0.025, 0.975])
    return {"x": x.tolist(), "y": y.tolist(), "arm": float(mean(x)), "baseline": float(mean(y)),
            "low": float(low), "high": float(high)}


def tails():
    all = []
    for freedom in (1, 1.5, 2, 5, 29, 99, 3198.7, 1e6):
        for t in (0.0, 1e-8, 0.1, 1, 2, 5, 10, 30, 38, 1000):
            # SciPy's stdtr is good to nine digits only near zero, so that this one is by mpmath.
            half, x = mpmath.mpf(freedom) / 2, freedom / (freedom + mpmath.mpf(t) ** 2)
            p = mpmath.betainc(half, 0.5, 0, x, regularized=True)
            all.append({"t": t, "freedom": freedom, "p": float(p)})
    return all


def noncentral():
    """The power of the two-sided paired t test, by mpmath's integral over the chi distribution of the deviation."""
    all = []
    for d_z, n in ((0.1, 10), (0.8, 15), (0.5, 34), (0.2, 199), (1.5, 6), (2.0, 3), (3.0, 2), (0.05, 5000), (0, 8)):
        freedom = n - 1
        bound = mpmath.mpf(float(stats.t.ppf(0.975, freedom)))
        centre = mpmath.mpf(d_z) * mpmath.sqrt(n)
        constant = 2 * (mpmath.mpf(freedom) / 2) ** (mpmath.mpf(freedom) / 2) / mpmath.gamma(mpmath.mpf(freedom) / 2)
        density = lambda s: constant * s ** (freedom - 1) * mpmath.exp(-freedom * s * s / 2)
        rejects = lambda s: mpmath.ncdf(centre - bound * s) + mpmath.ncdf(-centre - bound * s)
        reach = 12 / mpmath.sqrt(2 * freedom)
        grid = mpmath.linspace(max(mpmath.mpf(0), 1 - reach), 1 + reach, 17)
        with mpmath.workdps(25):
            power = mpmath.quad(lambda s: density(s) * rejects(s), grid)
        check = TTestPower().power(d_z, n, 0.05, alternative="two-sided") if d_z else 0.05
        assert abs(float(power) - check) < 1e-6, (d_z, n, float(power), check)
        all.append({"d_z": d_z, "n": n, "power": float(power)})
    return all


def main():
    rng = np.random.default_rng(0)
    families = []
    for n in (1, 2, 3, 7, 20):
        p = rng.uniform(0, 0.2, n).round(2)
        families.append({"p": p.tolist(), "holm": multipletests(p, method="holm")[1].tolist()})
    medians = []
    for n in (*range(1, 31), 50, 99, 100, 333, 1000, 4999):
        # Values that are their own ranks.
        interval = stats.quantile_test(np.arange(1, n + 1), q=0, p=0.5).confidence_interval(0.95)
        medians.append({"n": n, "low": finite(interval.low), "high": finite(interval.high)})
    signs = []
    for below, above in ((1, 0), (0, 5), (6, 0), (3, 4), (5, 5), (2, 9), (17, 3), (40, 60), (380, 620), (2600, 2399)):
        p = stats.binomtest(below, below + above, 0.5).pvalue
        signs.append({"below": below, "above": above, "p": float(p)})
    shares = []
    for wins, ties, n in ((0, 0, 5), (5, 0, 5), (1, 1, 2), (7, 3, 20), (0, 4, 4), (61, 0, 100), (1, 0, 1)):
        low, high = proportion_confint(wins + ties / 2, n, method="wilson")
        shares.append({"wins": wins, "ties": ties, "n": n, "low": float(low), "high": float(high)})
    quantiles = [
        {"p": p, "freedom": freedom, "t": float(stats.t.isf(p / 2, freedom))}
        for freedom in (1, 1.5, 2, 4, 14, 29, 99, 999, 1e6)
        for p in (0.5, 0.05, 0.01, 1e-6)
    ]
    normals = [{"x": x, "p": float(mpmath.ncdf(x))} for x in (-38.0, -10.0, -3.0, -1.0, -0.1, 0.0, 0.5, 2.0, 5.0)]
    seeds = [
        {"d_z": d_z, "seeds": int(np.ceil(TTestPower().solve_power(d_z, power=0.8, alpha=0.05)))}
        for d_z in (0.1, 0.15, 0.2, 0.3, 0.5, 0.65, 0.8, 1.0, 1.5, 2.0)
    ]
    golden = {
        "pairs": pairs(rng),
        "bootstraps": bootstraps(rng),
        "sharpe": sharpe_bootstrap(rng),
        "crossed": crossed(rng),
        "iqm": iqm(rng),
        "tails": tails(),
        "quantiles": quantiles,
        "normals": normals,
        "power": noncentral(),
        "seeds": seeds,
        "shares": shares,
        "holm": families,
        "medians": medians,
        "signs": signs,
    }
    # One line an entry: short enough to keep, and a change shows where it is.
    lines = []
    for name, content in golden.items():
        entries = content if isinstance(content, list) else [content]
        text = ",\n".join(json.dumps(entry, separators=(",", ":")) for entry in entries)
        lines.append(f'"{name}":' + (f"[\n{text}\n]" if isinstance(content, list) else text))
    sys.stdout.write("{\n" + ",\n".join(lines) + "\n}\n")


main()
