"""The experiment of Enkhbayar 2024 as its notebook does it, in NumPy and PyTorch, for any seed.

    python tests/golden/notebook.py 7     # writes initial weights and figures into worker/engine/tests/golden/
    python tests/golden/notebook.py 42 --check sweeps/paper   # replays seed 42 from its published initial weights

One run is 100 epochs; an epoch is one gradient step on 32 new paths of NumPy's legacy stream. Adam's run takes the
first 320,000 normals, K-FAC's goes on from there. Without published initial weights, they are drawn here from
PyTorch's generator under the same seed, Adam's first.
"""

import argparse
import json
import pathlib

import numpy as np
import torch
from safetensors.torch import load_file, save_file

EPOCHS, BATCH, STEPS, HIDDEN = 100, 32, 50, 32
KAPPA, THETA, XI, RHO, DT, V0, X0 = 2.0, 0.04, 0.5, -0.7, 1 / 250, 0.04, 1.0
COST_RATE, CLIP, LR, WEIGHT_DECAY, DAMPING = 0.01, 10.0, 1e-3, 1e-4, 1e-2
HERE = pathlib.Path(__file__).resolve().parent
GOLDEN = HERE.parent.parent / "worker/engine/tests/golden"


def heston_paths(rng):
    """BATCH paths of price and variance, path after path, step after step, z1 before z2."""
    price, variance = np.empty((BATCH, STEPS + 1)), np.empty((BATCH, STEPS + 1))
    price[:, 0], variance[:, 0] = X0, V0
    for path in range(BATCH):
        for t in range(STEPS):
            z1, z2 = rng.randn(), rng.randn()
            x, v = price[path, t], variance[path, t]
            vp = max(v, 0.0)
            shock = RHO * z1 + np.sqrt(1 - RHO**2) * z2
            variance[path, t + 1] = vp + KAPPA * (THETA - vp) * DT + XI * np.sqrt(vp) * np.sqrt(DT) * shock
            price[path, t + 1] = x + x * np.sqrt(vp) * np.sqrt(DT) * z1
    return price, variance


def zscore(values):
    return (values - values.mean()) / (values.std() + 1e-6)


class Net(torch.nn.Module):
    def __init__(self):
        super().__init__()
        self.lstm = torch.nn.LSTM(2, HIDDEN, batch_first=True)
        self.fc = torch.nn.Linear(HIDDEN, 1)
        torch.nn.init.xavier_uniform_(self.lstm.weight_ih_l0)
        torch.nn.init.orthogonal_(self.lstm.weight_hh_l0)
        torch.nn.init.zeros_(self.lstm.bias_ih_l0)
        torch.nn.init.zeros_(self.lstm.bias_hh_l0)
        torch.nn.init.xavier_uniform_(self.fc.weight)
        torch.nn.init.zeros_(self.fc.bias)

    def forward(self, x):
        hidden, _ = self.lstm(x)
        logits = self.fc(hidden)
        return hidden, logits, torch.tanh(logits).squeeze(-1)


def kfac_step(net, hidden, logits):
    """One step on the head; `g` is the gradient of the batch mean."""
    a = hidden.detach().reshape(-1, HIDDEN)
    g = logits.grad.reshape(-1, 1)
    rows = a.shape[0]
    A = a.T @ a / rows + DAMPING * torch.eye(HIDDEN)
    G = g.T @ g / rows + DAMPING * torch.eye(1)
    A_inv, G_inv = torch.linalg.inv(A), torch.linalg.inv(G)
    with torch.no_grad():
        net.fc.weight -= LR * G_inv @ net.fc.weight.grad @ A_inv
        net.fc.bias -= LR * (G_inv @ net.fc.bias.grad)


def train(net, rng, kind):
    adam = torch.optim.Adam(net.parameters(), lr=LR, weight_decay=WEIGHT_DECAY) if kind == "adam" else None
    trained = list(net.parameters()) if kind == "adam" else list(net.fc.parameters())
    losses, pnls, costs = [], [], []
    for _ in range(EPOCHS):
        price, variance = (torch.tensor(values, dtype=torch.float32) for values in heston_paths(rng))
        x = zscore(price)
        hidden, logits, delta = net(torch.stack([x, zscore(variance)], dim=-1))
        logits.retain_grad()
        pnl = (delta[:, :-1] * (x[:, 1:] - x[:, :-1])).sum(dim=1)
        cost = COST_RATE * (delta[:, 1:] - delta[:, :-1]).abs().sum(dim=1)
        loss = pnl.var() + cost.mean()
        net.zero_grad()
        loss.backward()
        torch.nn.utils.clip_grad_norm_(trained, CLIP)
        if kind == "adam":
            adam.step()
        else:
            kfac_step(net, hidden, logits)
        losses.append(loss.item())
        pnls.append(pnl.detach().numpy())
        costs.append(cost.detach().numpy())
    return losses, np.concatenate(pnls), np.concatenate(costs)


def summary(losses, pnl, cost):
    return {
        "pnl_variance": float(np.var(pnl)),
        "mean_cost": float(np.mean(cost)),
        "sharpe": float(np.mean(pnl) / (np.std(pnl) + 1e-6)),
        "loss_history": losses,
    }


def welch(a, b):
    a, b = a.astype(np.float64), b.astype(np.float64)
    return float((a.mean() - b.mean()) / np.sqrt(a.var(ddof=1) / len(a) + b.var(ddof=1) / len(b)))


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("seed", type=int)
    parser.add_argument("--check", type=pathlib.Path, help="a folder with initial weights and expected figures")
    arguments = parser.parse_args()
    seed = arguments.seed
    torch.manual_seed(seed)
    rng = np.random.RandomState(seed)
    expected, samples = {"seed": seed}, {}
    for kind in ["adam", "kfac"]:
        net = Net()
        if arguments.check:
            net.load_state_dict(load_file(arguments.check / f"seed{seed}_{kind}_init.safetensors"))
        else:
            state = {name: tensor.clone() for name, tensor in net.state_dict().items()}
            save_file(state, GOLDEN / f"seed{seed}_{kind}_init.safetensors")
        losses, pnl, cost = train(net, rng, kind)
        expected[kind] = summary(losses, pnl, cost)
        samples[kind] = (pnl, cost)
    pairs = zip(samples["adam"], samples["kfac"])
    expected["welch"] = {name: {"t": welch(*pair)} for name, pair in zip(["pnl", "cost"], pairs)}
    if arguments.check:
        published = json.loads((arguments.check / f"seed{seed}_expected.json").read_text())
        for kind in ["adam", "kfac"]:
            here, there = (np.array(which[kind]["loss_history"]) for which in (expected, published))
            deviation = np.abs(here / there - 1)
            print(kind, "loss deviation: first 10", deviation[:10].max(), "first 30", deviation[:30].max(),
                  "all", deviation.max())
            print({name: value for name, value in expected[kind].items() if name != "loss_history"})
        print(expected["welch"], "published", published["welch"])
    else:
        (GOLDEN / f"seed{seed}_expected.json").write_text(json.dumps(expected, indent=1) + "\n")


if __name__ == "__main__":
    main()
