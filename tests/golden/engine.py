"""Golden values for the engine's unit tests, from SciPy, NumPy and PyTorch (all in f64).

    python tests/golden/engine.py     # writes worker/engine/tests/golden/engine.json
"""

import json
import pathlib

import numpy as np
import scipy.special
import torch

OUT = pathlib.Path(__file__).resolve().parent.parent.parent / "worker/engine/tests/golden/engine.json"
golden = {}


def put(name, values):
    golden[name] = [float(x) for x in np.asarray(values).ravel()]


def normal_quantiles():
    p = np.concatenate([np.logspace(-300, -1, 60), np.linspace(0.01, 0.99, 60), 1 - np.logspace(-15, -2, 20)])
    put("ndtri.p", p)
    put("ndtri.z", scipy.special.ndtri(p))


def numpy_streams():
    for seed in [0, 7, 4294967295]:
        z = np.random.RandomState(seed).randn(2004)
        put(f"numpy.seed{seed}", z[:6])
        put(f"numpy.seed{seed}_from_2001", z[2001:])


def heston():
    """One path of each scheme, written down once more, with other parameters where the defaults hide something."""
    kappa, theta, xi, rho, dt, steps = 2.0, 0.04, 0.5, -0.7, 1 / 250, 50
    z = np.random.RandomState(3).randn(steps, 2)
    put("heston.normals", z)
    x, v = [1.0], [0.04]
    for z1, z2 in z:
        vp = max(v[-1], 0.0)
        shock = rho * z1 + np.sqrt(1 - rho**2) * z2
        x.append(x[-1] + x[-1] * np.sqrt(vp) * np.sqrt(dt) * z1)
        v.append(vp + kappa * (theta - vp) * dt + xi * np.sqrt(vp) * np.sqrt(dt) * shock)
    put("heston.absorption.price", x)
    put("heston.absorption.variance", v)
    mu, s, hat, out = 0.05, [100.0], 0.04, [0.04]
    for z1, z2 in z:
        vp = max(hat, 0.0)
        shock = rho * z1 + np.sqrt(1 - rho**2) * z2
        s.append(s[-1] * np.exp((mu - vp / 2) * dt + np.sqrt(vp * dt) * z1))
        hat = hat + kappa * (theta - vp) * dt + xi * np.sqrt(vp * dt) * shock
        out.append(max(hat, 0.0))
    put("heston.full_truncation.price", s)
    put("heston.full_truncation.variance", out)


def tails():
    """VaR and CVaR by the minimisation that defines CVaR, over all candidates for w."""
    pnl = np.random.RandomState(4).standard_t(3, 101)
    put("tail.pnl", pnl)
    for count, level, name in [(101, 0.95, "101_95"), (101, 0.99, "101_99"), (100, 0.9, "100_90"), (7, 0.99, "7_99")]:
        losses = np.sort(-pnl[:count])[::-1]
        k = round(count * (1 - level), 9)
        cvar = min(w + np.maximum(losses - w, 0).sum() / k for w in losses)
        put(f"tail.{name}", [losses[int(np.floor(k))], cvar])


def losses():
    """Values and gradients by autograd."""
    rng = np.random.RandomState(5)
    pnl, cost = rng.randn(20) * 0.7 + 0.1, np.abs(rng.randn(20)) * 0.05
    put("loss.pnl", pnl)
    put("loss.cost", cost)

    def cvar(alpha):
        def value(p, c):
            loss = torch.sort(c - p, descending=True).values
            k = len(p) * (1 - alpha)
            whole = int(np.floor(k + 1e-9))
            return (loss[:whole].sum() + max(k - whole, 0.0) * loss[whole]) / k

        return value

    functions = {
        "variance_plus_cost": lambda p, c: 0.7 * p.var() + c.mean(),
        "mean_variance": lambda p, c: -(p - c).mean() + 1.3 / 2 * (p - c).var(),
        "entropic": lambda p, c: (torch.logsumexp(-2.0 * (p - c), 0) - np.log(len(p))) / 2.0,
        "cvar": cvar(0.8),
        "cvar_fractional": cvar(0.77),
    }
    for name, function in functions.items():
        p, c = torch.tensor(pnl, requires_grad=True), torch.tensor(cost, requires_grad=True)
        value = function(p, c)
        value.backward()
        put(f"loss.{name}.value", [value.item()])
        put(f"loss.{name}.d_pnl", p.grad)
        put(f"loss.{name}.d_cost", c.grad)


BATCH, TIME, INPUTS, HIDDEN, RATE, LR = 6, 9, 3, 5, 0.01, 0.03
DECAY, DAMPING = 0.1, 0.02
NAMES = ["lstm.weight_ih_l0", "lstm.weight_hh_l0", "lstm.bias_ih_l0", "lstm.bias_hh_l0", "fc.weight", "fc.bias"]


class Net(torch.nn.Module):
    def __init__(self, state):
        super().__init__()
        self.lstm = torch.nn.LSTM(INPUTS, HIDDEN, batch_first=True, dtype=torch.float64)
        self.fc = torch.nn.Linear(HIDDEN, 1, dtype=torch.float64)
        self.load_state_dict({name: tensor.clone() for name, tensor in state.items()})

    def loss(self, x, moves):
        self.hidden, _ = self.lstm(x)
        self.logits = self.fc(self.hidden)
        self.logits.retain_grad()
        self.delta = torch.tanh(self.logits).squeeze(-1)
        pnl = (self.delta[:, :-1] * moves).sum(dim=1)
        cost = RATE * (self.delta[:, 1:] - self.delta[:, :-1]).abs().sum(dim=1)
        return pnl.var() + cost.mean()

    def flat(self, what=lambda p: p):
        state = dict(self.named_parameters())
        return np.concatenate([what(state[name]).detach().numpy().ravel() for name in NAMES])


def kfac_head(net, per_example):
    rows = BATCH * TIME
    a, g = net.hidden.detach().reshape(rows, HIDDEN), net.logits.grad.reshape(rows, 1)
    scale = BATCH if per_example else 1 / rows
    A = a.T @ a / rows + DAMPING * torch.eye(HIDDEN, dtype=torch.float64)
    G = scale * (g.T @ g) + DAMPING * torch.eye(1, dtype=torch.float64)
    with torch.no_grad():
        d_weight = net.fc.weight.grad + DECAY * net.fc.weight
        d_bias = net.fc.bias.grad + DECAY * net.fc.bias
        net.fc.weight -= LR * torch.linalg.inv(G) @ d_weight @ torch.linalg.inv(A)
        net.fc.bias -= LR * torch.linalg.inv(G)[0] * d_bias
    return [torch.linalg.cond(A).item(), G.item()]


def network():
    """Gradients, and two steps of every optimiser on one batch, all as flat vectors in the order of NAMES."""
    torch.manual_seed(6)
    rng = np.random.RandomState(6)
    # Numbers that f32 holds exactly, so that both precisions begin alike.
    exact = lambda values: torch.tensor(np.asarray(values, dtype=np.float32).astype(np.float64))
    template = torch.nn.ModuleDict({"lstm": torch.nn.LSTM(INPUTS, HIDDEN), "fc": torch.nn.Linear(HIDDEN, 1)})
    state = {name: exact(1.5 * tensor.numpy()) for name, tensor in template.state_dict().items()}
    x, moves = exact(rng.randn(BATCH, TIME, INPUTS)), exact(rng.randn(BATCH, TIME - 1) * 0.3)
    x.requires_grad_(True)
    net = Net(state)
    loss = net.loss(x, moves)
    loss.backward()
    changes = (net.delta[:, 1:] - net.delta[:, :-1]).abs().min().item()
    assert changes > 1e-4, "the batch must stay away from the kinks of |Δδ|"
    time_major = lambda tensor: tensor.detach().numpy().swapaxes(0, 1)
    put("net.weights", net.flat())
    put("net.inputs", time_major(x))
    put("net.moves", time_major(moves))
    put("net.positions", time_major(net.delta))
    put("net.loss", [loss.item()])
    put("net.gradient", net.flat(lambda p: p.grad))
    put("net.d_inputs", time_major(x.grad))
    x = x.detach()

    optimizers = {
        "adam": lambda p: torch.optim.Adam(p, lr=LR, weight_decay=DECAY),
        "sgd": lambda p: torch.optim.SGD(p, lr=LR, weight_decay=DECAY, momentum=0.8),
        "kfac": None,
        "kfac_per_example": None,
        "kfac_rest_adam": None,
    }
    for name, make in optimizers.items():
        net = Net(state)
        rest = name == "kfac_rest_adam"
        trained = net.lstm.parameters() if rest else net.parameters()
        optimizer = make(trained) if make else torch.optim.Adam(trained, lr=LR, weight_decay=DECAY) if rest else None
        for step in [1, 2]:
            net.zero_grad()
            net.loss(x, moves).backward()
            if name.startswith("kfac"):
                put(f"step.{name}.condition{step}", kfac_head(net, name == "kfac_per_example"))
            if optimizer:
                optimizer.step()
            put(f"step.{name}.weights{step}", net.flat())
    clip = 0.05
    net = Net(state)
    net.loss(x, moves).backward()
    put("clip.norm", [torch.nn.utils.clip_grad_norm_(net.parameters(), clip).item()])
    put("clip.gradient", net.flat(lambda p: p.grad))


def main():
    for make in [normal_quantiles, numpy_streams, heston, tails, losses, network]:
        make()
    lines = ",\n".join(f"{json.dumps(name)}: {json.dumps(values)}" for name, values in golden.items())
    OUT.write_text("{\n" + lines + "\n}\n")


if __name__ == "__main__":
    main()
