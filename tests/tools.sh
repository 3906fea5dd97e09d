#!/bin/sh
# Install what the tests use beside Python: a broker, a browser, a tracer, a clock to fake. Says what is left out without them.
set -u
missing=""
need() { command -v "$1" >/dev/null 2>&1 || [ -x "/usr/sbin/$1" ] || missing="$missing $2"; }
need mosquitto mosquitto
need strace strace
need openssl openssl
need systemd-analyze systemd
need mkfs.ext4 e2fsprogs
need mkfs.vfat dosfstools
# A FAT where the kernel has none.
grep -qw vfat /proc/filesystems 2>/dev/null || need fusefat fusefat
need chromium chromium
need chromedriver chromium-driver
[ -n "$(find /usr/lib -name 'libfaketime.so.1' 2>/dev/null | head -n 1)" ] || missing="$missing libfaketime"
need nats-server nats-server
need nginx nginx-light
[ -n "$(find /usr/lib/postgresql -name initdb 2>/dev/null | head -n 1)" ] || missing="$missing postgresql"
# Half a minute of Erlang: for `make soak` alone.
[ "${1:-}" != soak ] || [ -x /usr/lib/rabbitmq/bin/rabbitmq-server ] || missing="$missing rabbitmq-server"
# What reads the rules of alerts as Prometheus does, 40 MB: for `make prove-city` (and `make soak`) alone.
[ "${1:-}" != soak ] || need promtool prometheus
# Home Assistant with its own schemas, 400 MB in an environment of its own: for `make soak` alone.
if [ "${1:-}" = soak ] && [ ! -x build/homeassistant/bin/python ]; then
  { python3.11 -m venv build/homeassistant && build/homeassistant/bin/python -m pip install --quiet --disable-pip-version-check --no-input \
    homeassistant==2024.3.3 paho-mqtt==1.6.1; } >/dev/null 2>&1 || { rm -rf build/homeassistant; echo "Home Assistant could not be installed: its test is skipped."; }
fi
# Fresh Debian trees and their boot: for `make prove-package` alone.
if [ "${1:-}" = package ]; then
  need debootstrap debootstrap
  need systemd-nspawn systemd-container
  need qemu-aarch64-static qemu-user-static
  need qemu-arm-static qemu-user-static
fi
# A broker on Node, where there is one: some 40 small packages, into build/.
if command -v npm >/dev/null 2>&1 && [ ! -d build/aedes/node_modules/aedes ]; then
  mkdir -p build/aedes && npm install --prefix build/aedes --no-audit --no-fund --ignore-scripts aedes@0.51 >/dev/null 2>&1 ||
    echo "aedes could not be installed: its test is skipped."
fi
# What reads Sparkplug B as its makers do, likewise.
if command -v npm >/dev/null 2>&1 && [ ! -d build/sparkplug/node_modules/sparkplug-payload ]; then
  mkdir -p build/sparkplug && npm install --prefix build/sparkplug --no-audit --no-fund --ignore-scripts sparkplug-payload@1.0 >/dev/null 2>&1 ||
    echo "sparkplug-payload could not be installed: its test is skipped."
fi
# What checks the page against WCAG, likewise: one package.
if command -v npm >/dev/null 2>&1 && [ ! -d build/axe/node_modules/axe-core ]; then
  mkdir -p build/axe && npm install --prefix build/axe --no-audit --no-fund --ignore-scripts axe-core@4.14 >/dev/null 2>&1 ||
    echo "axe-core could not be installed: its test is skipped."
fi
# What an AsyncAPI document is, and SQLite for a client in JavaScript with its MQTT: some 50 packages.
if command -v npm >/dev/null 2>&1 && [ ! -d build/asyncapi/node_modules/@asyncapi/specs ]; then
  mkdir -p build/asyncapi && npm install --prefix build/asyncapi --no-audit --no-fund --ignore-scripts @asyncapi/specs@6 mqtt@5 node-sqlite3-wasm@0.8 >/dev/null 2>&1 ||
    echo "@asyncapi/specs, mqtt and node-sqlite3-wasm could not be installed: their tests are skipped."
fi
# What measures the page as a phone does: 150 packages, for `make bench` alone.
if [ "${1:-}" = bench ] && command -v npm >/dev/null 2>&1 && [ ! -d build/lighthouse/node_modules/lighthouse ]; then
  mkdir -p build/lighthouse && npm install --prefix build/lighthouse --no-audit --no-fund --ignore-scripts lighthouse@12 >/dev/null 2>&1 ||
    echo "lighthouse could not be installed: its figures are left out."
fi
[ -z "$missing" ] && exit 0

as_root=""
if [ "$(id -u)" != 0 ]; then
  if command -v sudo >/dev/null 2>&1 && sudo -n true 2>/dev/null; then as_root="sudo -n"; else as_root="none"; fi
fi
if [ "$as_root" != none ] && command -v apt-get >/dev/null 2>&1; then
  echo "Installing for the tests:$missing …"
  export DEBIAN_FRONTEND=noninteractive
  # Brokers among them must not start as services: the tests start their own.
  policy=""
  if [ ! -e /usr/sbin/policy-rc.d ]; then
    policy=/usr/sbin/policy-rc.d
    printf '#!/bin/sh\nexit 101\n' | $as_root tee $policy >/dev/null && $as_root chmod 755 $policy
    trap '$as_root rm -f $policy' EXIT
  fi
  if $as_root apt-get update -qq >/dev/null 2>&1 && $as_root apt-get install -y -qq --no-install-recommends $missing >/dev/null 2>&1; then exit 0; fi
  echo "Some of them could not be installed."
fi
echo "Not on this machine:$missing. Tests that need them are skipped and say so;"
echo "without mosquitto, MQTT 5 and TLS are not exercised and the embedded broker is used."
exit 0
