"""Makes parity cases: `python generate.py OUT_DIR [--group conv] [--sweep N --seed S]`. See README.md."""

import argparse
import random
import sys
from dataclasses import replace
from pathlib import Path

import torch

import reference
from case import difference, write
from groups import GROUPS


def write_fixed(folder, cases):
    """The cases chosen by hand: the reference must do what each says."""
    names = set()
    for case in cases:
        if case.name in names:
            raise ValueError(f"{folder.name}: two cases are called {case.name}")
        names.add(case.name)
        try:
            result = run_twice(case) if case.error is None else reference.refuse(case)[0]
        except Exception as error:
            raise RuntimeError(f"{folder.name}/{case.name}: {error}") from error
        write(folder, case, result)
    return len(names)


def write_sweep(folder, draw, count, seed):
    """Random cases. What the reference refuses becomes a case that expects an error; refused_SEED.txt has the messages."""
    notes = []
    for index in range(count):
        case = draw(random.Random(f"{folder.name}/{seed}/{index}"))
        case = replace(case, name=f"sweep_{seed}_{index:04}")
        note = write_drawn(folder, case)
        if note:
            notes.append(f"{case.name}: {note}".replace("\n", " "))
    (folder / f"refused_{seed}.txt").write_text("".join(f"{note}\n" for note in notes))
    return count


def write_drawn(folder, case):
    """Writes what the reference makes of a random case; a note where that is not simply its output."""
    try:
        write(folder, case, run_twice(case))
        return None
    except Exception as error:
        failure = f"{type(error).__name__}: {error}"
    try:
        result, message = reference.refuse(case)
        write(folder, replace(case, error=[]), result)
        return f"{case.cfg} {case.kwargs} {case.inputs}: {message}"
    except RuntimeError:
        pass  # build and forward pass went well
    try:
        case = replace(case, backward=False)
        write(folder, case, run_twice(case))
        return f"without backward pass: {failure}"
    except (RuntimeError, ValueError) as error:
        return f"left out: {error}"


def run_twice(case):
    """With one thread, and with all: ValueError where the reference does not agree with itself."""
    threads = torch.get_num_threads()
    try:
        torch.set_num_threads(1)
        single = reference.run(case)
    finally:
        torch.set_num_threads(threads)
    result = reference.run(case)
    reason = difference(single.tensors, result.tensors, case.rtol, case.atol)
    if reason:
        raise ValueError(f"ill-conditioned: {reason}")
    return result


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("out_dir", type=Path)
    parser.add_argument("--group", choices=sorted(GROUPS), action="append", help="default: all; may be repeated")
    parser.add_argument("--sweep", type=int, metavar="N", help="N random cases per group in place of the fixed ones")
    parser.add_argument("--seed", type=int, default=0, help="of the random sweep")
    options = parser.parse_args()
    for name in options.group or GROUPS:
        group, folder = GROUPS[name], options.out_dir / name
        if options.sweep is None:
            count = write_fixed(folder, group.fixed())
        else:
            count = write_sweep(folder, group.draw, options.sweep, options.seed)
        print(f"{name}: {count} cases")
    return 0


if __name__ == "__main__":
    sys.exit(main())
