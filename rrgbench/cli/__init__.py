"""The shell. An RRGBenchError becomes one line and exit 2; commands import what they need when they run."""

from __future__ import annotations

import sys

from rrgbench.errors import ManyErrors, RRGBenchError


def main() -> None:
    """Run the shell. Exit codes: 0 fine, 1 some cells failed, 2 the user's mistake, 130 interrupted."""
    from rrgbench.cli.app import make_app

    try:
        make_app()(standalone_mode=True)
    except RRGBenchError as error:
        for one in error.errors if isinstance(error, ManyErrors) else (error,):
            sys.stderr.write(f"error: {one}\n")
        sys.exit(2)
    except KeyboardInterrupt:
        sys.stderr.write("interrupted; the same command goes on from here\n")
        sys.exit(130)
    except BrokenPipeError:  # the reader of our output went away, as `| head` does
        sys.stderr.close()
        sys.exit(0)
