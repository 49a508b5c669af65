# shellcheck shell=bash disable=SC2034
# What every file of this folder loads.
bats_require_minimum_version 1.5.0
# shellcheck source=/dev/null
source "$NVL_SOURCE/tests/lib/simulated-host.bash"
# shellcheck source=/dev/null
source "$NVL_SOURCE/tests/lib/incus.bash"
