#!/bin/sh
# Install the gateway on this machine: program in /opt/submeter, configuration in /etc/submeter, readings in /var/lib/submeter.
# Run by `sudo make install`; works again over an older version and never touches a configuration that is there.
set -eu
cd "$(dirname "$0")/.."
home=/opt/submeter
wheel=$(ls build/dist/submeter_gateway-*.whl | tail -n 1)

[ "$(id -u)" = 0 ] || { echo "Run it as root: sudo make install"; exit 1; }

if ! getent passwd submeter >/dev/null; then
  echo "Making the user submeter …"
  useradd --system --home-dir /var/lib/submeter --shell /usr/sbin/nologin submeter
fi
for group in dialout gpio; do
  if getent group "$group" >/dev/null; then usermod --append --groups "$group" submeter; fi
done

if [ -n "${SUDO_USER:-}" ] && [ "$SUDO_USER" != root ]; then
  # Whoever installs may read the configuration and ask the daemon, from the next login on.
  usermod --append --groups submeter "$SUDO_USER"
fi

echo "Installing the program into $home …"
if [ ! -x "$home/bin/python" ]; then
  # Python 3.13 has no lgpio on the package index: pulse inputs then use the distribution's python3-lgpio.
  if python3 -c 'import sys; sys.exit(sys.version_info < (3, 13))'; then site=--system-site-packages; else site=; fi
  python3 -m venv $site "$home"
fi
"$home/bin/python" -m pip install --quiet --disable-pip-version-check --no-input --require-hashes -r requirements/runtime.lock
"$home/bin/python" -m pip install --quiet --disable-pip-version-check --no-input --no-deps --force-reinstall "$wheel"
ln -sf "$home/bin/submeter" /usr/local/bin/submeter

install -d -m 0750 -o root -g submeter /etc/submeter /etc/submeter/drivers
if [ ! -e /etc/submeter/gateway.yaml ]; then
  install -m 0640 -o root -g submeter config/gateway.yaml /etc/submeter/gateway.yaml
  fresh=yes
else
  fresh=
fi
install -d -m 0750 -o submeter -g submeter /var/lib/submeter

# README and docs with everything that they point to.
doc="$home/share/doc/submeter-gateway"
rm -rf "$doc"
install -d "$doc"
install -m 0644 README.md CHANGELOG.md LICENSE "$doc/"
cp -R docs config drivers "$doc/"
chmod -R u=rwX,go=rX "$doc"

# FTDI adapters hold bytes back for 16 ms unless they are told not to.
if [ -d /etc/udev/rules.d ]; then
  echo 'ACTION=="add", SUBSYSTEM=="usb-serial", DRIVER=="ftdi_sio", ATTR{latency_timer}="1"' > /etc/udev/rules.d/60-submeter-ftdi.rules
fi

if command -v systemctl >/dev/null 2>&1 && [ -d /run/systemd/system ]; then
  install -m 0644 systemd/submeter-gateway.service /etc/systemd/system/submeter-gateway.service
  systemctl daemon-reload
  systemctl enable --quiet submeter-gateway.service
  systemctl try-restart submeter-gateway.service
else
  echo "No systemd here: the unit was not installed. Start it by hand: submeter run /etc/submeter/gateway.yaml"
fi

submeter --version
if [ -n "$fresh" ]; then
  echo "Next: edit /etc/submeter/gateway.yaml, then"
  echo "  sudo submeter check       # says every mistake at once"
  echo "  sudo submeter read        # polls every meter once"
  echo "  sudo systemctl start submeter-gateway && sudo submeter status"
  echo "From your next login on the commands work without sudo."
fi
