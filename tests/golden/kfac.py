"""Golden values for K-FAC: ten steps of many settings, in f64, by PyTorch's autograd and dense linear algebra.

    python tests/golden/kfac.py     # writes worker/engine/tests/golden/kfac.json

Written from the papers, not from the engine: gradients at the pre-activations by autograd, the Jacobian of each path's
P&L by one autograd call a path, the preconditioner as a dense solve with kron(G, A), the Gauss-Newton matrix from the
dense Jacobian and the dense Hessian of the loss.
"""

import json
import pathlib

import numpy as np
import torch

OUT = pathlib.Path(__file__).resolve().parent.parent.parent / "worker/engine/tests/golden/kfac.json"
torch.set_default_dtype(torch.float64)
golden = {}


def put(name, values):
    golden[name] = [float(x) for x in np.asarray(values).ravel()]


PATHS, POINTS, INPUTS, HIDDEN = 6, 7, 3, 4
FED_BACK, RATE = 1, 0.01
NAMES = ["w_ih", "w_hh", "b_ih", "b_hh", "w", "b"]
SHAPES = [(4 * HIDDEN, INPUTS), (4 * HIDDEN, HIDDEN), (4 * HIDDEN,), (4 * HIDDEN,), (1, HIDDEN), (1,)]
STEPS = 10

DEFAULTS = dict(
    lr=1e-3, damping=1e-2, split="each", adapt=False, decay=0.0, momentum=0.0, kl_clip=None, layers="head", rest=None,
    rest_lr=1e-3, homogeneous=False, per_gate=False, ggn=False, per_example=False, reduce=False, ema=0.0, factors=1,
    inverses=1, loss="variance", fed_back=False, grad_clip=1e9,
)
PROPER = dict(layers="all", homogeneous=True, per_example=True, lr=0.05, damping=0.05)
CASES = {
    "head_reduce_separate": dict(lr=0.01, damping=0.02, reduce=True, decay=0.1),
    "head_ggn_pi": dict(lr=0.1, homogeneous=True, ggn=True, split="pi", momentum=0.9),
    "head_pi_separate_rest_adam_lm": dict(
        lr=0.1, split="pi", rest="adam", rest_lr=0.01, per_example=True, adapt=True, decay=0.1),
    "all_expand": dict(PROPER),
    "all_reduce": dict(PROPER, reduce=True),
    "all_separate_batch_mean": dict(PROPER, homogeneous=False, per_example=False, lr=0.005, decay=0.1),
    "all_per_gate_pi": dict(PROPER, per_gate=True, split="pi", decay=0.1, fed_back=True),
    "all_reduce_per_gate_pi": dict(PROPER, reduce=True, per_gate=True, split="pi", homogeneous=False),
    "all_momentum": dict(PROPER, momentum=0.9, fed_back=True),
    "all_kl_clip": dict(PROPER, kl_clip=1e-4, momentum=0.5),
    "all_ema_intervals": dict(PROPER, ema=0.9, factors=2, inverses=3),
    "ggn_expand": dict(PROPER, ggn=True),
    "ggn_reduce_per_gate_entropic": dict(PROPER, ggn=True, reduce=True, per_gate=True, loss="entropic", fed_back=True),
    "ggn_mean_variance": dict(PROPER, ggn=True, loss="mean_variance", split="pi", fed_back=True),
    "lm_empirical": dict(PROPER, adapt=True, fed_back=True),
    "lm_entropic": dict(PROPER, adapt=True, ggn=True, loss="entropic"),
    "everything": dict(
        PROPER, ggn=True, per_gate=True, split="pi", adapt=True, decay=0.01, momentum=0.9, kl_clip=1e-4, ema=0.95,
        factors=2, inverses=4, loss="mean_variance", fed_back=True, grad_clip=0.05, lr=0.2),
    "lm_overshoots": dict(PROPER, adapt=True, ggn=True, lr=2.0, momentum=0.9, fed_back=True),
    "adam_kl_clip": dict(adam=True, lr=0.03, decay=0.1, kl_clip=1e-3, fed_back=True),
}


class Batch:
    """One forward pass, with what every layer read and said."""

    def __init__(self, params, data, case):
        w_ih, w_hh, b_ih, b_hh, w, b = params
        x, moves, price, settlement = data
        h, c = torch.zeros(PATHS, HIDDEN), torch.zeros(PATHS, HIDDEN)
        self.read, self.z, self.states, self.y = [], [], [], []
        deltas = []
        ones = torch.ones(PATHS, 1)
        for t in range(POINTS):
            now = x[t]
            if case["fed_back"] and t > 0:
                now = torch.cat([now[:, :FED_BACK], deltas[-1][:, None], now[:, FED_BACK + 1:]], dim=1)
            self.read.append(torch.cat([now, h, ones], dim=1).detach())
            z = now @ w_ih.T + b_ih + h @ w_hh.T + b_hh
            self.z.append(z)
            i, f, g, o = z.chunk(4, dim=1)
            c = torch.sigmoid(f) * c + torch.sigmoid(i) * torch.tanh(g)
            h = torch.sigmoid(o) * torch.tanh(c)
            self.states.append(torch.cat([h, ones], dim=1).detach())
            y = h @ w.T + b
            self.y.append(y)
            deltas.append(torch.tanh(y[:, 0]))
        delta = torch.stack(deltas)
        self.gross = settlement + (delta * moves).sum(dim=0)
        cost = price[0] * delta[0].abs() + price[-1] * delta[-1].abs()
        self.cost = RATE * (cost + (price[1:-1] * (delta[1:] - delta[:-1]).abs()).sum(dim=0))
        self.net = self.gross - self.cost
        if case["loss"] == "variance":
            self.outcome, self.loss = self.gross, 0.7 * self.gross.var() + self.cost.mean()
        elif case["loss"] == "mean_variance":
            self.outcome, self.loss = self.net, 1.3 / 2 * self.net.var() - self.net.mean()
        else:
            self.outcome, self.loss = self.net, (torch.logsumexp(-2.0 * self.net, 0) - np.log(PATHS)) / 2.0

    def hessian(self, case):
        """The loss's dense Hessian in the outcomes, by autograd."""
        cost = self.cost.detach()

        def loss(v):
            if case["loss"] == "variance":
                return 0.7 * v.var() + cost.mean()
            if case["loss"] == "mean_variance":
                return 1.3 / 2 * v.var() - v.mean()
            return (torch.logsumexp(-2.0 * v, 0) - np.log(PATHS)) / 2.0

        return torch.autograd.functional.hessian(loss, self.outcome.detach())

    def path_weights(self, case):
        """What K-FAC keeps of the Hessian."""
        if case["loss"] == "variance":
            return torch.full((PATHS,), 2 * 0.7 / (PATHS - 1))
        if case["loss"] == "mean_variance":
            return torch.full((PATHS,), 1.3 / (PATHS - 1))
        return 2.0 * torch.softmax(-2.0 * self.net.detach(), 0)


def grad(of, wrt):
    return torch.autograd.grad(of, wrt, retain_graph=True)


def flat(tensors):
    return torch.cat([tensor.detach().reshape(-1) for tensor in tensors])


class Layer:
    """The recurrent layer (index 0) or the head (1): its factors and its matrix."""

    def __init__(self, index, case):
        self.recurrent = index == 0
        self.case = case
        self.outputs = 4 * HIDDEN if self.recurrent else 1
        per_gate = self.recurrent and case["per_gate"]
        self.groups = [range(k * HIDDEN, (k + 1) * HIDDEN) for k in range(4)] if per_gate else [range(self.outputs)]
        self.A, self.G, self.count = 0.0, [0.0] * len(self.groups), 0
        self.velocity = 0.0

    def factors(self, batch):
        case = self.case
        a = torch.stack(batch.read if self.recurrent else batch.states)
        said = batch.z if self.recurrent else batch.y
        if not case["homogeneous"]:
            a = a[:, :, :-1]
        if case["ggn"]:
            g = torch.stack(grad(batch.outcome.sum(), said)) * batch.path_weights(case).sqrt()[None, :, None]
            factor = 1.0
        else:
            g = torch.stack(grad(batch.loss, said))
            rows = PATHS if case["reduce"] else PATHS * POINTS
            factor = PATHS if case["per_example"] else 1 / rows
        if case["reduce"]:
            a, g = a.mean(dim=0), g.sum(dim=0)
        a, g = a.reshape(-1, a.shape[-1]), g.reshape(-1, g.shape[-1])
        A = sum(torch.outer(row, row) for row in a) / len(a)
        G = [factor * sum(torch.outer(row[list(k)], row[list(k)]) for row in g) for k in self.groups]
        beta = case["ema"]
        self.A = beta * self.A + (1 - beta) * A
        self.G = [beta * old + (1 - beta) * new for old, new in zip(self.G, G)]
        self.count += 1

    def invert(self, damping):
        """One dense matrix for each group, over the outputs of the group × the inputs, bias included."""
        case = self.case
        correction = 1 - case["ema"] ** self.count
        A, Gs = self.A / correction, [G / correction for G in self.G]
        if not case["homogeneous"]:
            A = torch.block_diag(A, torch.zeros(1, 1))
        eye = torch.eye(len(A))
        bias = torch.zeros_like(eye)
        if not case["homogeneous"]:
            eye[-1, -1] = 0.0
            bias[-1, -1] = 1.0
        dim = len(A) if case["homogeneous"] else len(A) - 1
        self.dense = []
        for G in Gs:
            own = torch.eye(len(G))
            if case["split"] == "each":
                dense = torch.kron(G + damping * own, A + damping * eye + bias)
            elif len(G) == 1:
                dense = torch.kron(G, A + bias) + damping * torch.eye(len(A))
            else:
                pi = np.sqrt((A.trace() / dim).item() / (G.trace() / len(G)).item())
                dense = torch.kron(G + np.sqrt(damping) / pi * own, A + pi * np.sqrt(damping) * eye + bias)
            self.dense.append(dense)

    def matrix(self, gradient, params):
        """The gradient with its L2 penalty as one matrix, the bias last. A step shared by two bias vectors."""
        decay = self.case["decay"]
        d = [g + decay * p for g, p in zip(gradient, params)]
        if self.recurrent:
            return torch.cat([d[0], d[1], ((d[2] + d[3]) / 2)[:, None]], dim=1)
        return torch.cat([d[4], d[5][:, None]], dim=1)

    def solve(self, gradient):
        out = torch.zeros_like(gradient)
        for group, dense in zip(self.groups, self.dense):
            part = gradient[list(group)]
            out[list(group)] = torch.linalg.solve(dense, part.reshape(-1)).reshape(part.shape)
        return out

    def take(self, params, u):
        with torch.no_grad():
            if self.recurrent:
                params[0] -= u[:, :INPUTS]
                params[1] -= u[:, INPUTS:-1]
                params[2] -= u[:, -1] / 2
                params[3] -= u[:, -1] / 2
            else:
                params[4] -= u[:, :-1]
                params[5] -= u[:, -1]


def clip_scale(bound, lr, along):
    return 1.0 if bound is None or along <= 0 else min(1.0, np.sqrt(bound / (lr**2 * along)))


def clipped(gradient, trained, bound):
    norm = torch.sqrt(sum((gradient[k] ** 2).sum() for k in trained)).item()
    factor = min(1.0, bound / (norm + 1e-6))
    return [g * factor for g in gradient]


def kfac(name, case, start, data):
    params = [p.clone().requires_grad_(True) for p in start]
    layers = [Layer(k, case) for k in ([0, 1] if case["layers"] == "all" else [1])]
    everything = case["layers"] == "all" or case["rest"] == "adam"
    trained = range(6) if everything else [4, 5]
    adam = torch.optim.Adam(params[:4], lr=case["rest_lr"], weight_decay=case["decay"]) if case["rest"] else None
    damping, dampings, ratios, scales = case["damping"], [], [], []
    for step in range(STEPS):
        batch = Batch(params, data, case)
        full = grad(batch.loss, params)
        gradient = clipped(full, trained, case["grad_clip"])
        if step % case["factors"] == 0:
            for layer in layers:
                layer.factors(batch)
        if step % case["inverses"] == 0:
            for layer in layers:
                layer.invert(damping)
        matrices = [layer.matrix(gradient, params) for layer in layers]
        deltas = [layer.solve(matrix) for layer, matrix in zip(layers, matrices)]
        along = sum((d * m).sum().item() for d, m in zip(deltas, matrices))
        scale = clip_scale(case["kl_clip"], case["lr"], along)
        scales.append(scale)
        before = flat(params)
        looks = case["adapt"] and (step + 1) % 5 == 0
        if looks:
            J = torch.stack([flat(grad(x, params)) for x in batch.outcome])
            B = J.T @ batch.hessian(case) @ J
            slope = flat(full)
        for layer, delta in zip(layers, deltas):
            layer.velocity = case["momentum"] * layer.velocity + scale * case["lr"] * delta
            layer.take(params, layer.velocity)
        if adam:
            for p, g in zip(params[:4], gradient):
                p.grad = g.clone()
            adam.step()
        if looks:
            after = flat(params)
            d = after - before
            decay = case["decay"]
            model = (slope + decay * before) @ d + 0.5 * d @ (B @ d) + 0.5 * decay * d @ d
            change = Batch(params, data, case).loss - batch.loss
            change = change + 0.5 * decay * (after @ after - before @ before)
            ratio = (change / model).item()
            ratios.append(ratio)
            if not np.isfinite(ratio) or model >= 0 or ratio < 0.25:
                damping /= 0.95**5
            elif ratio > 0.75:
                damping *= 0.95**5
            damping = min(max(damping, 1e-8), 1e3)
        dampings.append(damping)
        if step + 1 in (1, STEPS):
            put(f"{name}.weights{step + 1}", flat(params))
    put(f"{name}.dampings", dampings)
    put(f"{name}.ratios", ratios)
    put(f"{name}.scales", scales)
    print(f"{name:32} loss {batch.loss.item():.6f} λ {damping:.4g} ρ {[round(r, 4) for r in ratios]} "
          f"ν {scales[0]:.3g}…{scales[-1]:.3g}")


def adam_kl_clip(name, case, start, data):
    params = [p.clone().requires_grad_(True) for p in start]
    first, second = [0.0] * 6, [0.0] * 6
    scales = []
    for step in range(1, STEPS + 1):
        batch = Batch(params, data, case)
        gradient = [g + case["decay"] * p.detach() for g, p in zip(grad(batch.loss, params), params)]
        first = [0.9 * m + 0.1 * g for m, g in zip(first, gradient)]
        second = [0.999 * v + 0.001 * g * g for v, g in zip(second, gradient)]
        deltas = [(m / (1 - 0.9**step)) / ((v / (1 - 0.999**step)).sqrt() + 1e-8) for m, v in zip(first, second)]
        along = sum((d * g).sum().item() for d, g in zip(deltas, gradient))
        scales.append(clip_scale(case["kl_clip"], case["lr"], along))
        with torch.no_grad():
            for p, d in zip(params, deltas):
                p -= scales[-1] * case["lr"] * d
        if step in (1, STEPS):
            put(f"{name}.weights{step}", flat(params))
    put(f"{name}.scales", scales)
    print(f"{name:32} loss {batch.loss.item():.6f} ν {scales[0]:.3g}…{scales[-1]:.3g}")


def main():
    rng = np.random.RandomState(11)
    start = [torch.tensor(rng.randn(*shape) * 0.6) for shape in SHAPES]
    x = torch.tensor(rng.randn(POINTS, PATHS, INPUTS))
    moves = torch.tensor(rng.randn(POINTS, PATHS) * 0.4)
    price = torch.tensor(1 + 0.2 * rng.rand(POINTS + 1, PATHS))
    settlement = torch.tensor(rng.randn(PATHS) * 0.3)
    data = (x, moves, price, settlement)
    put("weights", flat(start))
    put("inputs", x)
    put("moves", moves)
    put("price", price)
    put("settlement", settlement)
    for name, case in CASES.items():
        run = adam_kl_clip if case.get("adam") else kfac
        run(name, {**DEFAULTS, **case}, start, data)
    lines = ",\n".join(f"{json.dumps(name)}: {json.dumps(values)}" for name, values in golden.items())
    OUT.write_text("{\n" + lines + "\n}\n")


if __name__ == "__main__":
    main()
