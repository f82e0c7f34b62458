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

# In a database of the browsers, a folder.
in_browser() {
    held=$(certutil -d "sql:$1" -L -n "$name" -a 2>/dev/null | fingerprint)
    if [ -z "$remove" ]; then
        [ -f "$1/cert9.db" ] || { mkdir -p "$1" && certutil -d "sql:$1" -N --empty-password; }
        certutil -d "sql:$1" -A -t C,, -n "$name" -i "$root"
        echo "trusted by the browser of $1"
    elif [ "$held" = "$sha256" ]; then
        certutil -d "sql:$1" -D -n "$name"
        echo "removed from the browser of $1"
    fi
}

browsers() {
    command -v certutil >/dev/null || die "The tool certutil is missing. Install it, then run this again:
  Debian, Ubuntu, Mint  sudo apt install libnss3-tools
  Fedora                sudo dnf install nss-tools
  Arch                  sudo pacman -S nss
  openSUSE              sudo zypper install mozilla-nss-tools"
    # Chromium and its relatives read the old place alone if it is there.
    if [ -d "$HOME/.pki/nssdb" ]; then
        in_browser "$HOME/.pki/nssdb"
    else
        in_browser "${XDG_DATA_HOME:-$HOME/.local/share}/pki/nssdb"
    fi
    for folder in "$HOME"/snap/chromium/current/.pki/nssdb \
        "$HOME"/.mozilla/firefox/*/ "${XDG_CONFIG_HOME:-$HOME/.config}"/mozilla/firefox/*/ \
        "$HOME"/snap/firefox/common/.mozilla/firefox/*/ \
        "$HOME"/.var/app/org.mozilla.firefox/.mozilla/firefox/*/; do
        [ -f "$folder/cert9.db" ] || continue
        in_browser "${folder%/}"
    done
    echo "Close the browser and open it again."
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
