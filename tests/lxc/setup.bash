# shellcheck shell=bash disable=SC2034,SC2154
# What every file of this folder loads.
bats_require_minimum_version 1.5.0
# shellcheck source=/dev/null
source "$NVL_SOURCE/tests/lib/simulated-host.bash"
# shellcheck source=/dev/null
source "$NVL_SOURCE/tests/lib/lxc.bash"

A5500=GPU-3291dfa4-fcc4-0110-615b-c894a0d7c689
BUNDLE=/usr/local/nvidia

# says TEXT…: the output of the last `run` has each of them, also where it is wrapped.
says() {
    local text flat
    flat=$(tr -s ' \n' ' ' <<<"$output")
    for text; do
        [[ $output == *"$text"* || $flat == *"$text"* ]] || { echo "expected: $text"; echo "got: $output"; return 1; }
    done
}
