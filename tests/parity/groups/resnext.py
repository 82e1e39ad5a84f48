"""mmpretrain's `ResNeXt`."""

from groups.options import maybe
from groups.residual import draw_options, make, random_case

ONE_STAGE = {"stem_channels": 8, "base_channels": 4, "num_stages": 1, "strides": [1], "dilations": [1], "out_indices": [0]}
GROUPS = {"groups": 4, "width_per_group": 2}


def of_depth(name, depth, shape=(2, 3, 24, 24), more=None, **options):
    return make(name, {"type": "ResNeXt", "depth": depth, **options}, shape, more)


def fixed():
    evaluation, initialized = {"train": False}, {"init_weights": True, "seed": 5}
    yield of_depth("build_50", 50, None, {"seed": 1})
    yield of_depth("narrow_eval", 50, (1, 3, 40, 40), evaluation, stem_channels=8, base_channels=4, **GROUPS)
    yield of_depth("train", 50, **ONE_STAGE, **GROUPS, more=initialized)
    yield of_depth("caffe_v1d", 50, **ONE_STAGE | {"strides": [2]}, **GROUPS, style="caffe", deep_stem=True, avg_down=True)
    yield of_depth("one_group", 50, **ONE_STAGE, groups=1, width_per_group=64, more={**evaluation, **initialized})
    norm = {"type": "GN", "num_groups": 2, "requires_grad": True}
    yield of_depth("gn_ws", 50, **ONE_STAGE, **GROUPS, norm_cfg=norm, conv_cfg={"type": "ConvWS"}, more=initialized)
    yield of_depth("frozen", 50, **ONE_STAGE, **GROUPS, frozen_stages=1)
    yield of_depth("error_depth", 18, None, {"error": ["depth", "18", "50", "101", "152"]})
    yield of_depth("error_groups", 50, None, {"error": ["groups", "0"]}, groups=0)
    yield of_depth("error_unknown_key", 50, None, {"error": ["group", "groups"]}, group=32)


def draw(rng):
    cfg = {"type": "ResNeXt", "depth": rng.choice([50, 50, 101])}
    cfg |= {"stem_channels": rng.choice([4, 8]), "base_channels": rng.choice([2, 4, 6])}
    cfg |= {"groups": rng.choice([1, 2, 4, 8]), "width_per_group": rng.choice([1, 2, 3, 4])}
    draw_options(rng, cfg)
    maybe(rng, cfg, "deep_stem", [True, False])
    maybe(rng, cfg, "drop_path_rate", [0.0, 0.1, 0.5], 0.3)
    maybe(rng, cfg, "expansion", [1, 2, 4], 0.2)
    return random_case(rng, cfg)
