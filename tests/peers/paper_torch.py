"""One run of preset `paper` trained with Adam, in plain PyTorch on a CPU, vectorised over paths.

    python3 -m venv /tmp/peers && /tmp/peers/bin/pip install torch numpy
    /tmp/peers/bin/python tests/peers/paper_torch.py                        # or --help; compare.py runs it beside ours

No test needs it. An epoch is one gradient step on a new batch of paths. The paths do not depend on the weights, so all
epochs' are simulated together. Unlike tests/golden/notebook.py, which is the paper's own code and its digits, this is as
fast as plain PyTorch goes; results agree with the engine's within statistical error.
"""

import common
from common import GRAD_CLIP, HELD_OUT_SEEDS, HIDDEN, STEPS
from common import PAPER_COST_RATE as COST_RATE, PAPER_HELD_OUT_PATHS as HELD_OUT_PATHS, PAPER_WEIGHT_DECAY as WEIGHT_DECAY

if __name__ == "__main__":
    args = common.arguments("paper_torch", __doc__)

import torch


class Net(torch.nn.Module):
    def __init__(self):
        super().__init__()
        self.lstm = torch.nn.LSTM(2, HIDDEN)
        self.head = torch.nn.Linear(HIDDEN, 1)
        torch.nn.init.xavier_uniform_(self.lstm.weight_ih_l0)
        torch.nn.init.orthogonal_(self.lstm.weight_hh_l0)
        torch.nn.init.xavier_uniform_(self.head.weight)
        for bias in (self.lstm.bias_ih_l0, self.lstm.bias_hh_l0, self.head.bias):
            torch.nn.init.zeros_(bias)

    def forward(self, features):
        return self.head(self.lstm(features)[0]).tanh().squeeze(2)


def simulate(sets, count, generator=None):
    """Features of sets of paths, each set z-scored by itself: [sets, STEPS + 1, count, 2]."""
    z = torch.randn(STEPS, 2, sets, count, generator=generator)
    paths = torch.empty(sets, STEPS + 1, count, 2)
    price, variance = torch.ones(sets, count), torch.full((sets, count), common.V0)
    paths[:, 0, :, 0], paths[:, 0, :, 1] = price, variance
    for t in range(STEPS):
        price, variance = common.absorption_step(torch, price, variance, z[t, 0], z[t, 1])
        paths[:, t + 1, :, 0], paths[:, t + 1, :, 1] = price, variance
    over = (1, 2)
    return (paths - paths.mean(over, keepdim=True)) / (paths.std(over, keepdim=True) + 1e-6)


def outcome(net, features):
    """P&L in standard deviations of the price, and costs."""
    held = net(features)
    pnl = (held[:-1] * features[:, :, 0].diff(dim=0)).sum(0)
    return pnl, COST_RATE * held.diff(dim=0).abs().sum(0)


@torch.inference_mode()
def evaluated(net, name):
    features = simulate(1, HELD_OUT_PATHS, torch.Generator().manual_seed(HELD_OUT_SEEDS[name]))[0]
    return common.score("variance_plus_cost", *outcome(net, features))


def main(args):
    torch.set_num_threads(args.threads)
    torch.manual_seed(args.seed)
    clock, net = common.Clock(), Net()
    adam = torch.optim.Adam(net.parameters(), lr=args.lr, weight_decay=WEIGHT_DECAY, fused=True)
    with clock("simulate"):
        epochs = simulate(args.epochs, args.batch_size)
    with clock("train"):
        for features in epochs:
            adam.zero_grad()
            pnl, cost = outcome(net, features)
            (pnl.var() + cost.mean()).backward()
            torch.nn.utils.clip_grad_norm_(net.parameters(), GRAD_CLIP)
            adam.step()
    with clock("evaluate"):
        validation, test = evaluated(net, "validation"), evaluated(net, "test")
    common.report(args, clock, test, [validation["loss"]])


if __name__ == "__main__":
    main(args)
