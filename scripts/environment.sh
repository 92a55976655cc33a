# Sourced by the other scripts: makes .venv from the hash-locked requirement files, once.
# Needs Python 3.10 to 3.14 with pip and venv; no rights, no other program.

root=$(cd -P "$(dirname "${BASH_SOURCE[0]}")/.." && pwd -P)
venv="$root/.venv"

say() { printf '%s\n' "$*" >&2; }
fail() {
  say "error: $1"
  [ -z "${2:-}" ] || say "hint: $2"
  exit 9
}

# The first Python that the project supports; EDGEKIT_PYTHON names another one.
find_python() {
  local candidate
  for candidate in ${EDGEKIT_PYTHON:-python3.11 python3 python3.12 python3.13 python3.10 python3.14}; do
    if "$candidate" -c 'import sys; sys.exit(not (3, 10) <= sys.version_info[:2] <= (3, 14))' 2>/dev/null; then
      command -v "$candidate"
      return
    fi
  done
  fail "no Python 3.10 to 3.14 found" "apt-get install python3 python3-pip python3-venv"
}

# Installs the named requirement files (host, build, dev) into .venv, and the project itself.
# A stamp of their content makes the second call instant.
prepare() {
  local name files=() wanted
  for name in "$@"; do files+=("$root/requirements/$name.txt"); done
  wanted=$(cat "${files[@]}" "$root/pyproject.toml" | sha256sum | cut -d' ' -f1)
  [ "$(cat "$venv/.edgekit-$*" 2>/dev/null)" != "$wanted" ] || return 0

  local python
  python=$(find_python) || exit 9
  say "setting up $("$python" --version) in .venv (at most 160 MB to download, 560 MB on disk)"
  "$python" -m pip --version >/dev/null 2>&1 || fail "$python has no pip" "apt-get install python3-pip"
  if [ ! -x "$venv/bin/python" ]; then
    # Debian's Python cannot put pip into an environment without another package; ours comes
    # from the lock file instead.
    "$python" -m venv --without-pip "$venv" || fail "cannot make an environment" "apt-get install python3-venv"
  fi
  local requirements=()
  for name in "${files[@]}"; do requirements+=(--requirement "$name"); done
  "$python" -m pip --python "$venv/bin/python" install --quiet --disable-pip-version-check \
    --require-hashes "${requirements[@]}" || fail "the locked requirements do not install" "see pip's message above"
  "$venv/bin/python" -m pip install --quiet --disable-pip-version-check \
    --no-deps --no-build-isolation --editable "$root" || fail "the project does not install"
  "$venv/bin/python" -c 'import cv2' 2>/dev/null || install_opencv_libraries
  printf '%s' "$wanted" >"$venv/.edgekit-$*"
}

# Makes .venv-extras, with everything that the extras bring, for the tests that are marked so. torch is not in
# the lock: its wheel is another one on every registry. Only where the lock is for this Python.
prepare_extras() {
  local extras="$root/.venv-extras" files=(host build dev extras) name requirements=() wanted python
  python=$(find_python) || exit 9
  "$python" -c 'import sys; sys.exit(sys.version_info[:2] != (3, 11))' || return 1
  for name in "${files[@]}"; do requirements+=(--requirement "$root/requirements/$name.txt"); done
  wanted=$(cat "$root"/requirements/{host,build,dev,extras}.txt "$root/pyproject.toml" | sha256sum | cut -d' ' -f1)
  [ "$(cat "$extras/.edgekit" 2>/dev/null)" != "$wanted" ] || return 0
  say "setting up the environment of the extras in .venv-extras (about 500 MB to download)"
  "$python" -m venv --without-pip "$extras" || fail "cannot make an environment" "apt-get install python3-venv"
  "$python" -m pip --python "$extras/bin/python" install --quiet --disable-pip-version-check \
    --no-deps --require-hashes "${requirements[@]}" || fail "the locked requirements do not install" "see pip's message above"
  "$python" -m pip --python "$extras/bin/python" install --quiet --disable-pip-version-check torch==2.13.0 ||
    fail "torch does not install" "see pip's message above"
  "$extras/bin/python" -m pip install --quiet --disable-pip-version-check \
    --no-deps --no-build-isolation --editable "$root" || fail "the project does not install"
  printf '%s' "$wanted" >"$extras/.edgekit"
}

# opencv-python needs two system libraries that a minimal machine lacks.
install_opencv_libraries() {
  local remedy="apt-get install libgl1 libglib2.0-0"
  [ "$(id -u)" = 0 ] && command -v apt-get >/dev/null ||
    fail "OpenCV does not import: $("$venv/bin/python" -c 'import cv2' 2>&1 | tail -1)" "as root: $remedy"
  say "installing the system libraries of OpenCV: libgl1 libglib2.0-0"
  apt-get update -qq >&2 && apt-get install -y -qq libgl1 libglib2.0-0 >/dev/null || fail "apt-get failed" "$remedy"
  "$venv/bin/python" -c 'import cv2' || fail "OpenCV does not import"
}

# Programs that some tests compare us with or run us under. Without them those tests are skipped.
install_test_programs() {
  local missing=()
  command -v skopeo >/dev/null || missing+=(skopeo)
  command -v umoci >/dev/null || missing+=(umoci)
  command -v qemu-aarch64 >/dev/null || missing+=(qemu-user)
  command -v cc >/dev/null || missing+=(gcc libc6-dev)
  command -v ssh >/dev/null || missing+=(openssh-client)
  # It stands in a folder that is not on everybody's PATH.
  [ -x /usr/sbin/sshd ] || missing+=(openssh-server)
  [ "${#missing[@]}" -gt 0 ] || return 0
  if [ "$(id -u)" = 0 ] && command -v apt-get >/dev/null; then
    say "installing what tests compare with: ${missing[*]}"
    if apt-get update -qq >&2 &&
      DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends "${missing[@]}" >/dev/null; then
      return 0
    fi
  fi
  say "note: tests that need ${missing[*]} are skipped; as root: apt-get install ${missing[*]}"
}
