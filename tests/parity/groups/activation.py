"""`build_activation_layer`: element-wise layers, PReLU with its weight, RReLU with its draws."""

from functools import partial

import torch

from case import Case
from groups.options import maybe

make = partial(Case, builder="activation", inputs={"x": (2, 4, 3, 3)})

PLAIN = ["ReLU", "LeakyReLU", "PReLU", "RReLU", "ReLU6", "ELU", "Sigmoid", "Tanh", "GELU"]


def fixed():
    for kind in PLAIN:
        for train in [True, False]:
            mode = "train" if train else "eval"
            yield make(f"{kind.lower()}_{mode}", cfg={"type": kind}, train=train, forward_seed=7)
    yield make("relu_inplace", cfg={"type": "ReLU", "inplace": True})
    yield make("relu6_inplace", cfg={"type": "ReLU6", "inplace": True}, train=False)
    yield make("leaky_relu_slope", cfg={"type": "LeakyReLU", "negative_slope": 0.3})
    yield make("leaky_relu_inplace", cfg={"type": "LeakyReLU", "negative_slope": 0.1, "inplace": True})
    yield make("prelu_channels", cfg={"type": "PReLU", "num_parameters": 4, "init": 0.4})
    yield make("prelu_given", cfg={"type": "PReLU", "num_parameters": 4}, given=True)
    yield make("prelu_float64_given", cfg={"type": "PReLU"}, given=True, dtype=torch.float64)
    yield make("rrelu_bounds", cfg={"type": "RReLU", "lower": 0.2, "upper": 0.8}, forward_seed=3)
    yield make("rrelu_inplace", cfg={"type": "RReLU", "inplace": True}, forward_seed=4)
    yield make("rrelu_equal_bounds", cfg={"type": "RReLU", "lower": 0.25, "upper": 0.25}, forward_seed=5)
    yield make("elu_alpha", cfg={"type": "ELU", "alpha": 0.5, "inplace": True})
    yield make("gelu_tanh", cfg={"type": "GELU", "approximate": "tanh"})
    yield make("gelu_float64", cfg={"type": "GELU"}, dtype=torch.float64)
    yield make("elu_float64", cfg={"type": "ELU", "alpha": 2.0}, dtype=torch.float64)
    yield make("sigmoid_empty", cfg={"type": "Sigmoid"}, inputs={"x": (0, 4, 3, 3)})
    yield make("prelu_empty", cfg={"type": "PReLU"}, inputs={"x": (0, 4, 3, 3)})
    yield make("tanh_vector", cfg={"type": "Tanh"}, inputs={"x": (5,)})
    yield make("relu_scalar", cfg={"type": "ReLU"}, inputs={"x": ()})
    yield make("relu_scoped", cfg={"type": "mmengine.ReLU"})
    yield make("build_only", cfg={"type": "PReLU", "num_parameters": 3, "init": -0.5}, inputs={})
    yield from refused()


def refused():
    yield make("error_none", cfg=None, inputs={}, error=[])
    yield make("error_no_dict", cfg="ReLU", inputs={}, error=[])
    yield make("error_no_type", cfg={"inplace": True}, inputs={}, error=["type"])
    yield make("error_unknown_type", cfg={"type": "ReLUU"}, inputs={}, error=["ReLUU"])
    yield make("error_type_is_number", cfg={"type": 3}, inputs={}, error=[])
    yield make("error_unknown_key", cfg={"type": "ReLU", "slope": 0.1}, inputs={}, error=["slope"])
    yield make("error_tanh_inplace", cfg={"type": "Tanh", "inplace": True}, inputs={}, error=["inplace"])
    yield make("error_sigmoid_inplace", cfg={"type": "Sigmoid", "inplace": False}, inputs={}, error=["inplace"])
    yield make("error_gelu_approximate", cfg={"type": "GELU", "approximate": "erf"}, error=["approximate"])
    yield make("error_prelu_channels", cfg={"type": "PReLU", "num_parameters": 3}, error=[])


def draw(rng):
    kind = rng.choice(PLAIN)
    cfg = {"type": kind}
    if kind in {"ReLU", "ReLU6", "LeakyReLU", "RReLU", "ELU"}:
        maybe(rng, cfg, "inplace", [True, False])
    if kind == "LeakyReLU":
        maybe(rng, cfg, "negative_slope", [0.0, 0.01, 0.2, 1, 1.5, -0.1], 0.7)
    elif kind == "ELU":
        maybe(rng, cfg, "alpha", [0.0, 0.5, 1, 2.5], 0.7)
    elif kind == "GELU":
        maybe(rng, cfg, "approximate", ["none", "tanh"], 0.7)
    elif kind == "RReLU" and rng.random() < 0.7:
        cfg["lower"], cfg["upper"] = sorted(rng.choice([0.0, 0.1, 0.25, 0.5, 1.0, 2]) for _ in range(2))
    shape = rng.choice([(3, 4), (2, 4, 5), (2, 4, 3, 3), (1, 4, 2, 3, 2), (0, 4, 3, 3), (4,), (2, 4, 1, 1)])
    if kind == "PReLU":
        maybe(rng, cfg, "num_parameters", [1, 4], 0.7)
        maybe(rng, cfg, "init", [0.0, 0.1, 0.7, -0.3, 1], 0.7)
    given = rng.random() < 0.3
    double = rng.random() < 0.3 and (kind != "PReLU" or given)
    return Case(
        "",
        "activation",
        cfg,
        inputs={"x": shape},
        train=rng.random() < 0.6,
        given=given,
        seed=rng.randrange(1000),
        forward_seed=rng.randrange(1000) if kind == "RReLU" or rng.random() < 0.2 else None,
        dtype=torch.float64 if double else torch.float32,
        backward=rng.random() < 0.8,
    )
