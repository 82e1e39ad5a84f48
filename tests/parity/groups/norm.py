"""`build_norm_layer`: batch, group, layer and instance normalization, their names and their running statistics."""

from functools import partial

import torch

from case import Case
from groups.options import maybe

make = partial(Case, builder="norm", kwargs={"num_features": 4}, inputs={"x": (3, 4, 3, 5)})

SHAPES = {1: (3, 4, 5), 2: (3, 4, 3, 5), 3: (2, 4, 2, 3, 2)}
DIMENSIONS = {"BN1d": 1, "BN3d": 3, "IN1d": 1, "IN3d": 3}
TYPES = ["BN", "BN1d", "BN2d", "BN3d", "SyncBN", "GN", "LN", "IN", "IN1d", "IN2d", "IN3d"]


def default(kind):
    """The smallest config of a type, the arguments beside it, and a shape that it takes."""
    shape = SHAPES[DIMENSIONS.get(kind, 2)]
    if kind == "GN":
        return {"type": "GN", "num_groups": 2}, {"num_features": 4}, shape
    return {"type": kind}, {"num_features": shape[-1] if kind == "LN" else 4}, shape


def fixed():
    for kind in TYPES:
        cfg, kwargs, shape = default(kind)
        yield make(f"{kind.lower()}_train", cfg=cfg, kwargs=kwargs, inputs={"x": shape})
        yield make(f"{kind.lower()}_eval_given", cfg=cfg, kwargs=kwargs, inputs={"x": shape}, train=False, given=True)
    yield from batch()
    yield from instance()
    yield from group_and_layer()
    for name, postfix in [("integer", 1), ("text", "_a"), ("zero", 0), ("empty", "")]:
        yield make(f"postfix_{name}", cfg={"type": "BN"}, kwargs={"num_features": 4, "postfix": postfix}, inputs={})
    yield make("postfix_gn", cfg={"type": "GN", "num_groups": 4}, kwargs={"num_features": 4, "postfix": 2})
    yield make("postfix_in", cfg={"type": "IN1d"}, kwargs={"num_features": 4, "postfix": 3}, inputs={})
    yield make("postfix_sync", cfg={"type": "SyncBN"}, kwargs={"num_features": 4, "postfix": "x"}, inputs={})
    yield from refused()
    yield from refused_forward()


def batch():
    yield make("bn_eps_momentum", cfg={"type": "BN", "eps": 1e-3, "momentum": 0.3}, given=True)
    yield make("bn_momentum_none", cfg={"type": "BN", "momentum": None}, given=True)
    yield make("bn_momentum_zero", cfg={"type": "BN", "momentum": 0}, given=True)
    yield make("bn_no_affine", cfg={"type": "BN", "affine": False})
    yield make("bn_no_tracking", cfg={"type": "BN", "track_running_stats": False})
    yield make("bn_no_tracking_eval", cfg={"type": "BN", "track_running_stats": False}, train=False)
    yield make("bn_bare", cfg={"type": "BN", "track_running_stats": False, "affine": False})
    yield make("bn_frozen", cfg={"type": "BN", "requires_grad": False})
    yield make("bn_frozen_eval", cfg={"type": "BN", "requires_grad": False}, train=False)
    yield make("bn_float64_given", cfg={"type": "BN"}, given=True, dtype=torch.float64)
    yield make("bn_empty_eval", cfg={"type": "BN"}, inputs={"x": (0, 4, 3, 5)}, train=False)
    yield make("bn_empty_train", cfg={"type": "BN"}, inputs={"x": (0, 4, 3, 5)}, backward=False)
    yield make("bn1d_rows", cfg={"type": "BN1d"}, inputs={"x": (5, 4)})
    yield make("bn_eps_zero_eval", cfg={"type": "BN", "eps": 0.0}, train=False, given=True)
    yield make("sync_rows", cfg={"type": "SyncBN"}, inputs={"x": (5, 4)})
    yield make("sync_volume", cfg={"type": "SyncBN", "momentum": 0.2}, inputs={"x": (2, 4, 2, 3, 2)}, given=True)
    yield make("sync_frozen", cfg={"type": "SyncBN", "requires_grad": False}, train=False)


def instance():
    yield make("in_affine", cfg={"type": "IN", "affine": True})
    yield make("in_tracking", cfg={"type": "IN", "track_running_stats": True})
    yield make(
        "in_tracking_eval", cfg={"type": "IN", "track_running_stats": True, "affine": True}, train=False, given=True
    )
    yield make("in_momentum", cfg={"type": "IN2d", "track_running_stats": True, "momentum": 0.4}, given=True)
    yield make("in_momentum_none", cfg={"type": "IN", "track_running_stats": True, "momentum": None}, given=True)
    yield make("in_frozen", cfg={"type": "IN", "affine": True, "requires_grad": False})
    yield make("in_other_channels", cfg={"type": "IN"}, inputs={"x": (2, 3, 4, 4)})
    yield make("in_one_picture", cfg={"type": "IN2d", "affine": True}, inputs={"x": (4, 3, 3)})
    yield make("in1d_one_row", cfg={"type": "IN1d"}, inputs={"x": (4, 6)})
    yield make("in3d_affine", cfg={"type": "IN3d", "affine": True, "eps": 1e-3}, inputs={"x": SHAPES[3]}, given=True)


def group_and_layer():
    yield make("gn_eps", cfg={"type": "GN", "num_groups": 4, "eps": 0.1}, given=True)
    yield make("gn_no_affine", cfg={"type": "GN", "num_groups": 1, "affine": False})
    yield make("gn_frozen", cfg={"type": "GN", "num_groups": 2, "requires_grad": False})
    yield make("gn_rows", cfg={"type": "GN", "num_groups": 2}, inputs={"x": (3, 4)})
    yield make("gn_volume", cfg={"type": "GN", "num_groups": 2}, inputs={"x": (2, 4, 2, 3, 2)})
    yield make("gn_empty", cfg={"type": "GN", "num_groups": 2}, inputs={"x": (0, 4, 3, 5)}, backward=False)
    yield make("ln_list", cfg={"type": "LN"}, kwargs={"num_features": [3, 5]}, given=True)
    yield make("ln_eps", cfg={"type": "LN", "eps": 0.01}, kwargs={"num_features": 5})
    yield make("ln_no_affine", cfg={"type": "LN", "elementwise_affine": False}, kwargs={"num_features": 5})
    yield make("ln_no_bias", cfg={"type": "LN", "bias": False}, kwargs={"num_features": 5}, given=True)
    yield make("ln_frozen", cfg={"type": "LN", "requires_grad": False}, kwargs={"num_features": 5, "postfix": 2})
    yield make("ln_vector", cfg={"type": "LN"}, kwargs={"num_features": 4}, inputs={"x": (4,)})
    yield make(
        "ln_float64", cfg={"type": "LN", "elementwise_affine": False}, kwargs={"num_features": 5}, dtype=torch.float64
    )


def refused():
    build = partial(make, inputs={})
    yield build("error_none", cfg=None, error=[])
    yield build("error_no_dict", cfg="BN", error=[])
    yield build("error_no_type", cfg={"eps": 1e-5}, error=["type"])
    yield build("error_unknown_type", cfg={"type": "BNN"}, error=["BNN"])
    yield build("error_unknown_key", cfg={"type": "BN", "epsilon": 1e-5}, error=["epsilon"])
    yield build("error_group_key_for_batch", cfg={"type": "BN", "num_groups": 2}, error=["num_groups"])
    yield build("error_momentum_for_group", cfg={"type": "GN", "num_groups": 2, "momentum": 0.1}, error=["momentum"])
    yield build("error_affine_for_layer", cfg={"type": "LN", "affine": False}, error=["affine"])
    yield build("error_num_groups_missing", cfg={"type": "GN"}, error=["num_groups"])
    yield build("error_num_groups_divides", cfg={"type": "GN", "num_groups": 3}, error=["num_groups"])
    yield build("error_num_features_twice", cfg={"type": "BN", "num_features": 4}, error=["num_features"])
    yield build(
        "error_num_channels_twice", cfg={"type": "GN", "num_groups": 2, "num_channels": 4}, error=["num_channels"]
    )
    yield build("error_num_features_missing", cfg={"type": "BN"}, kwargs={}, error=["num_features"])
    yield build("error_postfix", cfg={"type": "BN"}, kwargs={"num_features": 4, "postfix": 1.5}, error=["postfix"])
    yield build(
        "error_postfix_none", cfg={"type": "BN"}, kwargs={"num_features": 4, "postfix": None}, error=["postfix"]
    )
    yield build("error_unknown_argument", cfg={"type": "BN"}, kwargs={"num_features": 4, "prefix": 1}, error=["prefix"])


def refused_forward():
    yield make("error_bn_rank", cfg={"type": "BN"}, inputs={"x": (3, 4, 5)}, error=[])
    yield make("error_bn1d_rank", cfg={"type": "BN1d"}, error=[])
    yield make("error_bn3d_rank", cfg={"type": "BN3d"}, error=[])
    yield make("error_sync_rank", cfg={"type": "SyncBN"}, inputs={"x": (4,)}, error=[])
    yield make("error_in_rank", cfg={"type": "IN"}, inputs={"x": (2, 4)}, error=[])
    yield make("error_bn_channels", cfg={"type": "BN"}, inputs={"x": (2, 5, 3, 3)}, error=[])
    yield make("error_gn_channels", cfg={"type": "GN", "num_groups": 2}, inputs={"x": (2, 6, 3, 3)}, error=[])
    yield make("error_ln_shape", cfg={"type": "LN"}, error=[])
    yield make("error_in_affine_channels", cfg={"type": "IN", "affine": True}, inputs={"x": (2, 3, 4, 4)}, error=[])
    yield make("error_bn_one_value", cfg={"type": "BN"}, inputs={"x": (1, 4, 1, 1)}, error=[])
    yield make("error_sync_one_value", cfg={"type": "SyncBN"}, inputs={"x": (1, 4)}, error=[])
    yield make(
        "error_gn_one_value_eval",
        cfg={"type": "GN", "num_groups": 4},
        inputs={"x": (1, 4, 1, 1)},
        train=False,
        error=[],
    )
    yield make("error_in_one_element", cfg={"type": "IN"}, inputs={"x": (2, 4, 1, 1)}, error=[])
    yield make("error_in_one_element_eval", cfg={"type": "IN"}, inputs={"x": (2, 4, 1, 1)}, train=False, error=[])
    yield make("error_bn_eps_zero", cfg={"type": "BN", "eps": 0.0}, error=["eps"])
    yield make("error_bn_eps_negative_eval", cfg={"type": "BN", "eps": -1.0}, train=False, error=["eps"])


def draw(rng):
    kind = rng.choice(TYPES)
    channels = rng.choice([4, 6])
    cfg, features = {"type": kind}, channels
    dimensions = DIMENSIONS.get(kind, 2)
    if kind in {"SyncBN", "GN", "LN"}:
        dimensions = rng.choice([0, 1, 2, 3])
    if kind == "BN1d":
        dimensions = rng.choice([0, 1])
    shape = tuple(rng.choice([1, 2, 3, 4]) for _ in range(dimensions))
    full = (rng.choice([0, 1, 2, 3, 4, 4]), channels, *shape)
    if kind.startswith("IN") and rng.random() < 0.2:
        full = full[1:]
    maybe(rng, cfg, "eps", [1e-5, 1e-3, 0.1, 1, 0.0, 1e-12])
    maybe(rng, cfg, "requires_grad", [True, False], 0.3)
    if kind == "GN":
        cfg["num_groups"] = rng.choice([1, 2, channels])
        maybe(rng, cfg, "affine", [True, False])
    elif kind == "LN":
        features = list(full[rng.randrange(len(full)) :]) if rng.random() < 0.5 else full[-1]
        maybe(rng, cfg, "elementwise_affine", [True, False])
        maybe(rng, cfg, "bias", [True, False])
    else:
        maybe(rng, cfg, "momentum", [None, 0.1, 0.9, 0, 1, 0.01])
        maybe(rng, cfg, "affine", [True, False])
        maybe(rng, cfg, "track_running_stats", [True, False])
    kwargs = {"num_features": features}
    maybe(rng, kwargs, "postfix", [0, 1, 12, "", "a", "_x1"])
    given = rng.random() < 0.6
    return Case(
        "",
        "norm",
        cfg,
        kwargs,
        inputs={"x": full},
        seed=rng.randrange(1000),
        given=given,
        dtype=torch.float64 if given and rng.random() < 0.2 else torch.float32,
        train=rng.random() < 0.6,
        backward=rng.random() < 0.85,
    )
