"""One run of preset `hedging` in plain PyTorch on a CPU, vectorised over paths, to compare speed and result with.

    python3 -m venv /tmp/peers && /tmp/peers/bin/pip install torch numpy
    /tmp/peers/bin/python tests/peers/hedging_torch.py --epochs 20          # or --help; compare.py runs it beside ours

No test needs it. A short call on a Heston market, hedged by an LSTM that sees log-moneyness, volatility, time to maturity
and its own last position: this is what keeps the loop over time in Python. Random numbers are PyTorch's, so that results
agree with the engine's within statistical error, not to the digit.
"""

import copy
import gc
import os
from itertools import islice
from typing import NamedTuple

import common
from common import DT, GRAD_CLIP, HIDDEN, STEPS

S0 = STRIKE = 100.0
PREMIUM = 3.4052839579  # the semi-analytic price of the call in this market
COST_RATE = 1e-3
TRAINING_PATHS, VALIDATION_PATHS, TEST_PATHS = 10_000, 2_000, 10_000
EVALUATION_BLOCK = 1000  # paths that go through time together: their states stay in the cache

if __name__ == "__main__":  # before PyTorch is loaded, which reads the environment
    args = common.arguments("hedging_torch", __doc__)
    os.environ.setdefault("TORCHINDUCTOR_COMPILE_THREADS", str(args.threads))

import torch
import torch.nn.functional as F


class Paths(NamedTuple):
    """What the hedger sees and what happens to it: time first, then paths."""

    features: torch.Tensor  # [STEPS, N, 3], scaled
    moves: torch.Tensor  # [STEPS, N], S_{t+1} − S_t
    unit_cost: torch.Tensor  # [STEPS + 1, N], of trading one unit
    settlement: torch.Tensor  # [1, N], premium less payoff

    def shuffled(self, generator):
        """All paths in another order: once an epoch, so that a batch is a view."""
        order = torch.randperm(self.moves.shape[1], generator=generator)
        return Paths._make(x.index_select(1, order) for x in self)

    def batches(self, size):
        """Views of `size` paths; the last one has what is left."""
        return map(Paths._make, zip(*(x.split(size, 1) for x in self)))


def simulate(count, generator):
    """Prices and variances at STEPS + 1 points: [STEPS + 1, count] each."""
    z1, z2 = torch.randn(2, STEPS, count, generator=generator)
    u = 1 - torch.rand(STEPS, count, generator=generator)
    variance, log_return = torch.full((STEPS + 1, count), common.V0), torch.zeros(STEPS + 1, count)
    for t in range(STEPS):
        log_return[t + 1], variance[t + 1] = common.qe_step(torch, variance[t], z1[t], z2[t], u[t])
    return S0 * log_return.cumsum(0).exp(), variance


def raw_features(price, variance):
    time_to_maturity = torch.arange(STEPS, 0, -1)[:, None] * DT
    return torch.stack(((price[:-1] / STRIKE).log(), variance[:-1].sqrt(), time_to_maturity.expand_as(price[:-1])), 2)


def prepared(price, variance, scale):
    mean, divisor = scale
    settlement = PREMIUM - (price[-1:] - STRIKE).clamp(min=0)
    features = (raw_features(price, variance) - mean) / divisor
    return Paths(features, price.diff(dim=0), COST_RATE * price, settlement)


def initial_weights(generator):
    """An LSTM with PyTorch's two bias vectors, and a linear head. Inputs: the three features, then the last position."""
    w_ih = torch.nn.init.xavier_uniform_(torch.empty(4 * HIDDEN, 4), generator=generator)
    w_hh = torch.nn.init.orthogonal_(torch.empty(4 * HIDDEN, HIDDEN), generator=generator)
    w_head = torch.nn.init.xavier_uniform_(torch.empty(1, HIDDEN), generator=generator)
    weights = w_ih, w_hh, torch.zeros(4 * HIDDEN), torch.zeros(4 * HIDDEN), w_head, torch.zeros(1)
    return [w.requires_grad_() for w in weights]


def positions(weights, features):
    """δ_0 … δ_{STEPS−1}, [STEPS, N].

    One matrix product a step for all gates, of (h, features, δ) with the joined weights, and one sigmoid: tanh x is
    2σ(2x) − 1, and PyTorch's tanh takes several times as long as its sigmoid. Gates are in PyTorch's order i, f, g, o.
    """
    w_ih, w_hh, b_ih, b_hh, w_head, b_head = weights
    doubled = torch.tensor((1.0, 1.0, 2.0, 1.0)).repeat_interleave(HIDDEN)
    joined, bias = (torch.cat((w_hh, w_ih), 1) * doubled[:, None]).t(), (b_ih + b_hh) * doubled
    head = w_head.t()
    h, c, position = (features.new_zeros(features.shape[1], width) for width in (HIDDEN, HIDDEN, 1))
    chosen = []
    for seen in features.unbind(0):
        i, f, g, o = torch.addmm(bias, torch.cat((h, seen, position), 1), joined).sigmoid().chunk(4, 1)
        c = torch.addcmul(f * c, i, g, value=2) - i
        h = o * c.tanh()
        position = torch.addmm(b_head, h, head).tanh()
        chosen.append(position)
    return torch.cat(chosen, 1).t()


def outcome(weights, paths):
    """Each path's P&L gross of costs, and its costs at entry, at each trade and at exit."""
    held = positions(weights, paths.features)
    pnl = paths.settlement[0] + (held * paths.moves).sum(0)
    trades = F.pad(held, (0, 0, 1, 1)).diff(dim=0)
    return pnl, (trades.abs() * paths.unit_cost).sum(0)


def training_loss(kind, batch_size):
    """The loss of a batch, as a function of weights and paths."""
    size = round(batch_size * (1 - common.ALPHA), 9)
    shares = (size - torch.arange(int(-(-size // 1)))).clamp(max=1) / size  # the last one by its fraction

    def loss(weights, paths):
        pnl, cost = outcome(weights, paths)
        if kind == "cvar":
            return -shares @ (pnl - cost).topk(len(shares), largest=False).values
        if kind == "entropic":
            a = common.RISK_AVERSION
            return ((a * (cost - pnl)).logsumexp(0) - torch.tensor(float(batch_size)).log()) / a
        return pnl.var() + cost.mean()

    return loss


@torch.inference_mode()
def evaluated(loss, weights, paths):
    pnl, cost = zip(*(outcome(weights, block) for block in paths.batches(EVALUATION_BLOCK)))
    return common.score(loss, torch.cat(pnl), torch.cat(cost))


def held_out(name, count, scale):
    generator = torch.Generator().manual_seed(common.HELD_OUT_SEEDS[name])
    return prepared(*simulate(count, generator), scale)


def main(args):
    torch.set_num_threads(args.threads)
    generator = torch.Generator().manual_seed(args.seed)
    clock = common.Clock()
    weights = initial_weights(generator)
    with clock("simulate"):
        price, variance = simulate(TRAINING_PATHS, generator)
        raw = raw_features(price, variance)
        scale = raw.mean((0, 1)), raw.std((0, 1)) + 1e-6
        training = prepared(price, variance, scale)
    with clock("evaluate"):
        validation = held_out("validation", VALIDATION_PATHS, scale)
    loss_of = training_loss(args.loss, args.batch_size)
    if args.compile:
        with clock("compile"):  # forward and backward, outside the times that are compared
            loss_of = torch.compile(loss_of, dynamic=False)
            torch.autograd.grad(loss_of(weights, next(training.batches(args.batch_size))), weights)
            gc.collect()
            gc.freeze()  # what the compiler leaves behind would be searched again and again
    adam = torch.optim.Adam(weights, lr=args.lr, fused=True)
    best, best_loss, curve = weights, float("inf"), []
    for epoch in range(1, args.epochs + 1):
        with clock("simulate"):
            order = training.shuffled(generator)
        with clock("train"):
            for batch in islice(order.batches(args.batch_size), TRAINING_PATHS // args.batch_size):
                adam.zero_grad()
                loss_of(weights, batch).backward()
                torch.nn.utils.clip_grad_norm_(weights, GRAD_CLIP)
                adam.step()
        with clock("evaluate"):
            curve.append(evaluated(args.loss, weights, validation)["loss"])
        if curve[-1] < best_loss:
            best, best_loss = copy.deepcopy(weights), curve[-1]
        if not args.json:
            print(f"epoch {epoch}: validation loss {curve[-1]:.6g}")
    with clock("evaluate"):
        test = evaluated(args.loss, best, held_out("test", TEST_PATHS, scale))
    gc.unfreeze()  # or extension modules complain of leaks
    common.report(args, clock, test, curve)


if __name__ == "__main__":
    main(args)
