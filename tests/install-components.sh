#!/bin/sh
# Installs the programs that tests run against the server, or the server against them: Debian packages that are missing,
# the npm packages of tests/clients, the emulators of Google's and Azure's storage, Helm, and Prometheus. Run again it does
# nothing. Without it those tests are skipped, and the closing summary counts them.
set -eu
cd "$(dirname "$0")/.."

# program package
wanted="
chromium chromium
docker-compose docker-compose
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

# unpacked NAME PROGRAM: unpacks a Debian package into .tools, where its program is on neither PATH. Installed, nginx and
# prometheus would each start a server.
unpacked() {
  if command -v "$1" >/dev/null 2>&1 || [ -x "/$2" ] || [ -x ".tools/$1/$2" ]; then
    return
  fi
  if ! command -v apt-get >/dev/null 2>&1; then
    echo "install $1 with your package manager" >&2
    exit 1
  fi
  if [ "$(id -u)" -eq 0 ]; then
    apt-get update -q
  fi
  rm -rf ".tools/$1"
  mkdir -p ".tools/$1"
  (cd ".tools/$1" && apt-get download -q "$1" && dpkg-deb --extract "$1"_*.deb . && rm "$1"_*.deb)
}
unpacked nginx usr/sbin/nginx
unpacked prometheus usr/bin/prometheus # with promtool

# The AWS CLI of today, in an environment of its own: it pins a botocore of its own. With awscrt it has every checksum.
aws_cli=.tools/aws-cli
if [ ! -x "$aws_cli/bin/aws" ]; then
  "${PYTHON:-python3}" -m venv "$aws_cli"
  "$aws_cli/bin/python" -m pip install --quiet --disable-pip-version-check 'awscli==1.46.3' 'botocore[crt]'
fi

# Installed once for a lock file: what was installed lies beside it.
clients=tests/clients
if ! cmp -s "$clients/package-lock.json" "$clients/node_modules/.installed-lock.json"; then
  (cd "$clients" && npm ci --no-audit --no-fund --loglevel=error)
  cp "$clients/package-lock.json" "$clients/node_modules/.installed-lock.json"
fi

# Azurite, with a lock of its own.
azurite=.tools/azurite
if ! cmp -s tests/azurite/package-lock.json "$azurite/installed-lock.json"; then
  rm -rf "$azurite"
  mkdir -p "$azurite"
  cp tests/azurite/package.json tests/azurite/package-lock.json "$azurite/"
  (cd "$azurite" && npm ci --no-audit --no-fund --loglevel=error)
  cp "$azurite/package-lock.json" "$azurite/installed-lock.json"
fi

# What Go builds: fake-gcs-server, Helm 3 and Helm 4, mc. A Go since 1.21 fetches the release that a module asks for; an older
# one, as Debian 12 has it, cannot build them: then their tests are skipped, and counted.

# built NAME PROGRAM MODULE: builds the module's program into the folder of PROGRAM, unless it is there.
built() {
  if [ -x "$2" ]; then return; fi
  if ! command -v go >/dev/null 2>&1 && command -v apt-get >/dev/null 2>&1 && [ "$(id -u)" -eq 0 ]; then
    (apt-get update -q && DEBIAN_FRONTEND=noninteractive apt-get install -q -y --no-install-recommends golang-go) || true
  fi
  if ! GOBIN="$PWD/$(dirname "$2")" go install "$3"; then
    echo "$1 was not built: it takes Go 1.21 or newer. Tests that need it will be skipped." >&2
  fi
}
built fake-gcs-server .tools/fake-gcs-server github.com/fsouza/fake-gcs-server@v1.55.1
built mc .tools/mc github.com/minio/mc@v0.0.0-20250313080218-cf909e1063a9
built 'Helm 3' .tools/helm3/helm helm.sh/helm/v3/cmd/helm@v3.21.4
built 'Helm 4' .tools/helm4/helm helm.sh/helm/v4/cmd/helm@v4.2.4
