"""mmpretrain's `Res2Net`."""

from groups.options import maybe
from groups.residual import RULES, draw_options, make, random_case

ONE_STAGE = {"stem_channels": 8, "base_channels": 4, "num_stages": 1, "strides": [1], "dilations": [1], "out_indices": [0]}
SCALES = {"scales": 3, "base_width": 2}


def of_depth(name, depth, shape=(2, 3, 24, 24), more=None, **options):
    return make(name, {"type": "Res2Net", "depth": depth, **options}, shape, more)


def fixed():
    evaluation, initialized = {"train": False}, {"init_weights": True, "seed": 5}
    yield of_depth("build_50_init", 50, None, initialized)
    yield of_depth("narrow_eval", 50, (1, 3, 40, 40), evaluation, stem_channels=8, base_channels=4)
    yield of_depth("train", 50, **ONE_STAGE, **SCALES, more=initialized)
    yield of_depth("two_scales", 50, **ONE_STAGE | {"strides": [2]}, scales=2, base_width=3, more=evaluation)
    yield of_depth("plain", 50, **ONE_STAGE | {"strides": [2]}, **SCALES, deep_stem=False, avg_down=False, style="caffe")
    yield of_depth("dilated", 50, **ONE_STAGE | {"dilations": [2]}, **SCALES, drop_path_rate=0.5, more={"forward_seed": 1})
    yield of_depth("rules", 50, None, initialized, **ONE_STAGE, **SCALES, init_cfg=RULES[3])
    yield of_depth("frozen", 50, **ONE_STAGE, **SCALES, frozen_stages=1)
    yield of_depth("error_depth", 34, None, {"error": ["depth", "34", "50", "101", "152"]})
    yield of_depth("error_scales", 50, None, {"error": ["scales", "1"]}, scales=1)


def draw(rng):
    cfg = {"type": "Res2Net", "depth": rng.choice([50, 50, 101])}
    cfg |= {"stem_channels": rng.choice([4, 8]), "base_channels": rng.choice([2, 4, 6])}
    maybe(rng, cfg, "scales", [2, 3, 4, 6], 0.7)
    maybe(rng, cfg, "base_width", [14, 26, 48, 3], 0.5)
    draw_options(rng, cfg)
    maybe(rng, cfg, "deep_stem", [True, False])
    maybe(rng, cfg, "drop_path_rate", [0.0, 0.1, 0.5], 0.3)
    maybe(rng, cfg, "expansion", [2, 4], 0.2)
    return random_case(rng, cfg)
