"""Random single layers beside those of the six builders, and the less common activations."""

import torch

from case import Case
from groups.options import maybe, per_dimension

ACTIVATIONS = ["SiLU", "Swish", "HSwish", "HSigmoid", "Clamp", "Clip"]


def fixed():
    """Beside those of `bricks`."""
    for place in ["first", "last"]:
        scale = {"type": "LayerScale", "dim": 4, "data_format": f"channels_{place}", "scale": 0.5}
        for name, shape in [("scalar", ()), ("vector", (4,))]:
            yield Case(f"layer_scale_{place}_{name}", "model", scale, inputs={"x": shape})
    yield Case("linear_without_inputs", "model", {"type": "Linear", "in_features": 0, "out_features": 3}, inputs={"x": (2, 0)})


def draw(rng):
    common = {
        "seed": rng.randrange(10**6),
        "given": rng.random() < 0.4,
        "train": rng.random() < 0.7,
        "backward": rng.random() < 0.9,
    }
    if common["given"] and rng.random() < 0.3:
        common["dtype"] = torch.float64
    return rng.choice([activation, linear, pool, drop, scale, layer_scale])(rng, common)


def any_shape(rng, *, channels=4):
    return rng.choice(
        [(3, channels), (2, channels, 5), (2, channels, 3, 3), (1, channels, 2, 3, 2), (0, channels, 3, 3), (channels,), (),
         (2, channels, 0, 3), (2, 3, channels), (1, 1, 1, channels)]
    )


def activation(rng, common):
    kind = rng.choice(ACTIVATIONS)
    cfg = {"type": kind}
    if kind in {"SiLU", "HSwish"}:
        maybe(rng, cfg, "inplace", [True, False], 0.6)
    elif kind == "HSigmoid":
        maybe(rng, cfg, "bias", [3.0, 1, 0, -1.5, 0.1])
        maybe(rng, cfg, "divisor", [6.0, 2, -3, 0.7])
        maybe(rng, cfg, "min_value", [0.0, -1, 0.2])
        maybe(rng, cfg, "max_value", [1.0, 2, 0.5, 0.1])
    elif kind in {"Clamp", "Clip"}:
        maybe(rng, cfg, "min", [-1.0, -0.5, 0, 0.7, None, 0.1], 0.6)
        maybe(rng, cfg, "max", [1.0, 0.5, 0, None, 0.3], 0.6)
    return Case("", "activation", cfg, inputs={"x": any_shape(rng)}, **(common | {"given": False}))


def linear(rng, common):
    cfg = {"type": "Linear", "in_features": rng.choice([4, 4, 4, 1, 0]), "out_features": rng.choice([1, 2, 5, 0])}
    maybe(rng, cfg, "bias", [True, False], 0.5)
    shape = (*any_shape(rng)[:-1], cfg["in_features"] if rng.random() < 0.95 else 3)
    return Case("", "model", cfg, inputs={"x": shape}, **common)


def pool(rng, common):
    dimensions = rng.choice([2, 2, 3])
    cfg = {"type": f"MaxPool{dimensions}d", "kernel_size": per_dimension(rng, dimensions, [1, 2, 3])}
    maybe(rng, cfg, "stride", [per_dimension(rng, dimensions, [1, 2, 3]), None], 0.6)
    maybe(rng, cfg, "padding", [per_dimension(rng, dimensions, [0, 1])], 0.5)
    maybe(rng, cfg, "dilation", [per_dimension(rng, dimensions, [1, 2])], 0.4)
    maybe(rng, cfg, "ceil_mode", [True, False], 0.5)
    maybe(rng, cfg, "return_indices", [True, False], 0.2)
    batch = rng.choice([(), (0,), (1,), (2,)])
    shape = (*batch, rng.choice([1, 3]), *(rng.randint(1, 7) for _ in range(dimensions)))
    backward = common.pop("backward") and not cfg.get("return_indices")
    return Case("", "model", cfg, inputs={"x": shape}, backward=backward, **common)


def drop(rng, common):
    kind = rng.choice(["Dropout", "DropPath"])
    cfg = {"type": kind}
    maybe(rng, cfg, "drop_prob", [0.0, 0.1, 0.3, 0.7, 1.0, 0, 1], 0.8)
    if kind == "Dropout":
        maybe(rng, cfg, "inplace", [True, False])
    return Case("", "model", cfg, inputs={"x": any_shape(rng)}, forward_seed=rng.randrange(1000), **common)


def scale(rng, common):
    cfg = {"type": "Scale"}
    maybe(rng, cfg, "scale", [2.0, 1, 0.0, -0.3, 1e-5], 0.8)
    return Case("", "model", cfg, inputs={"x": any_shape(rng)}, **common)


def layer_scale(rng, common):
    cfg = {"type": "LayerScale", "dim": rng.choice([4, 4, 4, 1, 3])}
    maybe(rng, cfg, "scale", [2.0, 1, 0.0, 1e-5], 0.6)
    maybe(rng, cfg, "inplace", [True, False], 0.5)
    maybe(rng, cfg, "data_format", ["channels_last", "channels_first"], 0.6)
    return Case("", "model", cfg, inputs={"x": any_shape(rng)}, **common)
