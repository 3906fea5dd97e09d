#!/bin/sh
# Run the tests with .venv, then with the other supported Python if this machine has it.
# They start real processes, brokers and browsers: on a machine that stalls, one may miss its deadline. What failed is run
# once more by itself, and said; what fails twice has failed.
set -eu

twice() {
  "$@" && return 0
  echo "Running once more what has failed …"
  "$@" --last-failed --last-failed-no-failures none
}

# Fuzzing drives the interpreter to its limits of depth; it has a process of its own, so that nobody inherits its state.
run() {
  python=$1
  shift
  twice "$python" -m pytest -m "not slow" tests/hostile "$@"
  twice "$python" -m pytest -m "not slow" tests --ignore=tests/hostile "$@"
}

mine=$(.venv/bin/python -c 'import sys; print("%d.%d" % sys.version_info[:2])')
echo "Running the tests on Python $mine …"
run .venv/bin/python "$@"
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
  run "$env/bin/python" "$@"
done
