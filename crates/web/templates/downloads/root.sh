#!/bin/sh
# Makes the browsers of this computer trust one root certificate, the one below; --remove takes that one away again.
#
#   sh FILE                 for your user: Chrome, Chromium, Edge, Brave, Firefox
#   sudo sh FILE --system   for the system: curl, Python and other programs
#   ... --remove            undoes the same
set -eu

sha256={{ sha256 }}
name=camlock-root-{{ tag }}
system=
remove=
for word in "$@"; do
    case $word in
    --system) system=1 ;;
    --remove) remove=1 ;;
    *)
        echo "usage: sh $0 [--system] [--remove]" >&2
        exit 2
        ;;
    esac
done

die() {
    echo "$*" >&2
    exit 1
}

work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
root=$work/root.pem
cat >"$root" <<'END'
-----BEGIN CERTIFICATE-----
{{ der }}
-----END CERTIFICATE-----
END

# The fingerprint of the first certificate on standard input; certutil ends its lines as Windows does.
fingerprint() {
    tr -d '\r' | sed '/-----END/q' | sed '/-----/d' | base64 -d | sha256sum | cut -d ' ' -f 1
}
[ "$(fingerprint <"$root")" = "$sha256" ] || die "This file is damaged. Download it again."

# In a database of the browsers, a folder. One that cannot be changed is told, and the next ones are not left out for it.
in_browser() {
    held=$(certutil -d "sql:$1" -L -n "$name" -a 2>/dev/null | fingerprint)
    if [ -z "$remove" ]; then
        [ -f "$1/cert9.db" ] || { mkdir -p "$1" && certutil -d "sql:$1" -N --empty-password; } || return 0
        # With a primary password nobody is asked: an empty file is the wrong one.
        if certutil -d "sql:$1" -A -t C,, -n "$name" -i "$root" -f /dev/null 2>"$work/why"; then
            echo "trusted by the browser of $1"
            touched=1
            return 0
        fi
        # It would stay there, and not be trusted.
        [ "$held" = "$sha256" ] || certutil -d "sql:$1" -D -n "$name" -f /dev/null 2>/dev/null || true
        echo "NOT trusted by the browser of $1: it has a primary password, or its files cannot be written." >&2
        echo "  Import the root by hand in that browser's settings. ($(tail -n 1 "$work/why"))" >&2
        failed=1
    elif [ "$held" = "$sha256" ]; then
        touched=1
        if certutil -d "sql:$1" -D -n "$name" -f /dev/null 2>"$work/why"; then
            echo "removed from the browser of $1"
        else
            echo "NOT removed from the browser of $1 ($(tail -n 1 "$work/why"))" >&2
            failed=1
        fi
    fi
}

# Chromium and its relatives read the old place alone if it is there; what is removed may be in either.
in_chromium() {
    if [ -d "$1/.pki/nssdb" ]; then in_browser "$1/.pki/nssdb"; fi
    if [ ! -d "$1/.pki/nssdb" ] || { [ -n "$remove" ] && [ -f "$2/pki/nssdb/cert9.db" ]; }; then
        in_browser "$2/pki/nssdb"
    fi
}

browsers() {
    [ -z "${SUDO_USER:-}" ] || die "With sudo this would change root's browsers and not yours.
  For your own browsers, without sudo:  sh $0
  For the system's other programs:      sudo sh $0 --system"
    command -v certutil >/dev/null || die "The tool certutil is missing. Install it, then run this again:
  Debian, Ubuntu, Mint  sudo apt install libnss3-tools
  Fedora                sudo dnf install nss-tools
  Arch                  sudo pacman -S nss
  openSUSE              sudo zypper install mozilla-nss-tools"
    touched=
    failed=
    in_chromium "$HOME" "${XDG_DATA_HOME:-$HOME/.local/share}"
    snap=$HOME/snap/chromium/current
    if [ -d "$snap" ]; then in_chromium "$snap" "$snap/.local/share"; fi
    for flatpak in "$HOME/.var/app/org.chromium.Chromium" "$HOME/.var/app/com.google.Chrome"; do
        if [ -d "$flatpak" ]; then in_chromium "$flatpak" "$flatpak/data"; fi
    done
    for folder in "$HOME"/.mozilla/firefox/*/ "${XDG_CONFIG_HOME:-$HOME/.config}"/mozilla/firefox/*/ \
        "$HOME"/snap/firefox/common/.mozilla/firefox/*/ \
        "$HOME"/.var/app/org.mozilla.firefox/.mozilla/firefox/*/ \
        "$HOME"/.var/app/org.mozilla.firefox/config/mozilla/firefox/*/; do
        [ -f "$folder/cert9.db" ] || continue
        in_browser "${folder%/}"
    done
    if [ -n "$touched" ]; then
        echo "Close the browser and open it again."
    elif [ -n "$remove" ]; then
        echo "It was in none of your browsers."
    fi
    [ -z "$failed" ]
}

# Copies the root to where the system looks for such files, and lets it take note.
in_system() {
    file=$1/$name.$2
    shift 2
    if [ -z "$remove" ]; then
        echo "note: programs built on mbedTLS may not read the system's list with this root in it"
        cp "$root" "$file"
        chmod 644 "$file"
    elif [ -f "$file" ]; then
        [ "$(fingerprint <"$file")" = "$sha256" ] || die "$file holds another certificate and was not touched."
        rm "$file"
    fi
    "$@"
}

if [ -z "$system" ]; then
    browsers
elif [ -d /etc/pki/ca-trust/source/anchors ]; then
    in_system /etc/pki/ca-trust/source/anchors pem update-ca-trust extract
elif [ -d /usr/local/share/ca-certificates ]; then
    in_system /usr/local/share/ca-certificates crt update-ca-certificates
elif [ -d /etc/ca-certificates/trust-source/anchors ]; then
    in_system /etc/ca-certificates/trust-source/anchors crt trust extract-compat
elif [ -d /usr/share/pki/trust/anchors ]; then
    in_system /usr/share/pki/trust/anchors pem update-ca-certificates
else
    die "This system keeps its certificates where this script does not know."
fi
