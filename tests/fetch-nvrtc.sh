#!/usr/bin/env bash
# Fetches NVRTC (CUDA 12 or newer) for the tests, on Debian and Ubuntu, into tests/.nvrtc beside this script.
#
# The tests call it when NVRTC is not on the machine; it can be run by hand too. It needs no root and changes nothing of the system:
# apt works in private folders, on a source derived from the machine's own entry for its distribution, with the component that holds
# NVRTC (Debian: non-free, Ubuntu: multiverse), first for the machine's release and, where that has none, for the next ones.
# Prints the folder. Exit code 1 with one line that says why, where it is impossible. With --show-source it only prints the package
# source that it would use first.
set -euo pipefail

here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
target=$here/.nvrtc
etc=${RAWDIFFUSION_APT_ETC:-/etc} # A test's stand-in for the machine's /etc.

fail() { echo "fetch-nvrtc: $*" >&2; exit 1; }

[ "${1:-}" = --show-source ] || ! compgen -G "$target/libnvrtc.so.*" > /dev/null || { echo "$target"; exit 0; }
for tool in apt-get apt-cache dpkg-deb; do
    command -v "$tool" > /dev/null || fail "$tool is not here: only Debian, Ubuntu and what derives from them are supported"
done

[ -r "$etc/os-release" ] || fail "no $etc/os-release says what distribution this is"
# shellcheck disable=SC1091
. "$etc/os-release"
codename=${UBUNTU_CODENAME:-${VERSION_CODENAME:-}}
[ -n "$codename" ] || fail "$etc/os-release names no release of the distribution"
case " ${ID:-} ${ID_LIKE:-} " in
    *" ubuntu "*) component=multiverse later="noble devel" ;;
    *" debian "*) component=non-free later="stable testing" ;;
    *) fail "'${ID:-}' is neither Debian nor Ubuntu" ;;
esac

work=$(mktemp -d)
trap 'rm -rf "$work" "$target.$$"' EXIT

# The machine's own entries for its release, with the suite $1 and the component instead: stanzas (deb822, every other field kept as
# it is: mirrors, keys) and lines of sources.list. There can be several, of vendors too: those have no NVRTC and do no harm.
derive_sources() {
    local file
    rm -rf "$work/etc"
    mkdir -p "$work/etc"
    for file in "$etc"/apt/sources.list.d/*.sources; do
        [ -r "$file" ] || continue
        awk -v codename="$codename" -v suite="$1" -v component="$component" '
            BEGIN { RS = ""; FS = "\n" }
            {
                ok = 0; main = 0; off = 0; out = ""; keep = 1
                for (i = 1; i <= NF; i++) {
                    line = $i
                    if (line ~ /^#/) continue
                    if (line !~ /^[ \t]/) {
                        name = tolower(line); sub(/[ \t]*:.*/, "", name)
                        value = line; sub(/^[^:]*:[ \t]*/, "", value)
                        keep = 1
                        if (name == "enabled" && tolower(value) == "no") off = 1
                        if (name == "types" && (" " value " ") !~ / deb /) off = 1
                        if (name == "suites" && index(" " value " ", " " codename " ")) ok = 1
                        if (name == "components" && (" " value " ") ~ / main /) main = 1
                        if (name == "types") line = "Types: deb"
                        if (name == "suites") line = "Suites: " suite
                        if (name == "components") line = "Components: " component
                        if (name == "types" || name == "suites" || name == "components") keep = 0
                        out = out line "\n"
                    } else if (keep) out = out line "\n"
                }
                if (ok && main && !off) print out
            }' "$file" >> "$work/etc/nvrtc.sources"
    done
    for file in "$etc/apt/sources.list" "$etc"/apt/sources.list.d/*.list; do
        [ -r "$file" ] || continue
        awk -v codename="$codename" -v suite="$1" -v component="$component" '
            $1 == "deb" {
                i = 2; options = ""
                if ($2 ~ /^\[/) { while (i <= NF) { options = options " " $i; if ($(i++) ~ /\]$/) break } }
                uri = $i; main = 0
                for (j = i + 2; j <= NF && $j !~ /^#/; j++) if ($j == "main") main = 1
                if ($(i + 1) == codename && main) print "deb" options " " uri " " suite " " component
            }' "$file" >> "$work/etc/nvrtc.list"
    done
    find "$work/etc" -size 0 -delete
    [ -n "$(ls "$work/etc")" ] || fail "no entry for $codename main among the machine's package sources ($etc/apt)"
}

if [ "${1:-}" = --show-source ]; then
    derive_sources "$codename"
    cat "$work"/etc/nvrtc.*
    exit 0
fi

reason="no package of NVRTC 12 or newer"
for suite in "$codename" $later; do
    rm -rf "$work/lists" "$work/cache"
    mkdir -p "$work/lists/partial" "$work/cache/archives/partial" "$work/debs" "$work/root"
    derive_sources "$suite"
    options=(-qq -oDir::Etc::SourceList=/dev/null -oDir::Etc::SourceParts="$work/etc" -oDir::State::Lists="$work/lists"
        -oDir::Cache="$work/cache" -oAPT::Sandbox::User= -oAcquire::Languages=none -oAcquire::Retries=1
        -oAcquire::http::Timeout=20 -oAcquire::https::Timeout=20 -oAPT::Get::List-Cleanup=0)
    apt-get "${options[@]}" --error-on=any update > "$work/log" 2>&1 \
        || reason="the package source of $suite cannot be read: $(grep -m1 '^[EW]:' "$work/log" || echo 'apt-get update failed')"
    package=$(apt-cache "${options[@]}" pkgnames libnvrtc | sed -n 's/^libnvrtc\([0-9][0-9]*\)$/\1/p' | sort -n | awk '$1 >= 12' | tail -1)
    [ -n "$package" ] || continue
    builtins=$(apt-cache "${options[@]}" pkgnames libnvrtc-builtins | grep -E "^libnvrtc-builtins$package\." | sort -V | tail -1)
    [ -n "$builtins" ] || continue
    (cd "$work/debs" && apt-get "${options[@]}" download "libnvrtc$package" "$builtins") > "$work/log" 2>&1 \
        || { reason="libnvrtc$package of $suite cannot be downloaded: $(grep -m1 '^[EW]:' "$work/log" || true)"; continue; }
    for deb in "$work"/debs/*.deb; do dpkg-deb -x "$deb" "$work/root"; done
    mkdir -p "$target.$$"
    # Under the names that they are opened by: libnvrtc.so.12 and libnvrtc-builtins.so.12.4.
    find "$work/root" \( -name 'libnvrtc.so.[0-9]*' -o -name 'libnvrtc-builtins.so.[0-9]*.[0-9]*' \) -type l -exec cp -L {} "$target.$$" \;
    [ "$(find "$target.$$" -type f | wc -l)" -ge 2 ] || { reason="libnvrtc$package of $suite holds no library"; continue; }
    # Another process may have been faster: its folder is as good.
    mv -T "$target.$$" "$target" 2> /dev/null || [ -d "$target" ] || fail "cannot write to $here"
    echo "$target"
    exit 0
done
fail "$reason"
