"""One run of preset `paper` trained with Adam, in JAX on a CPU: all of the training is one compiled program.

    python3 -m venv /tmp/peers && /tmp/peers/bin/pip install jax numpy
    /tmp/peers/bin/python tests/peers/paper_jax.py                          # or --help; compare.py runs it beside ours

No test needs it. An epoch is one gradient step on a new batch of paths, all of which are simulated together. Compilation
is timed apart (time.compile_s); results agree with the engine's within statistical error.
"""

import os

import common
from common import GRAD_CLIP, HELD_OUT_SEEDS, HIDDEN, STEPS
from common import PAPER_COST_RATE as COST_RATE, PAPER_HELD_OUT_PATHS as HELD_OUT_PATHS, PAPER_WEIGHT_DECAY as WEIGHT_DECAY
BETA1, BETA2, EPSILON = 0.9, 0.999, 1e-8

if __name__ == "__main__":  # before JAX is loaded, which reads the environment
    args = common.arguments("paper_jax", __doc__)
    if args.threads == 1:
        os.environ.setdefault("XLA_FLAGS", "--xla_cpu_multi_thread_eigen=false")
    os.environ.setdefault("JAX_PLATFORMS", "cpu")

import jax
import jax.numpy as jnp
from jax import lax


def initial_weights(key):
    keys = jax.random.split(key, 3)
    xavier, orthogonal = jax.nn.initializers.glorot_uniform(), jax.nn.initializers.orthogonal()
    return {
        "w_ih": xavier(keys[0], (2, 4 * HIDDEN)), "w_hh": orthogonal(keys[1], (HIDDEN, 4 * HIDDEN)),
        "b_ih": jnp.zeros(4 * HIDDEN), "b_hh": jnp.zeros(4 * HIDDEN),
        "w_head": xavier(keys[2], (HIDDEN, 1)), "b_head": jnp.zeros(1),
    }


def simulate(key, sets, count):
    """Features of sets of paths, each set z-scored by itself: [sets, STEPS + 1, count, 2]."""
    def step(state, z):
        after = common.absorption_step(jnp, *state, *z)
        return after, after

    start = jnp.ones((sets, count)), jnp.full((sets, count), common.V0)
    _, later = lax.scan(step, start, jax.random.normal(key, (STEPS, 2, sets, count)))
    paths = jnp.stack([jnp.concatenate((first[None], rest)) for first, rest in zip(start, later)], -1).swapaxes(0, 1)
    over = (1, 2)
    return (paths - paths.mean(over, keepdims=True)) / (paths.std(over, ddof=1, keepdims=True) + 1e-6)


def positions(weights, features):
    """δ_0 … δ_STEPS, [STEPS + 1, N]; gates in the order i, f, g, o. All inputs are projected before the loop."""
    def step(state, projected):
        h, c = state
        i, f, g, o = jnp.split(projected + h @ weights["w_hh"], 4, -1)
        c = jax.nn.sigmoid(f) * c + jax.nn.sigmoid(i) * jnp.tanh(g)
        h = jax.nn.sigmoid(o) * jnp.tanh(c)
        return (h, c), h

    zeros = jnp.zeros((features.shape[1], HIDDEN))
    projected = features @ weights["w_ih"] + (weights["b_ih"] + weights["b_hh"])
    _, states = lax.scan(step, (zeros, zeros), projected)
    return jnp.tanh(states @ weights["w_head"] + weights["b_head"])[:, :, 0]


def outcome(weights, features):
    """P&L in standard deviations of the price, and costs."""
    held = positions(weights, features)
    pnl = (held[:-1] * jnp.diff(features[:, :, 0], axis=0)).sum(0)
    return pnl, COST_RATE * jnp.abs(jnp.diff(held, axis=0)).sum(0)


def loss(weights, features):
    pnl, cost = outcome(weights, features)
    return pnl.var(ddof=1) + cost.mean()


def trained(weights, epochs, lr):
    """The weights after one step of Adam on each epoch's batch."""
    tree = jax.tree.map

    def step(state, batch):
        weights, first, second = state
        number, features = batch
        gradient = jax.grad(loss)(weights, features)
        norm = jnp.sqrt(sum((g**2).sum() for g in jax.tree.leaves(gradient)))
        clip = jnp.minimum(1.0, GRAD_CLIP / (norm + 1e-6))
        gradient = tree(lambda g, w: clip * g + WEIGHT_DECAY * w, gradient, weights)
        first = tree(lambda m, g: BETA1 * m + (1 - BETA1) * g, first, gradient)
        second = tree(lambda v, g: BETA2 * v + (1 - BETA2) * g * g, second, gradient)
        rate, root = lr / (1 - BETA1**number), jnp.sqrt(1 - BETA2**number)
        weights = tree(lambda w, m, v: w - rate * m / (jnp.sqrt(v) / root + EPSILON), weights, first, second)
        return (weights, first, second), None

    zeros = tree(jnp.zeros_like, weights)
    numbers = jnp.arange(1.0, len(epochs) + 1)
    return lax.scan(step, (weights, zeros, zeros), (numbers, epochs))[0][0]


def main(args):
    clock = common.Clock()
    keys = jax.random.split(jax.random.key(args.seed))
    weights = initial_weights(keys[0])
    with clock("compile"):
        simulation = jax.jit(lambda key: simulate(key, args.epochs, args.batch_size)).lower(keys[1]).compile()
        shape = jax.ShapeDtypeStruct((args.epochs, STEPS + 1, args.batch_size, 2), jnp.float32)
        training = jax.jit(trained).lower(weights, shape, args.lr).compile()
        held_out = jax.jit(lambda key: simulate(key, 1, HELD_OUT_PATHS)[0]).lower(keys[1]).compile()
        shape = jax.ShapeDtypeStruct((STEPS + 1, HELD_OUT_PATHS, 2), jnp.float32)
        evaluation = jax.jit(outcome).lower(weights, shape).compile()
    with clock("simulate"):
        epochs = simulation(keys[1]).block_until_ready()
    with clock("train"):
        weights = jax.block_until_ready(training(weights, epochs, args.lr))
    with clock("evaluate"):
        validation, test = (
            common.score("variance_plus_cost", *evaluation(weights, held_out(jax.random.key(HELD_OUT_SEEDS[name]))))
            for name in ("validation", "test"))
    common.report(args, clock, test, [validation["loss"]])


if __name__ == "__main__":
    main(args)
