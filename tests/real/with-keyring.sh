#!/usr/bin/env bash
# Runs a command with a Secret Service of its own: a private bus, and gnome-keyring with an empty,
# unlocked keyring. Nothing of the user's is touched, nothing is left behind, and the command's
# exit status is the script's.
#
#   tests/real/with-keyring.sh COMMAND [ARGUMENT…]
#
#   KEYRING_HOME   where the keyring is kept, when it shall outlive the command (password: "pw")
#
# The command sees DBUS_SESSION_BUS_ADDRESS, KEYRING_PID (the daemon's, to stop or kill it) and a
# HOME and XDG directories of its own. The bus starts no services by itself: once the daemon is
# dead, there is no keychain until another one is started.
set -euo pipefail

# The half that runs inside the bus. The daemon has to be there and unlocked before anything asks
# for it, and stays in the foreground, where it can be waited for and killed.
if [[ ${1-} == --inside ]]; then
  shift
  gnome-keyring-daemon --foreground --unlock --components=secrets < <(printf pw) >/dev/null 2>&1 &
  export KEYRING_PID=$!
  # CONT: a daemon that was stopped ends only once it goes on.
  trap 'kill "$KEYRING_PID" 2>/dev/null && kill -CONT "$KEYRING_PID" 2>/dev/null || true' EXIT
  for _ in {1..250}; do
    if dbus-send --session --print-reply --dest=org.freedesktop.DBus / \
      org.freedesktop.DBus.NameHasOwner string:org.freedesktop.secrets | grep -q 'boolean true'; then
      status=0
      "$@" || status=$?
      exit "$status"
    fi
    kill -0 "$KEYRING_PID" 2>/dev/null || break
    sleep 0.02
  done
  echo "with-keyring.sh: gnome-keyring did not start" >&2
  exit 99
fi

[[ $# -gt 0 ]] || { sed -n '2,/^set/{/^#/s/^# \{0,1\}//p}' "$0" >&2; exit 2; }

base=$(mktemp -d)
trap 'rm -rf "$base"' EXIT
home=${KEYRING_HOME:-$base/home}
export HOME=$home XDG_CONFIG_HOME=$home/.config XDG_CACHE_HOME=$home/.cache
export XDG_DATA_HOME=$home/.local/share XDG_STATE_HOME=$home/.local/state XDG_RUNTIME_DIR=$base/run
mkdir -p "$XDG_CONFIG_HOME" "$XDG_CACHE_HOME" "$XDG_DATA_HOME" "$XDG_STATE_HOME"
mkdir -m 700 "$XDG_RUNTIME_DIR"
unset DISPLAY WAYLAND_DISPLAY DBUS_SESSION_BUS_ADDRESS

cat >"$base/bus.conf" <<EOF
<!DOCTYPE busconfig PUBLIC "-//freedesktop//DTD D-BUS Bus Configuration 1.0//EN"
 "http://www.freedesktop.org/standards/dbus/1.0/busconfig.dtd">
<busconfig>
  <type>session</type>
  <listen>unix:dir=$base</listen>
  <auth>EXTERNAL</auth>
  <policy context="default">
    <allow send_destination="*" eavesdrop="true"/>
    <allow eavesdrop="true"/>
    <allow own="*"/>
  </policy>
</busconfig>
EOF

status=0
dbus-run-session --config-file="$base/bus.conf" -- "$BASH" "${BASH_SOURCE[0]}" --inside "$@" || status=$?
exit "$status"
