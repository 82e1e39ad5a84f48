"""What mmdetection adds to mmpretrain's networks: layers in the bottlenecks. It is not installed; this is what it does."""

from mmcv.cnn import build_plugin_layer
from mmpretrain.registry import MODELS

POSITIONS = ("after_conv1", "after_conv2", "after_conv3")


class WithPlugins:
    """A bottleneck that builds its plugins last, and runs them after a convolution's norm and activation."""

    def __init__(self, *args, plugins=(), **kwargs):
        super().__init__(*args, **kwargs)
        assert all(plugin["position"] in POSITIONS for plugin in plugins)
        self.plugin_names = {position: [] for position in POSITIONS}
        channels = [self.conv1.out_channels, self.conv2.out_channels, self.conv3.out_channels]
        for position, in_channels in zip(POSITIONS, channels):
            for plugin in plugins:
                if plugin["position"] == position:
                    cfg = dict(plugin["cfg"])
                    name, layer = build_plugin_layer(cfg, cfg.pop("postfix", ""), in_channels=in_channels)
                    assert not hasattr(self, name), f"two parts are called {name}"
                    self.add_module(name, layer)
                    self.plugin_names[position].append(name)

    def forward(self, x):
        out = x
        for number, position in enumerate(POSITIONS, 1):
            out = getattr(self, f"norm{number}")(getattr(self, f"conv{number}")(out))
            out = self.relu(out) if number < 3 else out
            for name in self.plugin_names[position]:
                out = getattr(self, name)(out)
        identity = x if self.downsample is None else self.downsample(x)
        return self.relu(self.drop_path(out) + identity)


def build(cfg):
    """The network of mmpretrain that `cfg` names, with its `plugins`."""
    arguments = dict(cfg)
    network, plugins = MODELS.get(arguments.pop("type")), arguments.pop("plugins")

    class Network(network):
        arch_settings = {
            depth: (type("Bottleneck", (WithPlugins, block), {}), blocks)
            for depth, (block, blocks) in network.arch_settings.items()
        }

        def make_res_layer(self, **kwargs):
            stage = len(self.res_layers)
            chosen = [plugin for plugin in plugins if plugin.get("stages") is None or plugin["stages"][stage]]
            return super().make_res_layer(plugins=chosen, **kwargs)

    return Network(**arguments)
