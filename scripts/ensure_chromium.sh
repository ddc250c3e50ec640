#!/bin/sh
# Makes sure that a Chromium is there for the browser tests, and prints where. Run by `make test`.
set -eu

find_browser() {
  for name in chromium chromium-browser google-chrome google-chrome-stable; do
    command -v "$name" && return 0
  done
  return 1
}

if [ -n "${CHROMIUM:-}" ]; then
  if [ ! -x "$CHROMIUM" ]; then
    echo "CHROMIUM is set to $CHROMIUM, which cannot be run." >&2
    exit 1
  fi
  echo "$CHROMIUM"
  exit 0
fi

find_browser && exit 0

if [ "$(id -u)" = 0 ] && command -v apt-get >/dev/null; then
  echo "Installing chromium for the browser tests..." >&2
  apt-get update -qq >&2
  DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends chromium >/dev/null
  find_browser && exit 0
fi

echo "The browser tests need Chromium. Install it (Debian, Ubuntu: sudo apt-get install chromium)," >&2
echo "or set CHROMIUM to the path of one." >&2
exit 1
