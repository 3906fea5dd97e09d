#!/bin/sh
# Remove the gateway from this machine. Configuration, readings and the user stay, unless PURGE=1 is given.
# Run by `sudo make uninstall`.
set -eu
home=/opt/submeter
unit=submeter-gateway.service

[ "$(id -u)" = 0 ] || { echo "Run it as root: sudo make uninstall"; exit 1; }

if command -v systemctl >/dev/null 2>&1 && [ -d /run/systemd/system ]; then
  systemctl disable --now --quiet "$unit" 2>/dev/null || true
fi
rm -f "/etc/systemd/system/$unit"
if command -v systemctl >/dev/null 2>&1 && [ -d /run/systemd/system ]; then systemctl daemon-reload; fi
if [ "$(readlink /usr/local/bin/submeter || true)" = "$home/bin/submeter" ]; then rm -f /usr/local/bin/submeter; fi
rm -f /etc/udev/rules.d/60-submeter-ftdi.rules
rm -rf "$home"
echo "The program is removed."

if [ "${PURGE:-}" = 1 ]; then
  rm -rf /etc/submeter /var/lib/submeter
  if getent passwd submeter >/dev/null; then userdel submeter; fi
  if getent group submeter >/dev/null; then groupdel submeter; fi
  echo "Configuration and readings are removed too."
else
  echo "Kept: configuration in /etc/submeter, readings in /var/lib/submeter, the user submeter. With PURGE=1 they go too."
fi
