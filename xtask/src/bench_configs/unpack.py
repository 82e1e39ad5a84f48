"""Unpacks the configs and model indexes of wheels: unpack.py WHEELS SITE PACKAGE==VERSION..."""

import pathlib
import shutil
import sys
import zipfile

wheels, site = pathlib.Path(sys.argv[1]), pathlib.Path(sys.argv[2])
shutil.rmtree(site, ignore_errors=True)
for package in sys.argv[3:]:
    name, version = package.split('==')
    (wheel,) = wheels.glob(f'{name}-{version}-*.whl')
    with zipfile.ZipFile(wheel) as archive:
        for member in archive.namelist():
            parts = pathlib.PurePosixPath(member).parts
            if len(parts) > 2 and parts[1] == '.mim' and parts[2] in ('configs', 'model-index.yml'):
                archive.extract(member, site)
