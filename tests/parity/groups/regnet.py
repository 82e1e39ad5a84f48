"""mmpretrain's `RegNet`."""

from groups.options import maybe
from groups.residual import draw_options, make, random_case

NAMES = ["400mf", "800mf", "1.6gf", "3.2gf", "4.0gf", "6.4gf", "8.0gf", "12gf"]
SMALL = {"w0": 8, "wa": 6.5, "wm": 2.1, "group_w": 4, "depth": 6, "bot_mul": 1.0}


def of_arch(name, arch, shape=(2, 3, 24, 24), more=None, **options):
    return make(name, {"type": "RegNet", "arch": arch, **options}, shape, more)


def stages(arch):
    """The number of stages that the reference makes of an arch."""
    import numpy

    line = numpy.arange(arch["depth"]) * arch["wa"] + arch["w0"]
    powers = numpy.round(numpy.log(line / arch["w0"]) / numpy.log(arch["wm"]))
    return len(numpy.unique(numpy.round(arch["w0"] * numpy.power(arch["wm"], powers) / 8)))


def fixed():
    evaluation, initialized = {"train": False}, {"init_weights": True, "seed": 5}
    geometry = {"strides": [2] * stages(SMALL), "dilations": [1] * stages(SMALL), "out_indices": [0, 1]}
    yield of_arch("build_400mf", "regnetx_400mf", None, {"seed": 1})
    yield of_arch("eval_400mf", "regnetx_400mf", (1, 3, 32, 32), {**evaluation, "backward": False}, out_indices=[0, 1, 2, 3])
    yield of_arch("small_train", SMALL, more=initialized, **geometry)
    yield of_arch("small_frozen", SMALL, **geometry, frozen_stages=1, norm_eval=True)
    yield of_arch("small_caffe", SMALL, **geometry, style="caffe", avg_down=True, stem_channels=4)
    yield of_arch("narrow_inside", {**SMALL, "bot_mul": 0.5}, **geometry, more=evaluation)
    yield of_arch("wide_inside", {**SMALL, "bot_mul": 2.0, "group_w": 3}, **geometry, more=evaluation)
    for index, (key, value) in enumerate([("wm", 1), ("wa", -1), ("w0", 10), ("depth", 0)]):
        yield of_arch(f"error_arch_{key}", {**SMALL, key: value}, None, {"error": [f"arch.{key}", str(value)]})
    yield of_arch("error_name", "regnety_400mf", None, {"error": ["arch", "regnety_400mf", "regnetx_400mf"]})
    yield of_arch("error_missing", {"w0": 8}, None, {"error": ["arch.wa"]})
    yield of_arch("error_many_stages", {**SMALL, "depth": 100}, None, {"error": ["arch"]})
    yield of_arch("error_deep_stem", "regnetx_400mf", None, {"error": ["deep_stem"]}, deep_stem=True)
    yield of_arch("error_num_stages", "regnetx_400mf", None, {"error": ["num_stages"]}, num_stages=2)


def draw(rng):
    arch = {
        "w0": rng.choice([8, 16, 24]),
        "wa": rng.choice([0.0, 3.3, 7.25, 16.0]),
        "wm": rng.choice([1.5, 2.0, 2.54, 3.1]),
        "group_w": rng.choice([1, 2, 3, 4, 8, 16]),
        "depth": rng.randint(1, 7),
        "bot_mul": rng.choice([1.0, 1.0, 0.5, 0.25, 2.0, 1.5]),
    }
    cfg = {"type": "RegNet", "arch": arch, "stem_channels": rng.choice([4, 8, 32])}
    draw_options(rng, cfg, min(stages(arch), 4))
    return random_case(rng, cfg)
