"""Classes of mmdetection, mmsegmentation and mmpose. Each is imported alone: the packages as a whole need compiled operators."""

import importlib
import importlib.machinery
import importlib.util
import sys
import types
from pathlib import Path

# The packages whose `__init__` is skipped; their modules are imported as they are.
SKIPPED = {
    "mmdet": ["models", "models.necks", "utils"],
    "mmseg": ["models", "models.backbones", "models.decode_heads", "models.losses", "models.utils", "structures", "utils"],
    "mmpose": ["models", "models.backbones"],
}
# The names that a skipped `__init__` would have taken from its modules.
REEXPORTED = {
    "mmdet.utils": {"typing_utils": ["ConfigType", "MultiConfig", "OptConfigType"]},
    "mmseg.models.losses": {"accuracy": ["accuracy"], "cross_entropy_loss": ["CrossEntropyLoss"]},
    "mmseg.models.utils": {
        "inverted_residual": ["InvertedResidual"],
        "make_divisible": ["make_divisible"],
        "wrappers": ["resize"],
    },
    "mmpose": {"registry": ["MODELS"]},
}
CLASSES = {
    "FPN": "mmdet.models.necks.fpn",
    "FCNHead": "mmseg.models.decode_heads.fcn_head",
    "PSPHead": "mmseg.models.decode_heads.psp_head",
    "ASPPHead": "mmseg.models.decode_heads.aspp_head",
    "mmseg.MobileNetV2": "mmseg.models.backbones.mobilenet_v2",
    "mmpose.HRNet": "mmpose.models.backbones.hrnet",
}
PREPARED = set()
# The forward pass of these takes one list of maps.
TAKES_LIST = {"FPN", "FCNHead", "PSPHead", "ASPPHead", "CSRAClsHead"}


def skip(package):
    """A package without its `__init__`."""
    top = importlib.util.find_spec(package.partition(".")[0]) if "." not in package else None
    if top:
        folder = Path(top.submodule_search_locations[0])
    else:
        parent, _, name = package.rpartition(".")
        folder = Path(sys.modules[parent].__path__[0]) / name
    module = types.ModuleType(package)
    module.__path__ = [str(folder)]
    module.__spec__ = importlib.machinery.ModuleSpec(package, None, is_package=True)
    sys.modules[package] = module


def prepare(top):
    """Skips the package's `__init__` and those below, and provides the few names that its classes take from them."""
    packages = [top, *(f"{top}.{name}" for name in SKIPPED[top])]
    for package in packages:
        skip(package)
    if top == "mmseg":
        # The sampler is for training only, and the types are annotations.
        sys.modules["mmseg.structures"].build_pixel_sampler = lambda cfg, context: None
        sys.modules["mmseg.utils"].ConfigType = sys.modules["mmseg.utils"].SampleList = dict
    for package in packages:
        for module, names in REEXPORTED.get(package, {}).items():
            loaded = importlib.import_module(f"{package}.{module}")
            for name in names:
                setattr(sys.modules[package], name, getattr(loaded, name))


def find(name):
    """The class of that type, or None."""
    if name not in CLASSES:
        return None
    module = CLASSES[name]
    top = module.partition(".")[0]
    if top not in PREPARED:
        PREPARED.add(top)
        prepare(top)
    return getattr(importlib.import_module(module), name.rpartition(".")[2])


def build(cfg):
    arguments = {key: value for key, value in cfg.items() if key != "type"}
    if cfg["type"] == "FPN" and isinstance(cfg.get("in_channels"), tuple):
        arguments["in_channels"] = list(cfg["in_channels"])  # it takes no tuple
    return find(cfg["type"])(**arguments)


def takes_list(module):
    return type(module).__name__ in TAKES_LIST
