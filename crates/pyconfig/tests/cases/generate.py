"""Writes expected.jsonl: what mmengine 0.10.7 makes of the configs in the *.txt files here, typed JSON, one line each.

    python generate.py        with mmengine==0.10.7 and setuptools<82

Each part of a *.txt file begins with a line `=== NAME`. Left out are configs whose result depends on the machine or is no
data. Two things of mmengine are mended: what it takes for a module of Python's own, which depends on the machine there, and
its random placeholders. Nothing that a config imports from another package is imported.
"""
import builtins
import io
import json
import math
import os
import pathlib
import re
import signal
import sys
import tempfile
import types
import warnings

warnings.simplefilter('ignore')
import mmengine
from mmengine.config import Config
from mmengine.config import config as config_module, lazy as lazy_module, utils as utils_module
from mmengine.config.lazy import LazyObject, LazyAttr
from mmengine.config.utils import MODULE2PACKAGE

assert mmengine.__version__ == '0.10.7'
HERE = pathlib.Path(__file__).parent
ROOT = tempfile.mkdtemp() + '/'
SITES = [ROOT + 'site']
PACKAGE2MODULE = {package: module for module, package in MODULE2PACKAGE.items()}
MARK = 'q0x9z7'


def is_builtin_module(name):
    """The reference's test with a right list of the standard library."""
    if name.startswith('.'):
        return False
    if name.startswith('mmengine.config'):
        return True
    return name.split('.')[0] in sys.stdlib_module_names


def module_path(package):
    module = PACKAGE2MODULE.get(package, package)
    for site in SITES:
        path = os.path.join(site, module)
        if os.path.isdir(path):
            return path
    return None


def is_installed(package):
    return module_path(package) is not None


class DistributionNotFound(Exception):
    """Stands in for pkg_resources.DistributionNotFound."""


def get_installed_path(package):
    path = module_path(package)
    if path is None:
        raise DistributionNotFound(f"The '{package}' distribution was not found and is required by the application")
    return path


def refuse_build(self):
    raise ImportError(f'driver: a lazy object is built: {self.module}.{self}')


class Uuid:
    """Makes the placeholders of `{{ _base_.x }}` the same in every run, so that one that stays is seen."""
    hex = MARK + '0' * 26


original_import = builtins.__import__


def guarded_import(name, globals=None, locals=None, fromlist=(), level=0):
    if globals is not None and '__name__' not in globals:
        if level or not (is_builtin_module(name) or name == 'mmengine'):
            raise ImportError(f'driver: import of {"." * level}{name}')
    return original_import(name, globals, locals, fromlist, level)


def patch():
    utils_module._is_builtin_module = is_builtin_module
    config_module._is_builtin_module = is_builtin_module
    config_module.is_installed = is_installed
    config_module.get_installed_path = get_installed_path
    config_module.uuid = types.SimpleNamespace(uuid4=Uuid)
    config_module.print_log = lambda *args, **kwargs: None
    lazy_module.LazyObject.build = refuse_build
    lazy_module.LazyAttr.build = refuse_build
    builtins.__import__ = guarded_import


def typed(value):
    """The encoding of `mmcv config --typed`."""
    if value is None or isinstance(value, (bool, str)):
        if type(value) not in (type(None), bool, str):
            return {'__object__': type(value).__module__ + '.' + type(value).__qualname__}
        return value
    kind = type(value)
    if kind is int:
        return value
    if kind is float:
        if math.isnan(value):
            return {'__float__': 'nan'}
        if math.isinf(value):
            return {'__float__': 'inf' if value > 0 else '-inf'}
        return value
    if kind is list:
        return [typed(item) for item in value]
    if kind is tuple:
        return {'__tuple__': [typed(item) for item in value]}
    if kind is set:
        return {'__set__': [typed(item) for item in sorted(value, key=repr)]}
    if kind is dict:
        if all(type(key) is str for key in value):
            return {key: typed(item) for key, item in value.items()}
        return {'__dict__': [[typed(key), typed(item)] for key, item in value.items()]}
    name = kind.__qualname__ if kind.__module__ == 'builtins' else f'{kind.__module__}.{kind.__qualname__}'
    if kind is types.ModuleType:
        name += ' ' + value.__name__
    return {'__object__': name}


def clean(text):
    """Takes out what differs from run to run: temporary names, addresses, the corpus' folder."""
    text = re.sub(r'/tmp/\w+/tmp\w+', '<temporary>', text)
    text = re.sub(r' at 0x[0-9a-f]+', ' at 0x', text)
    return text.replace(ROOT, '')


class Timeout(Exception):
    pass


def on_alarm(signum, frame):
    raise Timeout('driver: 30 s')


def read(path):
    try:
        signal.signal(signal.SIGALRM, on_alarm)
        signal.alarm(30)
        sys.set_int_max_str_digits(4300)
        sys.stdout = io.StringIO()
        plain = Config.fromfile(path, import_custom_modules=False).to_dict()
        sys.set_int_max_str_digits(0)
        text = json.dumps(typed(plain))
        if '_' + MARK in text:
            return {'error': 'driver.PlaceholderLeft: mmengine leaves a random name of {{ _base_.x }} in a text'}
        return {'config': text}
    except SystemExit as error:
        return {'error': f'SystemExit: {error}'}
    except BaseException as error:
        return {'error': f'{type(error).__name__}: {clean(str(error))}'}
    finally:
        signal.alarm(0)
        sys.stdout = sys.__stdout__


def parts():
    """The configs by name."""
    found = {}
    for source in sorted(HERE.glob('*.txt')):
        for part in source.read_text().split('\n=== '):
            name, _, text = part.removeprefix('=== ').partition('\n')
            name = name.strip()
            if name and not name.startswith('#'):
                assert name not in found, name
                found[name] = text if text.endswith('\n') else text + '\n'
    return found


def main():
    patch()
    configs = parts()
    for name, text in configs.items():
        target = pathlib.Path(ROOT, name)
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_text(text)
    lines = []
    for name, text in sorted(configs.items()):
        depends = any(word in text for word in ('TRICKY_', '.json', 'fileDirname', '!!python/object'))
        if not name.endswith(('.py', '.yaml', '.yml')) or depends:
            continue
        result = read(ROOT + name)
        if 'config' in result:
            line = f'{{"file": {json.dumps(name)}, "config": {result["config"]}}}'
        else:
            line = f'{{"file": {json.dumps(name)}, "error": {json.dumps(result["error"])}}}'
        if '__object__' not in line and ROOT not in line:
            lines.append(line + '\n')
    HERE.joinpath('expected.jsonl').write_text(''.join(lines))
    print(len(lines), 'configs')


if __name__ == '__main__':
    main()
