"""What the peers share: the market, the arguments of a run, timing, scoring and the report.

Needs NumPy alone. Functions that take `xp` work on arrays of torch, jax.numpy or numpy, whichever that is.
"""

import argparse
import json
import time
from contextlib import contextmanager
from dataclasses import dataclass
from math import exp, expm1, sqrt

import numpy as np

# The presets' market, network and costs.
V0, THETA, KAPPA, XI, RHO, STEPS, DT = 0.04, 0.04, 2.0, 0.5, -0.7, 50, 1 / 250
HIDDEN, GRAD_CLIP, ALPHA, RISK_AVERSION = 32, 10.0, 0.95, 1.0
# Held-out sets are the same for all seeds, as the engine's are.
PAPER_HELD_OUT_PATHS, PAPER_COST_RATE, PAPER_WEIGHT_DECAY = 1000, 0.01, 1e-4
HELD_OUT_SEEDS = {"validation": 1_000_001, "test": 1_000_002}


@dataclass(frozen=True)
class Peer:
    """A peer's engine preset, and the defaults of a run: `hedging` as in sweeps/hedging.yaml, with fewer epochs."""

    preset: str
    rounds: int  # of compare.py; the paper's seeds differ by an order of magnitude
    epochs: int
    batch_size: int
    lr: float
    losses: tuple
    compiles: bool = False


PEERS = {
    "hedging_torch": Peer("hedging", 5, 5, 256, 4e-3, ("cvar", "entropic", "variance_plus_cost"), compiles=True),
    "paper_torch": Peer("paper", 20, 100, 32, 1e-3, ("variance_plus_cost",)),
    "paper_jax": Peer("paper", 20, 100, 32, 1e-3, ("variance_plus_cost",)),
}


def add_run_arguments(parser, peer):
    """The arguments that describe a run, which a peer and compare.py have in common."""
    parser.add_argument("--epochs", type=int, default=peer.epochs)
    parser.add_argument("--batch-size", type=int, default=peer.batch_size)
    parser.add_argument("--lr", type=float, default=peer.lr)
    parser.add_argument("--loss", choices=peer.losses, default=peer.losses[0])
    parser.add_argument("--threads", type=int, default=1)
    if peer.compiles:
        text = "torch.compile: needs a C++ compiler, and minutes the first time"
        parser.add_argument("--compile", action="store_true", help=text)


def arguments(name, description):
    """The arguments of one run of this peer."""
    parser = argparse.ArgumentParser(description=description, formatter_class=argparse.RawDescriptionHelpFormatter)
    add_run_arguments(parser, PEERS[name])
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--json", action="store_true", help="print one JSON object, named as `worker run` names it")
    return parser.parse_args()


def absorption_step(xp, price, v, z1, z2):
    """The notebook's Heston step: a negative variance is stored, and counts as zero in the next step."""
    positive = xp.clip(v, 0.0, None)
    root = xp.sqrt(positive * DT)
    shock = RHO * z1 + sqrt(1 - RHO**2) * z2
    return price + price * root * z1, positive + KAPPA * (THETA - positive) * DT + XI * root * shock


def qe_step(xp, v, z1, z2, u):
    """Andersen's QE step with martingale correction: log return and next variance. `u` is uniform on (0, 1].

    With m and s² the next variance's moments and r = s²/m: a squared normal up to s²/m² = 1.5, above it an atom at zero
    and an exponential tail, reached where u < 1 − p. Either branch is computed for all paths, and may be NaN where the
    other one holds.
    """
    memory = -expm1(-KAPPA * DT) / KAPPA
    k2, k3 = 0.5 * DT * (KAPPA * RHO / XI - 0.5) + RHO / XI, 0.5 * DT * (1 - RHO**2)
    tilt = k2 + 0.5 * k3
    gain = KAPPA * THETA * memory
    m = v * exp(-KAPPA * DT) + gain
    r = XI**2 * memory * (1 - gain / (2 * m))
    a = 0.5 * r / (1 + xp.sqrt(1 - r / (2 * m)))
    quadratic = a * (xp.sqrt(m / a - 1) + z2) ** 2
    log_quadratic = tilt * (m - a) / (1 - 2 * tilt * a) - 0.5 * xp.log1p(-2 * tilt * a)
    beta = 2 / (r + m)
    alive = m * beta  # 1 − p
    exponential = xp.clip(xp.log(alive / u), 0.0, None) / beta
    log_exponential = xp.log1p(alive * tilt / (beta - tilt))
    is_quadratic = r <= 1.5 * m
    after = xp.where(is_quadratic, quadratic, exponential)
    drift = -xp.where(is_quadratic, log_quadratic, log_exponential) - 0.5 * k3 * v
    return drift + k2 * after + xp.sqrt(k3 * (v + after)) * z1, after


def shortfall(losses):
    """CVaR of losses at ALPHA with the exact fractional tail, and its standard error by the delta method."""
    size = round(len(losses) * (1 - ALPHA), 9)
    worst = np.sort(losses)[::-1]
    whole = int(size)
    value = (worst[:whole].sum() + (size - whole) * worst[min(whole, len(worst) - 1)]) / size
    return value, standard_error(np.maximum(losses - worst[min(whole, len(worst) - 1)], 0) / (1 - ALPHA))


def standard_error(values):
    return values.std(ddof=1) / sqrt(len(values))


def score(loss, pnl, cost):
    """The metrics of one set, from each path's P&L gross of costs and its costs."""
    pnl, cost = np.asarray(pnl, float), np.asarray(cost, float)
    losses = cost - pnl
    cvar, cvar_se = shortfall(losses)
    if loss == "cvar":
        value, error = cvar, cvar_se
    elif loss == "entropic":
        top = losses.max()
        weights = np.exp(RISK_AVERSION * (losses - top))
        value = np.log(weights.mean()) / RISK_AVERSION + top
        error = standard_error(weights) / (weights.mean() * RISK_AVERSION)
    else:
        value, error = pnl.var(ddof=1) + cost.mean(), standard_error((pnl - pnl.mean()) ** 2 + cost)
    return {
        "loss": value, "loss_se": error, "pnl_mean": pnl.mean(), "pnl_sd": pnl.std(ddof=1), "mean_cost": cost.mean(),
        "cvar95": cvar, "cvar95_se": cvar_se,
    }


class Clock:
    """Seconds in each phase of a run, as the engine counts them."""

    def __init__(self):
        self.seconds = {"simulate": 0.0, "train": 0.0, "evaluate": 0.0}

    @contextmanager
    def __call__(self, phase):
        start = time.perf_counter()
        yield
        self.seconds[phase] = self.seconds.get(phase, 0.0) + time.perf_counter() - start


def report(args, clock, test, validation_loss):
    """Prints a run, under the names that the engine gives its metrics."""
    metrics = {f"test.{name}": float(value) for name, value in test.items()}
    metrics |= {f"time.{phase}_s": seconds for phase, seconds in clock.seconds.items()}
    if args.json:
        print(json.dumps({"metrics": metrics, "curves": {"validation_loss": [float(x) for x in validation_loss]}}))
        return
    for name, value in metrics.items():
        print(f"{name:16} {value:.6g}")
