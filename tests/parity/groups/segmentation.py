"""mmsegmentation's heads. Their forward pass takes the stages of a backbone, which the cases name `x0`, `x1`, ..."""

from case import Case
from groups.options import maybe

MAPS = [(4, 8, 7), (6, 4, 4)]
CONCAT = {"in_channels": [4, 6], "in_index": [0, 1], "input_transform": "resize_concat"}
BN = {"type": "BN"}
# Batch norms of few numbers magnify how processors with other instructions round.
ROUNDED = {"atol": 1e-4}


def make(name, kind, maps=MAPS, samples=2, more=None, **options):
    cfg = {"type": kind, "in_channels": 6, "channels": 5, "num_classes": 3, **options}
    inputs = {f"x{index}": (samples, *shape) for index, shape in enumerate(maps)}
    return Case(name, "model", cfg, inputs=inputs, **(more or {}))


def fixed():
    init, evaluation = {"init_weights": True, "seed": 1, "forward_seed": 2}, {"train": False, "seed": 2}
    for kind, shape in [("FCNHead", {}), ("PSPHead", {"pool_scales": [1, 2]}), ("ASPPHead", {"dilations": [1, 2, 3]})]:
        name = kind.removesuffix("Head").lower()
        yield make(f"{name}_init", kind, **shape, more=init)
        yield make(f"{name}_eval", kind, **shape, norm_cfg=BN, more={**evaluation, "given": True})
        yield make(f"{name}_train", kind, **shape, norm_cfg=BN, dropout_ratio=0.4, more=init)
        yield make(f"{name}_concat", kind, **shape, **CONCAT, align_corners=True, more=evaluation)
        yield make(f"{name}_concat_backward", kind, **shape, **CONCAT | {"in_index": [0, -1]}, more={"forward_seed": 3, **ROUNDED})
        yield make(f"{name}_in_index", kind, **shape, in_channels=4, in_index=0, act_cfg={"type": "LeakyReLU"}, more=evaluation)
        yield make(f"{name}_binary", kind, **shape, num_classes=2, out_channels=1, threshold=0.2, dropout_ratio=0, more=init)
        yield make(f"{name}_conv_ws", kind, **shape, conv_cfg={"type": "ConvWS"}, init_cfg=None, more=init | ROUNDED)
    yield make("fcn_full_init", "FCNHead", (), in_channels=2048, channels=512, num_classes=19, norm_cfg=BN, more={**init, "digest": True})
    yield make("psp_full_init", "PSPHead", (), in_channels=512, channels=128, num_classes=19, norm_cfg=BN, more={**init, "digest": True})
    yield make("aspp_full_init", "ASPPHead", (), in_channels=512, channels=128, num_classes=19, norm_cfg=BN, more={**init, "digest": True})
    yield make("fcn_no_convs", "FCNHead", channels=6, num_convs=0, more=init)
    yield make("fcn_only_last", "FCNHead", channels=6, num_convs=0, concat_input=False, more=init)
    yield make("fcn_one_conv", "FCNHead", num_convs=1, concat_input=False, kernel_size=1, more=evaluation)
    yield make("fcn_dilation", "FCNHead", num_convs=3, dilation=2, kernel_size=5, more=evaluation)
    losses = [{"type": "CrossEntropyLoss", "loss_name": "loss_ce"}, {"type": "CrossEntropyLoss", "loss_weight": 0.4}]
    training = {"loss_decode": losses, "ignore_index": None, "sampler": {"type": "OHEMPixelSampler", "thresh": 0.7}}
    yield make("fcn_training_arguments", "FCNHead", **training, more=evaluation)
    yield make("psp_scales", "PSPHead", pool_scales=[3, 5, 1], align_corners=True, more=evaluation)
    yield make("psp_no_scales", "PSPHead", pool_scales=[], more=evaluation)
    yield make("aspp_corners", "ASPPHead", dilations=[1, 1], align_corners=True, more=evaluation)
    yield make("aspp_default_dilations", "ASPPHead", [(6, 14, 13)], more=evaluation)
    yield from refused()


def refused():
    def error(name, kind="FCNHead", maps=(), words=(), samples=2, **options):
        return make(f"error_{name}", kind, maps, samples, more={"error": list(words)}, **options)

    yield error("out_channels", words=["out_channels", "2"], out_channels=2)
    yield error("channels_list", words=["in_channels"], in_channels=[4, 6])
    yield error("concat_index", words=["in_index"], **CONCAT | {"in_index": 0})
    yield error("concat_lengths", words=["in_index"], **CONCAT | {"in_index": [0]})
    yield error("transform", words=["input_transform", "concat"], input_transform="concat")
    yield error("multiple_select", words=["input_transform"], **CONCAT | {"input_transform": "multiple_select"})
    yield error("num_convs", words=["num_convs", "-1"], num_convs=-1)
    yield error("no_convs_channels", words=["channels"], num_convs=0)
    yield error("dilation", words=["dilation"], dilation=0)
    yield error("dropout", words=["dropout_ratio"], dropout_ratio=1.5)
    yield error("unknown_key", words=["contrast"], contrast=True)
    yield error("num_classes", words=["num_classes"], num_classes=None)
    yield error("index", maps=MAPS, words=["in_index", "2"], in_index=2)
    yield error("map", maps=MAPS, words=["6"], in_index=0)
    yield error("psp_scales", "PSPHead", words=["pool_scales"], pool_scales=3)
    yield error("aspp_dilations", "ASPPHead", words=["dilations"], dilations=6)
    yield error("aspp_one_value", "ASPPHead", [(6, 4, 4)], samples=1, norm_cfg=BN)


def draw(rng):
    kind = rng.choice(["FCNHead", "PSPHead", "ASPPHead"])
    options, maps = {}, [(rng.choice([2, 4, 6]), rng.randint(3, 12), rng.randint(3, 12)) for _ in range(rng.choice([1, 2, 3]))]
    if rng.random() < 0.4:
        options["in_index"] = [rng.randrange(-len(maps), len(maps)) for _ in range(rng.choice([1, 2, 3]))]
        options["in_channels"] = [maps[index][0] for index in options["in_index"]]
        options["input_transform"] = "resize_concat"
    else:
        index = options["in_index"] = rng.randrange(-len(maps), len(maps))
        options["in_channels"] = maps[index][0]
    options["channels"] = rng.choice([2, 4, 6])
    if kind == "FCNHead":
        maybe(rng, options, "num_convs", [0, 1, 1, 2, 3], 0.6)
        maybe(rng, options, "kernel_size", [1, 3, 5])
        maybe(rng, options, "concat_input", [True, False])
        maybe(rng, options, "dilation", [1, 2, 3])
    elif kind == "PSPHead":
        maybe(rng, options, "pool_scales", [[1], [2, 3], [1, 4, 2]], 0.7)
    else:
        maybe(rng, options, "dilations", [[1], [2, 3], [1, 4, 2]], 0.7)
    maybe(rng, options, "num_classes", [1, 2, 3, 5], 1.0)
    maybe(rng, options, "out_channels", [1, options["num_classes"], None, 4], 0.3)
    maybe(rng, options, "dropout_ratio", [0, 0.0, 0.3, 1.0, -1])
    maybe(rng, options, "norm_cfg", [BN, {"type": "GN", "num_groups": 2}, {"type": "SyncBN"}, None])
    maybe(rng, options, "act_cfg", [{"type": "ReLU6"}, {"type": "GELU"}, None])
    maybe(rng, options, "conv_cfg", [{"type": "Conv2d"}, {"type": "ConvWS"}], 0.3)
    maybe(rng, options, "align_corners", [True, False])
    maybe(rng, options, "init_cfg", [None, {"type": "Kaiming", "layer": "Conv2d"}], 0.3)
    more = {
        "seed": rng.randrange(10**6),
        "given": rng.random() < 0.3,
        "train": rng.random() < 0.6,
        "init_weights": rng.random() < 0.5,
        "backward": rng.random() < 0.8,
        "forward_seed": rng.randrange(100),
    }
    return make("", kind, maps, rng.choice([1, 2, 2]), more, **options)
