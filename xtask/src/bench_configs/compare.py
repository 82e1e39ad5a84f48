"""Reads every config with mmengine and with `mmcv config`, compares the values and the time, and prints a Markdown page.

    compare.py --mmcv target/release/mmcv --site FOLDER [--rounds 5]

FOLDER/PACKAGE/.mim/configs has the configs of each package; none of the packages is imported.
"""

import argparse
import json
import os
import resource
import statistics
import subprocess
import sys
import tempfile
import time
import warnings

PARSER = argparse.ArgumentParser()
PARSER.add_argument('--mmcv', required=True)
PARSER.add_argument('--site', required=True)
PARSER.add_argument('--rounds', type=int, default=5)

ONE_FILE = """
import json, sys
from mmengine.config import Config
json.dump(Config.fromfile(sys.argv[1]).to_dict(), sys.stdout)
"""


def prepare_mmengine(site):
    """Lets mmengine find the packages in `site`, by a shorter way than its own, and corrects its list of built-in modules.

    On Python 3.11 it takes `os` for a third-party module, and an old-style config that imports it for a lazy one.
    """
    from mmengine.config import config, utils

    def path_of(package):
        folder = os.path.join(site, modules.get(package, package))
        return folder if os.path.isdir(folder) else None

    def installed_path(package):
        path = path_of(package)
        if path is None:
            raise RuntimeError(f'{package} is not installed')
        return path

    def is_builtin(name):
        if name.startswith('.'):
            return False
        return name.startswith('mmengine.config') or name.split('.')[0] in sys.stdlib_module_names

    modules = {package: module for module, package in utils.MODULE2PACKAGE.items()}
    config.is_installed = lambda package: path_of(package) is not None
    config.get_installed_path = installed_path
    config._is_builtin_module = utils._is_builtin_module = is_builtin
    config.print_log = lambda *arguments, **keywords: None
    return config.Config


def read_with_mmengine(config_class, files):
    """The JSON of each file, None if it is refused; and the CPU and wall seconds."""
    texts = []
    cpu, wall = time.process_time(), time.perf_counter()
    for file in files:
        try:
            text = json.dumps(config_class.fromfile(file, import_custom_modules=False).to_dict())
        except (Exception, SystemExit):
            text = None
        texts.append(text)
    return texts, time.process_time() - cpu, time.perf_counter() - wall


def child_seconds():
    usage = resource.getrusage(resource.RUSAGE_CHILDREN)
    return usage.ru_utime + usage.ru_stime


def read_with_mmcv(program, files, site):
    with tempfile.TemporaryFile() as output:
        environment = {**os.environ, 'MMCV_CONFIG_PATH': site}
        cpu, wall = child_seconds(), time.perf_counter()
        subprocess.run([program, 'config', '--json', *files], stdout=output, stderr=subprocess.DEVNULL, env=environment)
        cpu, wall = child_seconds() - cpu, time.perf_counter() - wall
        output.seek(0)
        lines = [json.loads(line) for line in output]
    return [line.get('config') for line in lines], cpu, wall


def seconds_from_start(command):
    start = time.perf_counter()
    subprocess.run(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, check=True)
    return time.perf_counter() - start


def is_same(ours, text):
    if ours is None or text is None:
        return ours is None and text is None
    return ours == json.loads(text)


def main():
    warnings.simplefilter('ignore')
    arguments = PARSER.parse_args()
    site = os.path.abspath(arguments.site)
    files = []
    for folder, _, names in os.walk(site):
        files += [os.path.join(folder, name) for name in names if name.endswith('.py')]
    files.sort()
    config_class = prepare_mmengine(site)
    read_with_mmengine(config_class, files[:20])
    rounds = []
    texts, reference_cpu, reference_wall = read_with_mmengine(config_class, files)
    for _ in range(arguments.rounds):
        ours, cpu, wall = read_with_mmcv(arguments.mmcv, files, site)
        rounds.append((cpu, wall))
    cpu, wall = (statistics.median(column) for column in zip(*rounds))
    different = [file for file, value, text in zip(files, ours, texts) if not is_same(value, text)]
    refused = sum(text is None for text in texts)

    one = next(file for file in files if file.endswith('resnet50_8xb32_in1k.py'))
    starts = []
    for _ in range(2 * arguments.rounds):
        reference = seconds_from_start([sys.executable, '-c', ONE_FILE, one])
        starts.append((reference, seconds_from_start([arguments.mmcv, 'config', '--json', one])))
    reference_start, start = (statistics.median(column) for column in zip(*starts))

    print(f'{len(files)} configs; {refused} are refused by mmengine, {len(different)} are read differently by mmcv.\n')
    print('| | mmengine | mmcv | ratio |\n| --- | --- | --- | --- |')
    for name, theirs, value in [
        ('all, one process each, CPU seconds', reference_cpu, cpu),
        ('all, one process each, seconds', reference_wall, wall),
        (f'{os.path.basename(one)} from process start, seconds', reference_start, start),
    ]:
        print(f'| {name} | {theirs:.3f} | {value:.3f} | {theirs / value:.0f} |')
    if different:
        print('\nRead differently:\n')
        for file in different:
            print(f'- {os.path.relpath(file, site)}')


main()
