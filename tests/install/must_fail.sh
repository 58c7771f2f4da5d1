# `! command` does not stop a script under set -e.
must_fail() {
    if "$@"; then
        echo "succeeded, and should not have: $*" >&2
        exit 1
    fi
}
