#!/bin/sh
# Run the tests with .venv, then with the other supported Python if this machine has it.
set -eu

mine=$(.venv/bin/python -c 'import sys; print("%d.%d" % sys.version_info[:2])')
echo "Running the tests on Python $mine …"
.venv/bin/python -m tests.suite "$@"
for other in 3.11 3.13; do
  [ "$other" = "$mine" ] && continue
  python="python$other"
  "$python" -c 'import ensurepip, sqlite3, ssl, venv' >/dev/null 2>&1 || { echo "Python $other is not installed here: not tested on it."; continue; }
  env=".venv-$other"
  if [ ! -e "$env/.dev" ] || [ requirements/dev.lock -nt "$env/.dev" ]; then
    echo "Making the environment $env …"
    "$python" -m venv "$env"
    "$env/bin/python" -m pip install --quiet --disable-pip-version-check --no-input --require-hashes -r requirements/dev.lock
    "$env/bin/python" -m pip install --quiet --disable-pip-version-check --no-deps --no-build-isolation --editable .
    touch "$env/.dev"
  fi
  echo "Running the tests on Python $other …"
  "$env/bin/python" -m tests.suite "$@"
done
