"""fetch.py URL FILE: downloads a file and shows the progress."""

import sys
import urllib.request


def main():
    url, path = sys.argv[1:]
    try:
        with urllib.request.urlopen(url, timeout=30) as response, open(path, "wb") as file:
            total = int(response.headers.get("Content-Length") or 0)
            done = shown = 0
            while block := response.read(1 << 20):
                file.write(block)
                done += len(block)
                if total and done * 20 // total > shown:
                    shown = done * 20 // total
                    print(f"  {shown * 5:3} % of {total >> 20} MB", file=sys.stderr)
            if total and done != total:
                sys.exit(f"error: {url}: the connection was closed after {done} of {total} bytes")
    except OSError as problem:
        sys.exit(f"error: {url}: {problem}")


main()
