"""Make a virtual environment with the pinned dependencies: ``python3 tools/setup.py .venv``.

Runs on any Python 3, so that a Python that cannot work says so in one line.
"""

import os
import shutil
import subprocess
import sys

OLDEST, NEWEST = (3, 11), (3, 12)


def supported(version):
    return OLDEST <= tuple(version[:2]) <= NEWEST


def find_python():
    """This interpreter if it fits, else the newest fitting one on PATH."""
    if supported(sys.version_info):
        return sys.executable
    for name in ("python3.12", "python3.11"):
        path = shutil.which(name)
        if path and subprocess.call([path, "-c", ""], stderr=subprocess.DEVNULL) == 0:
            return path
    sys.exit(
        "CryptoTools needs Python 3.11 or 3.12 (its engine, Bytewax 0.21.1, has wheels up to 3.12);"
        " this is Python %d.%d. Install one of them, or name it: make PYTHON=/path/to/python3.12"
        % sys.version_info[:2]
    )


def run(*command):
    code = subprocess.call(command)
    if code:
        sys.exit("set-up failed: `%s` ended with exit code %d" % (" ".join(command), code))


def main(target):
    python = find_python()
    binary = os.path.join(target, "bin", "python")
    if not os.path.exists(os.path.join(target, "bin", "pip")):
        if subprocess.call([python, "-c", "import ensurepip"], stderr=subprocess.DEVNULL):
            sys.exit(
                "%s has no `ensurepip`, so it cannot make a virtual environment."
                " On Debian and Ubuntu: apt-get install python3-venv" % python
            )
        run(python, "-m", "venv", target)
    pip = (binary, "-m", "pip", "--disable-pip-version-check", "install", "--quiet")
    print("Installing the pinned dependencies into %s …" % target, flush=True)
    run(*pip, "--require-hashes", "-r", "requirements-dev.lock")
    run(*pip, "--no-deps", "--no-build-isolation", "-e", ".")


if __name__ == "__main__":
    main(sys.argv[1] if len(sys.argv) > 1 else ".venv")
