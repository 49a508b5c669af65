# shellcheck shell=bash
# Debian packages of any release and architecture, from the archive and with the keyring that the machine's own apt sources
# name; apt works in a folder of its own, and nothing is installed. Sourced by bash.

# One line for each Debian archive in the machine's sources: "URI suite component… | option: value | …".
list_sources() {
    local parts=/etc/apt/sources.list.d file
    for file in "$parts"/*.sources; do
        [ -f "$file" ] || continue
        awk '
            function flush(  n, i, list) {
                n = split(field["uris"], list, " ")
                for (i = 1; i <= n && field["enabled"] !~ /^no$/; i++)
                    print list[i] "|" field["suites"] "|" field["components"] "|" field["signed-by"]
                delete field
            }
            /^[[:space:]]*$/ { flush(); next }
            /^#/ { next }
            /^[[:space:]]/ { next }
            { key = tolower($0); sub(/:.*/, "", key); value = $0; sub(/^[^:]*:[[:space:]]*/, "", value); field[key] = value }
            END { flush() }' "$file"
    done
    for file in /etc/apt/sources.list "$parts"/*.list; do
        [ -f "$file" ] || continue
        sed -n 's/[[:space:]]*#.*//; s/^deb[[:space:]]\+//p' "$file" | awk '
            {
                signed = ""
                if (substr($0, 1, 1) == "[") {
                    options = $0; sub(/^\[/, "", options); sub(/\].*/, "", options); sub(/^\[[^]]*\][[:space:]]*/, "")
                    n = split(options, option, " ")
                    for (i = 1; i <= n; i++)
                        if (option[i] ~ /^signed-by=/) { signed = option[i]; sub(/^signed-by=/, "", signed) }
                }
                components = ""
                for (i = 3; i <= NF; i++) components = components " " $i
                print $1 "|" $2 "|" components "|" signed
            }'
    done
}

# The main archive: "URI|keyring". Debian's own suite beats another vendor's that calls itself "stable main".
main_archive() {
    local codename
    # shellcheck source=/dev/null
    codename=$(. /etc/os-release && echo "${VERSION_CODENAME:-}")
    list_sources | awk -F'|' -v codename="$codename" '
        {
            wanted = main = 0
            n = split($2, suite, " ")
            for (i = 1; i <= n; i++) {
                if (suite[i] == codename) wanted = 2
                else if (suite[i] ~ /^(bookworm|trixie|stable|oldstable|testing)$/ && wanted < 1) wanted = 1
            }
            n = split($3, component, " ")
            for (i = 1; i <= n; i++) if (component[i] == "main") main = 1
            rank = wanted * 2 + ($1 ~ /\/debian\/?$/)
            if (wanted && main && $1 !~ /security/ && rank > best) { best = rank; line = $1 "|" $4 }
        }
        END { if (best) print line }'
}

# apt_here FOLDER TOOL ARGUMENTS...
apt_here() {
    local apt=$1 tool=$2
    shift 2
    "$tool" -q -o Dir::State="$apt/state" -o Dir::State::status="$apt/status" -o Dir::Cache="$apt/cache" \
        -o Dir::Etc::sourcelist=/dev/null -o Dir::Etc::sourceparts="$apt/sources" \
        -o Dir::Etc::preferences=/dev/null -o Dir::Etc::preferencesparts=/dev/null \
        -o APT::Architecture=amd64 -o APT::Architectures::=amd64 -o APT::Architectures::=i386 \
        ${NVL_APT_ARCHITECTURE:+-o APT::Architectures::="$NVL_APT_ARCHITECTURE"} \
        -o APT::Sandbox::User=root -o APT::Update::Post-Invoke=true -o Acquire::Languages=none \
        -o Acquire::Retries=3 "$@"
}

# apt_refresh FOLDER SUITE COMPONENT
apt_refresh() {
    local apt=$1 archive uri keyring
    archive=$(main_archive)
    [ -n "$archive" ] || { echo "the machine's apt sources name no Debian archive" >&2; return 1; }
    uri=${archive%%|*} keyring=${archive#*|}
    mkdir -p "$apt/state/lists/partial" "$apt/cache/archives/partial" "$apt/sources"
    : >"$apt/status"
    {
        printf 'Types: deb\nURIs: %s\nSuites: %s\nComponents: %s\n' "$uri" "$2" "$3"
        [ -z "$keyring" ] || printf 'Signed-By: %s\n' "$keyring"
    } >"$apt/sources/debian.sources"
    apt_here "$apt" apt-get update >"$apt/update.log" 2>&1 || { cat "$apt/update.log" >&2; return 1; }
}

# apt_download FOLDER SUITE COMPONENT PACKAGE:ARCH...: the .deb files, complete or none, into the folder.
apt_download() {
    local folder=$1 suite=$2 partial=$1/partial-$2
    apt_refresh "$folder/apt-$suite" "$suite" "$3" || return 1
    shift 3
    rm -rf "$partial"
    mkdir -p "$partial"
    (cd "$partial" && apt_here "$folder/apt-$suite" apt-get download "$@" >fetch.log 2>&1) ||
        { cat "$partial/fetch.log" >&2; return 1; }
    mv "$partial"/*.deb "$folder"
    rm -rf "$partial"
}
