"""`build_upsample_layer`: nearest, bilinear, deconv, pixel_shuffle."""

from functools import partial

import torch

from case import Case
from groups.options import maybe, per_dimension, split

make = partial(Case, builder="upsample", inputs={"x": (2, 4, 3, 4)})


def deconv(**more):
    return {"in_channels": 4, "out_channels": 2, "kernel_size": 3, **more}


def shuffle(**more):
    return {"in_channels": 4, "out_channels": 2, "scale_factor": 2, "upsample_kernel": 3, **more}


def fixed():
    nearest, bilinear = {"type": "nearest"}, {"type": "bilinear"}
    for cfg in [nearest, bilinear]:
        kind = cfg["type"]
        yield make(f"{kind}_scale", cfg={**cfg, "scale_factor": 2})
        yield make(f"{kind}_scale_float", cfg=cfg, kwargs={"scale_factor": 1.7}, train=False)
        yield make(f"{kind}_scale_list", cfg={**cfg, "scale_factor": [2, 1.5]})
        yield make(f"{kind}_size", cfg={**cfg, "size": 5})
        yield make(f"{kind}_size_list", cfg=cfg, kwargs={"size": [2, 7]})
        yield make(f"{kind}_recompute", cfg={**cfg, "scale_factor": 2.6, "recompute_scale_factor": True})
        yield make(f"{kind}_float64", cfg={**cfg, "scale_factor": 3}, dtype=torch.float64)
        yield make(f"{kind}_empty", cfg={**cfg, "scale_factor": 2}, inputs={"x": (0, 4, 3, 4)})
        yield make(f"{kind}_mode_ignored", cfg={**cfg, "scale_factor": 2, "mode": "bicubic"})
    yield make("nearest_row", cfg={"type": "nearest", "scale_factor": 2}, inputs={"x": (2, 4, 5)})
    yield make("nearest_volume", cfg={"type": "nearest", "scale_factor": [1, 2, 3]}, inputs={"x": (1, 2, 2, 2, 2)})
    yield make("bilinear_corners", cfg={"type": "bilinear", "scale_factor": 2, "align_corners": True})
    yield make("bilinear_no_corners", cfg={"type": "bilinear", "size": [4, 4], "align_corners": False})
    yield make("bilinear_scale_corners", cfg={"type": "bilinear", "scale_factor": [1.3, 2.2], "align_corners": True})
    yield make("deconv", cfg={"type": "deconv"}, kwargs=deconv())
    yield make("deconv_stride", cfg={"type": "deconv"}, kwargs=deconv(stride=2, padding=1, output_padding=1), seed=5)
    yield make(
        "deconv_lists",
        cfg={"type": "deconv"},
        kwargs=deconv(kernel_size=[2, 3], stride=[3, 2], padding=[0, 1], dilation=[1, 2]),
    )
    yield make(
        "deconv_groups", cfg={"type": "deconv", "groups": 2, "bias": False}, kwargs=deconv(out_channels=6), given=True
    )
    yield make("deconv_eval", cfg={"type": "deconv", **deconv(stride=2)}, train=False)
    yield make("deconv_one_picture", cfg={"type": "deconv"}, kwargs=deconv(), inputs={"x": (4, 3, 3)})
    yield make("pixel_shuffle", cfg={"type": "pixel_shuffle", **shuffle()}, seed=9)
    yield make(
        "pixel_shuffle_kernels",
        cfg={"type": "pixel_shuffle", "upsample_kernel": 5},
        kwargs={"in_channels": 4, "out_channels": 1, "scale_factor": 3},
    )
    yield make(
        "pixel_shuffle_even", cfg={"type": "pixel_shuffle"}, kwargs=shuffle(upsample_kernel=2), train=False, given=True
    )
    yield make("pixel_shuffle_init", cfg={"type": "pixel_shuffle"}, kwargs=shuffle(), init_weights=True)
    yield make(
        "pixel_shuffle_empty",
        cfg={"type": "pixel_shuffle"},
        kwargs=shuffle(),
        inputs={"x": (0, 4, 3, 4)},
        backward=False,
    )
    yield from refused()
    yield from refused_forward()


def refused():
    build = partial(make, inputs={})
    yield build("error_none", cfg=None, kwargs={"scale_factor": 2}, error=[])
    yield build("error_no_type", cfg={"scale_factor": 2}, error=["type"])
    yield build("error_unknown_type", cfg={"type": "bicubicc", "scale_factor": 2}, error=["bicubicc"])
    yield build("error_unknown_key", cfg={"type": "nearest", "scale": 2}, error=["scale"])
    yield build(
        "error_scale_twice",
        cfg={"type": "nearest", "scale_factor": 2},
        kwargs={"scale_factor": 2},
        error=["scale_factor"],
    )
    yield build(
        "error_mode_argument", cfg={"type": "nearest", "scale_factor": 2}, kwargs={"mode": "nearest"}, error=["mode"]
    )
    yield build(
        "error_shuffle_scale_missing",
        cfg={"type": "pixel_shuffle"},
        kwargs={"in_channels": 4, "out_channels": 2, "upsample_kernel": 3},
        error=["scale_factor"],
    )
    yield build(
        "error_shuffle_kernel_missing",
        cfg={"type": "pixel_shuffle"},
        kwargs={"in_channels": 4, "out_channels": 2, "scale_factor": 2},
        error=["upsample_kernel"],
    )
    yield build(
        "error_shuffle_unknown_key", cfg={"type": "pixel_shuffle", "kernel": 3}, kwargs=shuffle(), error=["kernel"]
    )
    yield build(
        "error_deconv_missing",
        cfg={"type": "deconv"},
        kwargs={"in_channels": 4, "kernel_size": 3},
        error=["out_channels"],
    )
    yield build(
        "error_deconv_scale", cfg={"type": "deconv", "scale_factor": 2}, kwargs=deconv(), error=["scale_factor"]
    )
    yield build("error_deconv_groups", cfg={"type": "deconv"}, kwargs=deconv(groups=3), error=["in_channels"])
    yield build("error_deconv_padding_mode", cfg={"type": "deconv"}, kwargs=deconv(padding_mode="reflect"), error=[])


def refused_forward():
    yield make("error_no_scale", cfg={"type": "nearest"}, error=["scale_factor"])
    yield make("error_scale_zero", cfg={"type": "nearest", "scale_factor": 0}, error=["scale_factor"])
    yield make("error_both", cfg={"type": "nearest", "scale_factor": 2, "size": 4}, error=["size", "scale_factor"])
    yield make(
        "error_nearest_corners",
        cfg={"type": "nearest", "scale_factor": 2, "align_corners": True},
        error=["align_corners"],
    )
    yield make("error_bilinear_rank", cfg={"type": "bilinear", "scale_factor": 2}, inputs={"x": (2, 4, 3)}, error=[])
    yield make("error_nearest_rank", cfg={"type": "nearest", "scale_factor": 2}, inputs={"x": (4, 3)}, error=[])
    yield make("error_scale_length", cfg={"type": "nearest", "scale_factor": [2, 2, 2]}, error=[])
    yield make("error_size_length", cfg={"type": "bilinear", "size": [4]}, error=[])
    yield make(
        "error_recompute_size",
        cfg={"type": "nearest", "size": 4, "recompute_scale_factor": True},
        error=["recompute_scale_factor"],
    )
    yield make("error_scale_negative", cfg={"type": "nearest", "scale_factor": -1.0}, error=[])
    yield make(
        "error_shuffle_channels", cfg={"type": "pixel_shuffle"}, kwargs=shuffle(), inputs={"x": (2, 3, 3, 4)}, error=[]
    )
    yield make(
        "error_deconv_channels", cfg={"type": "deconv"}, kwargs=deconv(), inputs={"x": (2, 5, 3, 4)}, error=["5"]
    )
    yield make("error_deconv_output_padding", cfg={"type": "deconv"}, kwargs=deconv(output_padding=2), error=[])


def draw(rng):
    kind = rng.choice(["nearest", "bilinear", "deconv", "pixel_shuffle"])
    channels, options, shape = 4, {}, (rng.randint(2, 5), rng.randint(2, 5))
    if kind == "pixel_shuffle":
        options = {
            "in_channels": channels,
            "out_channels": rng.randint(1, 3),
            "scale_factor": rng.choice([1, 2, 3]),
            "upsample_kernel": rng.choice([1, 2, 3, 4, 5]),
        }
    elif kind == "deconv":
        groups = rng.choice([1, 2, 4])
        options = {
            "in_channels": channels,
            "out_channels": groups * rng.randint(1, 2),
            "kernel_size": per_dimension(rng, 2, [1, 2, 3]),
        }
        maybe(rng, options, "stride", [per_dimension(rng, 2, [1, 2, 3])], 0.6)
        maybe(rng, options, "padding", [per_dimension(rng, 2, [0, 1])])
        maybe(rng, options, "output_padding", [per_dimension(rng, 2, [0, 1])])
        maybe(rng, options, "dilation", [per_dimension(rng, 2, [1, 2])])
        maybe(rng, options, "bias", [True, False])
        maybe(rng, options, "padding_mode", ["zeros"], 0.2)
        if groups > 1:
            options["groups"] = groups
    else:
        if kind == "nearest":
            shape = tuple(rng.randint(2, 4) for _ in range(rng.choice([1, 2, 2, 3])))
        if rng.random() < 0.5:
            options["size"] = per_dimension(rng, len(shape), [1, 2, 3, 5, 8])
        else:
            options["scale_factor"] = per_dimension(rng, len(shape), [1, 2, 3, 0.5, 1.5, 2.3, 1 / 3])
            maybe(rng, options, "recompute_scale_factor", [True, False, None], 0.3)
        maybe(rng, options, "align_corners", [True, False, None] if kind == "bilinear" else [None], 0.5)
    cfg, kwargs = split(rng, options, options)
    given = rng.random() < 0.3
    plain = kind in {"nearest", "bilinear"}
    return Case(
        "",
        "upsample",
        {"type": kind, **cfg},
        kwargs,
        inputs={"x": (rng.choice([0, 1, 2, 2]), channels, *shape)},
        seed=rng.randrange(10**6),
        given=given,
        train=rng.random() < 0.6,
        backward=rng.random() < 0.8,
        init_weights=kind == "pixel_shuffle" and rng.random() < 0.3,
        dtype=torch.float64 if (plain or given) and rng.random() < 0.3 else torch.float32,
    )
