"""mmpretrain's and mmsegmentation's `MobileNetV2`, with small inputs, and with digests in place of the state tensors."""

from case import Case
from groups.options import maybe

LARGEST = 16  # elements of a recorded gradient or buffer


def make(name, shape=(2, 3, 24, 24), more=None, **options):
    settings = {"digest": True, "largest": LARGEST, "rtol": 1e-4, "atol": 1e-4, **(more or {})}
    if "error" in settings:
        settings |= {"rtol": None, "atol": None}
    return Case(name, "model", {"type": "MobileNetV2", **options}, inputs={"x": shape} if shape else {}, **settings)


def fixed():
    narrow, evaluation = {"widen_factor": 0.1, "out_indices": [0, 2]}, {"train": False}
    yield make("build_init", None, more={"init_weights": True, "seed": 1})
    yield make("build_wide", None, widen_factor=1.4, more={"seed": 2})
    yield make("default_eval", (1, 3, 24, 24), more={**evaluation, "backward": False})
    yield make("narrow_train_init", **narrow, more={"init_weights": True, "seed": 7})
    yield make("narrow_stages", (1, 3, 17, 23), widen_factor=0.1, out_indices=[0, 1, 2, 3, 4, 5, 6], more=evaluation)
    yield make("frozen", **narrow, frozen_stages=1)
    yield make("norm_eval", (1, 3, 24, 24), **narrow, norm_eval=True)
    yield make(
        "gn", widen_factor=0.1, norm_cfg={"type": "GN", "num_groups": 4}, more={"init_weights": True, "backward": False}
    )
    yield make(
        "init_constant",
        None,
        widen_factor=0.1,
        init_cfg={"type": "Constant", "val": 0.1, "layer": "Conv2d"},
        more={"init_weights": True},
    )
    mmseg = {"type": "mmseg.MobileNetV2", "widen_factor": 0.1}
    yield make("mmseg_init", (1, 3, 32, 32), **mmseg, more={**evaluation, "init_weights": True, "seed": 3})
    dilated = {"strides": [1, 2, 2, 1, 1, 1, 1], "dilations": [1, 1, 1, 2, 2, 4, 4]}
    yield make("mmseg_dilated", (2, 3, 40, 33), **mmseg, **dilated, more={**evaluation, "seed": 4})
    yield make("mmseg_frozen", (2, 3, 33, 40), **mmseg, **dilated, frozen_stages=2, norm_eval=True, more={"seed": 5})
    yield make("error_mmseg_last_stage", None, **mmseg, out_indices=[7], more={"error": ["out_indices", "7"]})
    yield make("error_mmseg_strides", None, **mmseg, strides=[1, 2], more={"error": ["strides"]})
    yield make("error_mmseg_stride", None, **mmseg, strides=[1, 2, 2, 3, 1, 1, 1], more={"error": ["strides", "3"]})
    yield make("error_out_indices", None, out_indices=[8], more={"error": ["out_indices", "8"]})
    yield make("error_frozen_stages", None, frozen_stages=8, more={"error": ["frozen_stages", "8"]})
    yield make("error_unknown_key", None, width=1.0, more={"error": ["width"]})
    yield make("error_norm_type", None, norm_cfg={"type": "BNX"}, more={"error": ["BNX"]})
    yield make("error_channels", (1, 1, 8, 8), more={"error": ["1"]})
    yield make("error_one_value", (1, 3, 8, 8), more={"error": []})


def draw(rng):
    cfg = {"type": "MobileNetV2", "widen_factor": rng.choice([0.1, 0.25, 0.35, 0.5])}
    cfg["out_indices"] = sorted(rng.sample(range(8 if rng.random() < 0.2 else 5), rng.randint(1, 3)))
    maybe(rng, cfg, "frozen_stages", [-1, 0, 2, 5])
    maybe(rng, cfg, "norm_eval", [True, False])
    maybe(
        rng,
        cfg,
        "norm_cfg",
        [
            {"type": "BN", "momentum": 0.3},
            {"type": "SyncBN"},
            {"type": "GN", "num_groups": 2},
            {"type": "BN", "requires_grad": False},
            {"type": "BN2d", "eps": 0.01},
        ],
    )
    maybe(
        rng,
        cfg,
        "act_cfg",
        [{"type": "ReLU"}, {"type": "LeakyReLU"}, {"type": "ELU"}, {"type": "PReLU"}, {"type": "GELU"}],
    )
    maybe(rng, cfg, "conv_cfg", [{"type": "Conv2d"}, {"type": "Conv", "padding_mode": "reflect"}], 0.3)
    maybe(rng, cfg, "with_cp", [True, False], 0.2)
    return Case(
        "",
        "model",
        cfg,
        inputs={"x": (rng.choice([1, 2, 3]), 3, rng.choice([32, 40, 50]), rng.choice([32, 45]))},
        seed=rng.randrange(10**6),
        digest=True,
        largest=LARGEST,
        rtol=1e-4,
        atol=1e-4,
        init_weights=rng.random() < 0.4,
        train=rng.random() < 0.5,
        backward=rng.random() < 0.7,
    )
