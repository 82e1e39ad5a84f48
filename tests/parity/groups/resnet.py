"""mmpretrain's `ResNet`, `ResNetV1c`, `ResNetV1d` and `ResNet_CIFAR`."""

from groups.options import maybe
from groups.residual import draw_options, make, random_case

NARROW = {"stem_channels": 8, "base_channels": 4}
ONE_STAGE = {**NARROW, "num_stages": 1, "strides": [1], "dilations": [1], "out_indices": [0]}
TWO_STAGES = {**NARROW, "num_stages": 2, "strides": [1, 2], "dilations": [1, 1], "out_indices": [0, 1]}
PLUGINS = [
    {"cfg": {"type": "ContextBlock", "ratio": 0.5}, "position": "after_conv3"},
    {"cfg": {"type": "ConvModule", "out_channels": 4, "kernel_size": 1, "postfix": 1}, "position": "after_conv1"},
    {"cfg": {"type": "NonLocal2d", "postfix": "_b"}, "stages": [True], "position": "after_conv2"},
    {"cfg": {"type": "ContextBlock", "ratio": 1.0}, "stages": [False], "position": "after_conv2"},
]


def of_depth(name, depth, shape=(2, 3, 24, 24), more=None, kind="ResNet", **options):
    return make(name, {"type": kind, "depth": depth, **options}, shape, more)


def fixed():
    evaluation, initialized = {"train": False}, {"init_weights": True, "seed": 5}
    yield of_depth("build_18", 18, None, {"seed": 1})
    yield of_depth("build_18_init", 18, None, initialized)
    yield of_depth("build_50_init", 50, None, initialized)
    yield of_depth("narrow_34_eval", 34, (1, 3, 33, 41), {**evaluation, **initialized}, **NARROW)
    yield of_depth("narrow_50_stages", 50, (1, 3, 40, 40), evaluation, **NARROW, out_indices=[0, 1, 2, 3])
    yield of_depth("basic_train", 18, **TWO_STAGES, more={**initialized})
    yield of_depth("basic_dilated", 18, **ONE_STAGE | {"dilations": [2], "strides": [2]})
    yield of_depth("bottleneck_train", 50, **ONE_STAGE, more=initialized)
    yield of_depth("caffe", 50, **ONE_STAGE | {"strides": [2]}, style="caffe", zero_init_residual=False, more=initialized)
    yield of_depth("frozen_stem", 18, **TWO_STAGES, frozen_stages=0)
    yield of_depth("frozen", 18, **TWO_STAGES, frozen_stages=1, norm_eval=True, more=initialized)
    yield of_depth("frozen_deep_stem", 18, **TWO_STAGES, frozen_stages=1, deep_stem=True)
    yield of_depth("norm_eval", 50, **ONE_STAGE, norm_eval=True)
    yield of_depth("v1c", 50, **ONE_STAGE, kind="ResNetV1c", more=initialized)
    yield of_depth("v1d", 18, **TWO_STAGES, kind="ResNetV1d", more={**evaluation, "seed": 3})
    yield of_depth("cifar_init", 18, None, kind="ResNet_CIFAR", more=initialized)
    yield of_depth("cifar", 18, (2, 3, 16, 16), **TWO_STAGES, kind="ResNet_CIFAR", more=initialized)
    yield of_depth("cifar_bottleneck", 50, (2, 3, 16, 12), **ONE_STAGE, kind="ResNet_CIFAR", avg_down=True, frozen_stages=0)
    yield of_depth("error_cifar_deep_stem", 18, None, {"error": ["deep_stem"]}, kind="ResNet_CIFAR", deep_stem=True)
    group_norm = {"type": "GN", "num_groups": 2, "requires_grad": True}
    yield of_depth("gn_ws", 50, **ONE_STAGE, norm_cfg=group_norm, conv_cfg={"type": "ConvWS"}, more=initialized)
    yield of_depth("sync_bn", 18, **ONE_STAGE, norm_cfg={"type": "SyncBN"}, more={**evaluation, **initialized})
    yield of_depth("expansion", 50, **ONE_STAGE, expansion=2, in_channels=4, shape=(2, 4, 24, 24))
    yield of_depth("drop_path", 18, (4, 3, 24, 24), {"forward_seed": 2}, **TWO_STAGES, drop_path_rate=0.5)
    yield of_depth("plugins", 50, (1, 3, 24, 24), initialized, **ONE_STAGE, plugins=PLUGINS)
    rule = {"type": "Normal", "std": 0.2, "override": {"name": "norm1", "type": "Constant", "val": 3.0, "bias": 0.5}}
    yield of_depth("override_norm1", 18, None, initialized, **ONE_STAGE, init_cfg=rule)
    yield of_depth("error_depth", 42, None, {"error": ["depth", "42", "18", "152"]})
    yield of_depth("error_num_stages", 18, None, {"error": ["num_stages", "5"]}, num_stages=5)
    yield of_depth("error_strides", 18, None, {"error": ["strides", "4"]}, strides=[1, 2])
    yield of_depth("error_out_indices", 18, None, {"error": ["out_indices", "4"]}, out_indices=[4])
    yield of_depth("error_no_stage", 18, None, {"error": ["out_indices"]}, out_indices=[])
    yield of_depth("error_frozen_stages", 18, None, {"error": ["frozen_stages", "5"]}, frozen_stages=5)
    yield of_depth("error_style", 50, None, {"error": ["style", "pytorch", "caffe"]}, style="tensorflow")
    yield of_depth("error_expansion", 18, None, {"error": ["expansion", "4"]}, expansion=4)
    yield of_depth("error_num_groups", 18, None, {"error": ["num_groups"]}, norm_cfg={"type": "GN", "num_groups": 3})
    plugin = {"cfg": {"type": "ContextBlock", "ratio": 0.5}, "position": "after_conv3"}
    yield of_depth("error_plugin_basic", 18, None, {"error": ["plugins"]}, plugins=[plugin])
    yield of_depth("error_plugin_twice", 50, None, {"error": ["postfix"]}, **ONE_STAGE, plugins=[plugin, plugin])
    yield of_depth("error_plugin_stages", 50, None, {"error": ["plugins[0].stages"]}, plugins=[{**plugin, "stages": [True]}])
    yield of_depth("error_plugin_position", 50, None, {"error": ["after_conv1"]}, plugins=[{**plugin, "position": "first"}])
    yield of_depth("error_unknown_key", 18, None, {"error": ["width"]}, width=1)
    yield of_depth("error_v1c_deep_stem", 50, None, {"error": ["deep_stem"]}, kind="ResNetV1c", deep_stem=True)
    yield make("error_no_depth", {"type": "ResNet"}, None, {"error": ["depth"]})
    yield of_depth("error_channels", 18, (1, 1, 8, 8), {"error": ["1"]}, **ONE_STAGE)
    yield of_depth("error_one_value", 18, (1, 3, 8, 8), {"error": []}, **NARROW)


def draw(rng):
    kind, depth = rng.choice(["ResNet", "ResNet", "ResNetV1c", "ResNetV1d", "ResNet_CIFAR"]), rng.choice([18, 18, 34, 50, 50, 101])
    cfg = {"type": kind, "depth": depth, "stem_channels": rng.choice([4, 8, 10]), "base_channels": rng.choice([2, 4, 6])}
    draw_options(rng, cfg)
    if kind == "ResNet":
        maybe(rng, cfg, "deep_stem", [True, False])
    elif kind != "ResNet_CIFAR":
        cfg.pop("avg_down", None)
    maybe(rng, cfg, "in_channels", [1, 3, 4], 0.2)
    maybe(rng, cfg, "drop_path_rate", [0.0, 0.1, 0.5], 0.3)
    if depth >= 50 and rng.random() < 0.2:
        cfg["plugins"] = draw_plugins(rng, cfg.get("num_stages", 4))
    if depth >= 50:
        maybe(rng, cfg, "expansion", [1, 2, 4, None], 0.3)
    return random_case(rng, cfg)


def draw_plugins(rng, stages):
    kinds = [
        {"type": "ContextBlock", "ratio": rng.choice([0.5, 1.0]), "postfix": rng.choice([1, "_x", ""])},
        {"type": "NonLocal2d", "sub_sample": rng.choice([True, False])},
        {"type": "GeneralizedAttention", "num_heads": 1, "attention_type": "0010", "kv_stride": 1},
    ]
    plugins = [{"cfg": cfg, "position": f"after_conv{rng.randint(1, 3)}"} for cfg in rng.sample(kinds, rng.randint(1, 3))]
    for plugin in plugins:
        if rng.random() < 0.4:
            plugin["stages"] = [rng.random() < 0.6 for _ in range(stages)]
    return plugins
