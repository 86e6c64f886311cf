"""``python -m kfcpo``: the trainer's command line, with the verbs that ``python -m kfcpo --help`` lists."""

import sys

from ._kfcpo import run_program


def main():
    """Runs the command line and exits with its code: 0 done, 1 failed, 2 wrong usage, 130 interrupted after saving."""
    sys.exit(run_program(sys.argv[1:]))


if __name__ == "__main__":
    main()
