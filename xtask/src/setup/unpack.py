"""unpack.py FOLDER --members FROM=TO... --archives FILE...: unpacks parts of wheels or zip files.

A member whose name starts with FROM is written below FOLDER, with FROM replaced by TO. Each FROM must match a member.
Unpacking verifies the checksums of the zip format.
"""

import argparse
import shutil
import sys
import zipfile
from pathlib import Path


def unpack(archive, folder, rules, found):
    for member in archive.infolist():
        source = next((source for source in rules if member.filename.startswith(source)), None)
        if source is None or member.is_dir():
            continue
        found.add(source)
        target = (folder / (rules[source] + member.filename[len(source):])).resolve()
        if folder not in target.parents:
            sys.exit(f"error: {member.filename} leads out of the archive")
        target.parent.mkdir(parents=True, exist_ok=True)
        with archive.open(member) as stream, open(target, "wb") as file:
            shutil.copyfileobj(stream, file, 1 << 20)


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("folder", type=Path)
    parser.add_argument("--members", nargs="+")
    parser.add_argument("--archives", nargs="+", type=Path)
    arguments = parser.parse_args()
    rules = dict(rule.split("=") for rule in arguments.members)
    found = set()
    for path in arguments.archives:
        try:
            with zipfile.ZipFile(path) as archive:
                unpack(archive, arguments.folder.resolve(), rules, found)
        except (zipfile.BadZipFile, OSError) as problem:
            sys.exit(f"error: {path.name}: {problem}")
    missing = sorted(set(rules) - found)
    if missing:
        sys.exit(f"error: the archives have no {', '.join(missing)}")


main()
