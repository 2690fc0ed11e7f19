#!/bin/sh
# Copies into a directory what the sidecar needs of Debian, and nothing else: Python without its
# tests, editors and installer; iptables; sh, sleep and cat, for the wire's preStop; each library
# that one of these or the environment in /opt/shadow-sidecar loads. What is copied of which package
# is told in var/lib/dpkg/status.d, where scanners look.
set -eu
to=$1
python=$(basename "$(readlink -f /usr/bin/python3)")
library=$(dirname "$(ldconfig -p | sed -n 's/.*libc\.so\.6 .*=> //p' | head -n 1)")
library=$(readlink -f "$library")

mkdir -p "$to/usr/bin" "$to/usr/sbin" "$to/usr/lib" "$to/usr/lib64" "$to/etc" "$to/proc" "$to/sys" "$to/dev" "$to/run"
for each in bin sbin lib lib64; do ln -s "usr/$each" "$to/$each"; done
mkdir -m 1777 "$to/tmp"
mkdir -p "$to/var/lib/dpkg/status.d"

listed=$(mktemp)
{
    echo "/usr/bin/$python"
    find "/usr/lib/$python" -type f ! -path '*/__pycache__/*' \
        ! -path '*/ensurepip/*' ! -path '*/idlelib/*' ! -path '*/lib2to3/*' ! -path '*/pydoc_data/*' \
        ! -path '*/test/*' ! -path '*/tests/*' ! -path '*/tkinter/*' ! -path '*/turtledemo/*' \
        ! -path '*/distutils/*' ! -path '*/config-*' ! -name '_tkinter*' ! -name '_test*' \
        ! -name 'readline.*' ! -name '_curses*' ! -name '_dbm*' ! -name 'nis.*' ! -name 'ossaudiodev*' \
        ! -name 'turtle.py'
    echo /usr/lib/python3/dist-packages
    for each in sh sleep cat; do readlink -f "/bin/$each"; done
    for each in xtables-nft-multi xtables-legacy-multi; do echo "/usr/sbin/$each"; done
    find "$library/xtables" -name '*.so' \( -name 'libxt_REDIRECT*' -o -name 'libip*t_REDIRECT*' \
        -o -name 'libxt_owner*' -o -name 'libxt_tcp*' -o -name 'libxt_standard*' \)
    echo /etc/os-release
    echo /etc/debian_version
    echo /etc/nsswitch.conf
    echo /etc/protocols
} | while read -r each; do [ ! -f "$each" ] || echo "$each"; done >"$listed"

# The libraries, and theirs: ldd follows them to the end.
loaded=$(mktemp)
{ cat "$listed"; find /opt/shadow-sidecar -name '*.so*' -type f; } |
    xargs ldd 2>/dev/null | sed -n 's/^\t\(.* => \)\?\(\/[^ ]*\) (0x.*/\2/p' |
    grep -v '^/opt/' | sort -u >"$loaded"
xargs -n 1 readlink -f <"$loaded" >>"$listed"

sort -u "$listed" | while read -r each; do
    mkdir -p "$to$(dirname "$(readlink -f "$(dirname "$each")")/x")"
    cp -p "$(readlink -f "$each")" "$to$(readlink -f "$(dirname "$each")")/$(basename "$each")"
done
# By the names that they are loaded by.
while read -r each; do
    real=$(readlink -f "$each")
    place=$(readlink -f "$(dirname "$each")")
    [ -e "$to$place/$(basename "$each")" ] || ln -s "$real" "$to$place/$(basename "$each")"
done <"$loaded"
ln -s "$python" "$to/usr/bin/python3"
[ -e "$to/usr/bin/sh" ] || ln -s dash "$to/usr/bin/sh"
for each in iptables iptables-restore iptables-save ip6tables ip6tables-restore ip6tables-save; do
    ln -s xtables-nft-multi "$to/usr/sbin/$each"
done
for each in iptables-legacy iptables-legacy-restore ip6tables-legacy ip6tables-legacy-restore; do
    ln -s xtables-legacy-multi "$to/usr/sbin/$each"
done
printf 'root:x:0:0:root:/:/usr/sbin/nologin\nshadow-sidecar:x:10095:10095::/:/usr/sbin/nologin\n' >"$to/etc/passwd"
printf 'root:x:0:\nshadow-sidecar:x:10095:\n' >"$to/etc/group"
python3 -m compileall -q -j 0 "$to/usr/lib/$python" || true # some files of its own are no Python 3.11
ldconfig -r "$to" 2>/dev/null || true

# Which packages that is, with their versions and licences.
find "$to" -type f | sed "s#^$to##" | while read -r each; do
    dpkg-query -S "$each" 2>/dev/null || dpkg-query -S "${each#/usr}" 2>/dev/null || true
done | cut -d: -f1 | sort -u | while read -r package; do
    dpkg-query -s "$package" >"$to/var/lib/dpkg/status.d/$package"
    if [ -f "/usr/share/doc/$package/copyright" ]; then
        mkdir -p "$to/usr/share/doc/$package"
        cp -L "/usr/share/doc/$package/copyright" "$to/usr/share/doc/$package/"
    fi
done
rm -f "$listed" "$loaded"
