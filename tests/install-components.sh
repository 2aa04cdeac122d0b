#!/bin/sh
# Installs the programs that client tests run against the server: Debian packages that are missing, and the npm packages of
# tests/clients. Run again it does nothing. Without it those tests are skipped, and the closing summary counts them.
set -eu
cd "$(dirname "$0")/.."

# program package
wanted="
chromium chromium
node nodejs
npm npm
openssl openssl
rclone rclone
restic restic
s3cmd s3cmd
s3fs s3fs
strace strace
wrk wrk
"

missing=$(echo "$wanted" | while read -r program package; do
  if [ -n "$program" ] && ! command -v "$program" >/dev/null 2>&1; then echo "$package"; fi
done)

if [ -n "$missing" ]; then
  # shellcheck disable=SC2086  # a list of words
  set -- $missing
  if ! command -v apt-get >/dev/null 2>&1; then
    echo "install these with your package manager: $*" >&2
    exit 1
  fi
  if [ "$(id -u)" -ne 0 ]; then
    echo "installing $* needs root: sudo make test-deps" >&2
    exit 1
  fi
  export DEBIAN_FRONTEND=noninteractive
  apt-get update -q
  apt-get install -q -y --no-install-recommends "$@"
fi

# nginx is unpacked and not installed: its package would start a server on port 80.
if ! command -v nginx >/dev/null 2>&1 && [ ! -x /usr/sbin/nginx ] && [ ! -x .tools/nginx/usr/sbin/nginx ]; then
  if ! command -v apt-get >/dev/null 2>&1; then
    echo "install nginx with your package manager" >&2
    exit 1
  fi
  if [ "$(id -u)" -eq 0 ]; then
    apt-get update -q
  fi
  rm -rf .tools/nginx
  mkdir -p .tools/nginx
  (cd .tools/nginx && apt-get download -q nginx && dpkg-deb --extract nginx_*.deb .)
fi

# The AWS CLI of today, in an environment of its own: it pins a botocore of its own. With awscrt it has every checksum.
aws_cli=.tools/aws-cli
if [ ! -x "$aws_cli/bin/aws" ]; then
  "${PYTHON:-python3}" -m venv "$aws_cli"
  "$aws_cli/bin/python" -m pip install --quiet --disable-pip-version-check 'awscli==1.46.3' 'botocore[crt]'
fi

# npm's own lock is newer than the packages only right after an installation.
if [ ! -f tests/clients/node_modules/.package-lock.json ] ||
  [ tests/clients/package-lock.json -nt tests/clients/node_modules/.package-lock.json ]; then
  (cd tests/clients && npm ci --no-audit --no-fund --loglevel=error)
  touch tests/clients/node_modules/.package-lock.json
fi
