#!/usr/bin/env bash
# Makes every result again; ./run_all.sh --help says how. This file only finds a Python and fills .venv: what the
# options mean is in glann_lib/companion/arguments.py, the running itself in glann_lib/companion/pipeline.py.
[ -n "${BASH_VERSION:-}" ] || exec bash "$0" "$@"  # started as: sh run_all.sh
set -euo pipefail

# What is set for the person's own Python, Jupyter or matplotlib is not for .venv's; all text is UTF-8.
for name in $(compgen -e PYTHON) $(compgen -e PIP_); do
    case $name in
        PYTHON | PYTHONDONTWRITEBYTECODE | PYTHONPYCACHEPREFIX) ;;
        PYTHON* | PIP_PREFIX | PIP_ROOT | PIP_TARGET | PIP_USER) unset "$name" ;;
    esac
done
unset JUPYTER_PATH MATPLOTLIBRC MPLBACKEND
export PYTHONUTF8=1

script=${BASH_SOURCE[0]}
while [[ -L $script ]]; do  # started through a link
    link=$(readlink "$script")
    [[ $link == /* ]] || link=$(dirname "$script")/$link
    script=$link
done
root=$(CDPATH="" cd -- "$(dirname "$script")" 2>/dev/null && pwd -P)
venv=$root/.venv
log=$venv/install.log
stamp=$venv/installed  # what .venv was filled from; there only when that was finished
pythons=(python3.11 python3.12 python3.13 python3 python)  # 3.11 first: on it the versions were tested together
[[ -z ${PYTHON:-} ]] || pythons=("$PYTHON")
go_on=10  # exit code of glann_lib.companion.arguments: the arguments are right and there is something to run

fail() {
    echo "run_all.sh: $*" >&2
    exit 1
}

# find_python CODE NAME...: the first of the names that is Python 3.11 or newer and runs the code.
find_python() {
    local code=$1 name
    shift
    for name in "$@"; do
        if "$name" -c "import sys; assert sys.version_info >= (3, 11); $code" >/dev/null 2>&1; then
            echo "$name"
            return
        fi
    done
    return 1
}

# fingerprint PYTHON: the requirements, the package's settings, this folder and the Python's version as one number.
fingerprint() {
    "$1" - "$root" <<'PY'
import hashlib, pathlib, sys
root = pathlib.Path(sys.argv[1])
parts = [str(root).encode(), sys.version.encode()]
parts += [(root / name).read_bytes() for name in ("requirements.txt", "pyproject.toml")]
print(hashlib.sha256(b"\n".join(parts)).hexdigest())
PY
}

is_installed() {
    [[ $(cat "$stamp" 2>/dev/null) == "$wanted" ]] && "$venv/bin/python" -c "" 2>/dev/null
}

# A .venv that another Python made, or that was moved here or broken off before pip was in it, is made anew.
make_venv() {
    local maker said
    if "$venv/bin/python" -m pip --version >/dev/null 2>&1 &&
        grep -qF "$venv" "$venv/pyvenv.cfg" && [[ $(fingerprint "$venv/bin/python") == "$wanted" ]]; then
        return
    fi
    maker=$(find_python "import venv, ensurepip" "${pythons[@]}") ||
        fail "this Python cannot make a .venv: apt install python3-venv (or your Python's own venv package)"
    said=$("$maker" -m venv --clear "$venv" 2>&1) || fail "cannot make $venv: $(tail -n 1 <<<"$said")"
    wanted=$(fingerprint "$maker")
}

# What a pip that was killed leaves behind looks installed, yet may be half: without its list of files it is.
remove_halves() {
    local half
    for half in "$venv"/lib/python3*/site-packages/{*.dist-info,~*}; do
        if [[ -d $half && ! -f $half/RECORD ]]; then
            rm -rf "$half"
        fi
    done
}

explain_pip() {
    local last
    last=$( (grep -E '^ *ERROR' "$log" || grep -i 'error' "$log" || cat "$log") | tail -n 1 | cut -c 1-200)
    read -r last <<<"$last"  # without the spaces around it
    if grep -qiE 'no space left|errno 28' "$log"; then
        fail "no space left for $venv (6.4 GB) or for pip's work in ${TMPDIR:-/tmp} (3.2 GB): free some, then start again ($log)"
    elif grep -qiE 'new ?connection|name ?resolution|network is unreachable|max retries|timed out|proxyerror' "$log"; then
        fail "no network: pip cannot reach the package index; it said: $last ($log)"
    fi
    fail "pip cannot install the requirements; it said: $last ($log)"
}

# how_far SECONDS UNPACKED: what pip is at, by its log, on one line.
how_far() {
    LC_ALL=C awk -v seconds="$1" -v unpacked="$2" '
        NF > 2 && $NF ~ /^[kMG]?B\)$/ {  # Downloading https://index/name-1.0-py3-none-any.whl (12.3 MB)
            now = $(NF - 2)
            sub(/.*\//, "", now)
            sub(/-[0-9].*/, "", now)
            now = "fetching " substr(now, 1, 24) " " $(NF - 1) " " $NF ", " int(sum) " MB so far"
            sum += substr($(NF - 1), 2) * ($NF ~ /^G/ ? 1000 : $NF ~ /^M/ ? 1 : 0)
        }
        /^Installing collected packages: / { now = "unpacking " unpacked " of " (gsub(/,/, "") + 1) " packages" }
        END { printf "%d:%02d  %s", int(seconds / 60), seconds % 60, now ? now : "asking the package index" }
    ' "$log"
}

# watch_pip: says how far pip is: on a terminal every second, in one line, else a line every 15 seconds.
watch_pip() {
    local every=15 tick=0 line packages=("$venv"/lib/python3*/site-packages/*.dist-info)
    local before=${#packages[@]}
    if [[ -t 1 ]]; then every=1; fi
    while sleep 1 >/dev/null && kill -0 $$; do  # until it is ended, or run_all.sh was
        if ((++tick % every)); then continue; fi
        packages=("$venv"/lib/python3*/site-packages/*.dist-info)
        line=$(how_far "$((SECONDS - began))" "$((${#packages[@]} - before))")
        if [[ -t 1 ]]; then printf '\r%-72s' "$line"; else echo "$line"; fi
    done
}

install() {
    local watcher pip=0 began=$SECONDS
    if command -v flock >/dev/null; then
        exec 9<"$root/run_all.sh"
        flock -n 9 || { echo "waiting for another start, which is installing"; flock 9 || true; }  # no locks here: alone
        if is_installed; then return; fi
    fi
    trap '[[ ! -t 1 ]] || echo; echo "run_all.sh: interrupted; the next start goes on from here" >&2; exit 130' INT TERM
    echo "installing into $venv, once: on Linux 3.2 GB are fetched and 6.4 GB kept, mostly for GPUs, in 2 minutes or more"
    mkdir -p "$venv" 2>/dev/null || fail "cannot write to $root: copy the repository to where you may write"
    rm -f "$stamp"
    make_venv
    remove_halves
    watch_pip 2>/dev/null 9<&- &
    watcher=$!
    "$venv/bin/python" -m pip install --disable-pip-version-check --no-input --progress-bar off \
        -r "$root/requirements.txt" -e "$root" >"$log" 2>&1 || pip=$?
    { kill "$watcher" && wait "$watcher"; } 2>/dev/null || true
    if [[ -t 1 ]]; then printf '\r%-72s\r' ""; fi
    [[ $pip == 0 ]] || explain_pip
    echo "$wanted" >"$stamp"
    trap - INT TERM
    exec 9<&-
}

pwd -P >/dev/null 2>&1 || fail "the folder you are in was deleted: cd to one that is there"
python=$(find_python "" "${PYTHON:-$venv/bin/python}" "${pythons[@]}") ||
    fail "Python 3.11 or newer is needed: install one, or name yours: PYTHON=/its/path ./run_all.sh"

code=0
PYTHONPATH=$root "$python" -P -m glann_lib.companion.arguments "$@" || code=$?
if [[ $code != "$go_on" ]]; then
    exit "$code"
fi

wanted=$(fingerprint "$python")
is_installed || install
exec "$venv/bin/python" -P -m glann_lib.companion.pipeline "$@"
