"""mmpretrain's `HRNet` and `HRFuseScales`, and mmpose's `HRNet`, with small inputs, and with digests in place of the state tensors."""

from case import Case
from groups.options import maybe

LARGEST = 24  # elements of a recorded gradient or buffer
SETTINGS = {"digest": True, "largest": LARGEST, "rtol": 1e-4, "atol": 1e-4}


def stage(modules, block, blocks, channels):
    count = len(channels)
    return {"num_modules": modules, "num_branches": count, "block": block, "num_blocks": blocks, "num_channels": channels}


def small(block="BASIC", width=4, modules=1):
    widths = [width * 2**index for index in range(4)]
    return {
        "stage1": stage(1, "BOTTLENECK", [1], [8]),
        "stage2": stage(1, block, [1] * 2, widths[:2]),
        "stage3": stage(modules, block, [1] * 3, widths[:3]),
        "stage4": stage(modules, block, [1] * 4, widths),
    }


def make(name, shape=None, more=None, type="HRNet", **cfg):
    settings = {**SETTINGS, **(more or {})}
    if "error" in settings:
        settings |= {"rtol": None, "atol": None}
    return Case(name, "model", {"type": type, **cfg}, inputs={"x": shape} if shape else {}, **settings)


def fixed():
    init, evaluation, forward = {"init_weights": True}, {"train": False}, {"backward": False}
    yield make("w18_init", None, arch="w18", more={**init, "seed": 3})
    yield make("w32_build", None, more={"seed": 4})
    yield make("w18_eval", (1, 3, 32, 32), arch="w18", more={**evaluation, **forward})
    yield make("small_train", (2, 3, 64, 64), extra=small(), more={**init, **forward, "seed": 5})
    yield make("small_eval", (1, 3, 32, 64), extra=small(modules=2), more=evaluation)
    yield make("bottlenecks", (1, 3, 32, 32), extra=small("BOTTLENECK"), zero_init_residual=True, more={**init, **evaluation})
    yield make("one_scale", (1, 1, 32, 32), extra=small(), in_channels=1, multiscale_output=False, more=evaluation)
    yield make("norm_eval", (2, 3, 32, 32), extra=small(), norm_eval=True)
    yield make("gn", (1, 3, 32, 32), extra=small(), norm_cfg={"type": "GN", "num_groups": 2}, more=evaluation)
    pose = {"type": "mmpose.HRNet"}
    yield make("mmpose_init", (1, 3, 32, 32), extra=small(), **pose, more={**init, **evaluation, "seed": 8})
    smooth = small() | {"upsample": {"mode": "bilinear", "align_corners": False}}
    smooth["stage4"]["multiscale_output"] = True
    yield make("mmpose_upsample", (1, 3, 64, 32), extra=smooth, **pose, more={**evaluation, "seed": 9})
    yield make("mmpose_train", (2, 3, 32, 64), extra=smooth, **pose, norm_eval=True, more={**init, "seed": 10})
    corners = small() | {"upsample": {"mode": "bilinear", "align_corners": True}}
    yield make("mmpose_align_corners", (1, 3, 32, 64), extra=corners, **pose, more={**evaluation, "seed": 11})
    wrong = small()
    wrong["stage3"]["num_blocks"] = [1, 1]
    yield make("error_num_blocks", None, extra=wrong, more={"error": ["num_blocks"]})
    yield make("error_arch", None, arch="w20", more={"error": ["arch", "w20"]})
    yield make("error_size", (1, 3, 40, 40), extra=small(), more={"error": []})
    yield make("error_unknown_key", None, width=18, more={"error": ["width"]})
    channels = [4, 8, 16, 32]
    fuse = {"type": "HRFuseScales", "in_channels": channels, "out_channels": 12}
    yield Case("fuse_scales_init", "model", fuse, seed=6, init_weights=True, digest=True)
    yield Case("fuse_scales_error", "model", {"type": "HRFuseScales"}, error=["in_channels"])
    head = {"type": "LinearClsHead", "num_classes": 5, "in_channels": 12}
    backbone = {"type": "HRNet", "extra": small()}
    cfg = {"type": "ImageClassifier", "backbone": backbone, "neck": [fuse, {"type": "GlobalAveragePooling"}], "head": head}
    yield Case("classifier", "model", cfg, inputs={"x": (1, 3, 32, 32)}, init_weights=True, train=False, **SETTINGS)


def draw_extra(rng):
    """Stages of which each has its own block, and branches of which each has its own length and width."""
    stages = {"stage1": stage(rng.choice([1, 2]), "BOTTLENECK", [rng.choice([1, 2])], [rng.choice([4, 8])])}
    width = rng.choice([2, 4, 6])
    for number in (2, 3, 4):
        ragged = rng.random() < 0.2
        widths = [rng.choice([2, 4, 6]) if ragged else width * 2**branch for branch in range(number)]
        blocks = [rng.choice([1, 1, 2]) for _ in range(number)]
        stages[f"stage{number}"] = stage(rng.choice([1, 1, 2]), rng.choice(["BASIC", "BOTTLENECK"]), blocks, widths)
    return stages


def draw(rng):
    cfg = {"type": "HRNet", "extra": draw_extra(rng)}
    maybe(rng, cfg, "norm_eval", [True, False])
    maybe(rng, cfg, "with_cp", [True, False], 0.2)
    maybe(rng, cfg, "zero_init_residual", [True, False])
    maybe(rng, cfg, "multiscale_output", [True, False])
    maybe(rng, cfg, "in_channels", [1, 3, 4], 0.3)
    batch_norms = [{"type": "BN", "momentum": 0.3}, {"type": "BN", "requires_grad": False}, {"type": "BN", "affine": False}]
    maybe(rng, cfg, "norm_cfg", batch_norms + [{"type": "SyncBN"}, {"type": "GN", "num_groups": 2}])
    maybe(rng, cfg, "conv_cfg", [{"type": name} for name in ("Conv2d", "ConvWS", "Conv2dAdaptivePadding")], 0.3)
    maybe(rng, cfg, "init_cfg", [None, {"type": "Normal", "layer": "Conv2d", "std": 0.02}], 0.2)
    return Case(
        "",
        "model",
        cfg,
        inputs={"x": (rng.choice([1, 2]), cfg.get("in_channels", 3), rng.choice([32, 64]), rng.choice([32, 64]))},
        seed=rng.randrange(10**6),
        init_weights=rng.random() < 0.4,
        train=rng.random() < 0.5,
        backward=rng.random() < 0.5,
        **SETTINGS,
    )
