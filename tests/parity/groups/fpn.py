"""mmdetection's `FPN`. Its forward pass takes the stages of a backbone, which the cases name `x0`, `x1`, ..."""

from case import Case
from groups.options import maybe

SIZES = [(12, 9), (6, 5), (3, 3), (2, 1)]


def make(name, channels=(4, 6, 8), out_channels=5, num_outs=3, sizes=SIZES, samples=2, more=None, **options):
    cfg = {"type": "FPN", "in_channels": list(channels), "out_channels": out_channels, "num_outs": num_outs, **options}
    inputs = {f"x{index}": (samples, count, *size) for index, (count, size) in enumerate(zip(channels, sizes))}
    tolerance = {} if more and "error" in more else {"rtol": 1e-4, "atol": 1e-4}
    return Case(name, "model", cfg, inputs=inputs, **tolerance, **(more or {}))


def fixed():
    init, build = {"init_weights": True, "seed": 1}, {"sizes": ()}
    yield make("resnet_init", [256, 512, 1024, 2048], 256, 5, **build, more={**init, "digest": True})
    yield make("retina_init", [256, 512, 1024, 2048], 256, 5, **build, start_level=1, add_extra_convs="on_input", more={**init, "digest": True})
    yield make("plain", more=init)
    yield make("pooled", num_outs=5, more={"seed": 2})
    yield make("one_level", [4], 5, 1)
    yield make("start_level", [4, 6, 8, 10], num_outs=4, start_level=1, more={"train": False, "given": True})
    yield make("end_level", [4, 6, 8, 10], num_outs=2, start_level=1, end_level=2, more=init)
    yield make("end_level_last", num_outs=4, end_level=2)
    for source in ["on_input", "on_lateral", "on_output"]:
        yield make(f"extra_{source}", num_outs=5, add_extra_convs=source, more=init)
        yield make(f"extra_relu_{source}", num_outs=6, add_extra_convs=source, relu_before_extra_convs=True, more={"given": True})
    yield make("extra_true", num_outs=4, add_extra_convs=True, start_level=1, more={"seed": 3})
    yield make("extra_none_needed", add_extra_convs="on_output")
    yield make("relu_without_convs", num_outs=5, relu_before_extra_convs=True)
    norm = {"norm_cfg": {"type": "GN", "num_groups": 5}}
    yield make("norm", **norm, more=init)
    yield make("no_norm_on_lateral", **norm, no_norm_on_lateral=True, act_cfg={"type": "ReLU"}, more=init)
    yield make("bn_train", norm_cfg={"type": "BN"}, num_outs=4, add_extra_convs=True, more={"seed": 4})
    yield make("conv_ws", conv_cfg={"type": "ConvWS"}, more=init)
    even = [(12, 8), (6, 4), (3, 2)]
    yield make("factor", sizes=even, upsample_cfg={"mode": "nearest", "scale_factor": 2})
    yield make("factor_default_mode", sizes=even, upsample_cfg={"scale_factor": 2.0})
    yield make("bilinear", upsample_cfg={"mode": "bilinear"}, more=init)
    yield make("bilinear_corners", upsample_cfg={"mode": "bilinear", "align_corners": True})
    rule = {"type": "Normal", "layer": "Conv2d", "std": 0.2, "bias": 0.1}
    yield make("init_cfg", init_cfg=rule, more=init)
    yield make("init_cfg_none", init_cfg=None, more=init)
    yield from refused(build)


def refused(build):
    yield make("error_num_outs", num_outs=2, **build, more={"error": ["num_outs", "2"]})
    yield make("error_num_outs_end", num_outs=3, end_level=1, **build, more={"error": ["num_outs", "3"]})
    yield make("error_end_level", num_outs=4, end_level=3, **build, more={"error": ["end_level", "3"]})
    yield make("error_extra_convs", add_extra_convs="on_top", **build, more={"error": ["add_extra_convs", "on_top"]})
    yield make("error_unknown_key", width=1, **build, more={"error": ["width"]})
    yield Case("error_no_channels", "model", {"type": "FPN", "out_channels": 4, "num_outs": 1}, error=["in_channels"])
    yield make("error_inputs", sizes=SIZES[:2], more={"error": ["2"]})
    yield make("error_factor", upsample_cfg={"scale_factor": 3}, more={"error": []})
    yield make("error_corners", upsample_cfg={"mode": "nearest", "align_corners": True}, more={"error": ["align_corners"]})


def draw(rng):
    count = rng.choice([1, 2, 3, 3, 4])
    channels = [rng.choice([2, 4, 6, 8]) for _ in range(count)]
    options = {}
    maybe(rng, options, "start_level", list(range(count)), 0.5)
    maybe(rng, options, "end_level", [-1, *range(options.get("start_level", 0), count)], 0.4)
    last = options.get("end_level", -1) % count
    used = last - options.get("start_level", 0) + 1
    extra = rng.choice([0, 1, 2, 3]) if last == count - 1 else 0
    maybe(rng, options, "add_extra_convs", [True, False, "on_input", "on_lateral", "on_output"], 0.7)
    maybe(rng, options, "relu_before_extra_convs", [True, False])
    maybe(rng, options, "no_norm_on_lateral", [True, False])
    maybe(rng, options, "norm_cfg", [{"type": "BN"}, {"type": "GN", "num_groups": 2}, {"type": "SyncBN"}])
    maybe(rng, options, "act_cfg", [{"type": "ReLU"}, {"type": "LeakyReLU"}, None])
    maybe(rng, options, "conv_cfg", [{"type": "Conv2d"}, {"type": "ConvWS"}, {"type": "Conv2dAdaptivePadding"}], 0.3)
    maybe(rng, options, "upsample_cfg", [{"mode": "nearest"}, {"mode": "bilinear", "align_corners": rng.random() < 0.5}, {}])
    maybe(rng, options, "init_cfg", [None, {"type": "Kaiming", "layer": "Conv2d"}, {"type": "Caffe2Xavier", "layer": "Conv2d"}], 0.3)
    sizes = [(rng.randint(8, 16), rng.randint(8, 16))]
    for _ in range(3):
        sizes.append(tuple((side + 1) // 2 for side in sizes[-1]))
    more = {
        "seed": rng.randrange(10**6),
        "given": rng.random() < 0.3,
        "train": rng.random() < 0.6,
        "init_weights": rng.random() < 0.5,
        "backward": rng.random() < 0.8,
    }
    return make("", channels, rng.choice([2, 4, 6]), used + extra + rng.choice([0] * 9 + [-1]), sizes, rng.choice([1, 2]), more, **options)
