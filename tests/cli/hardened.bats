# How the three programs are linked, in any build: they run as root, the probe in containers.

setup() {
    HARDENED="$NVL_BUILD/src/cli/nvlxc $NVL_BUILD/src/hook/hook"
    PROBE="$NVL_BUILD/src/probe/probe"
    # a sanitizer has its own checks, which do not go together with all of these
    ! nm -D "$NVL_BUILD/src/cli/nvlxc" | grep -q '__asan_init' || skip "built with sanitizers"
}

@test "no program has a stack that can be executed, a table that can be overwritten, or a path for libraries" {
    local program said
    for program in $HARDENED $PROBE; do
        said=$(readelf -lW "$program")
        grep -Eq 'GNU_STACK.* RW +0x' <<< "$said" || { echo "$program: $said"; false; }
        grep -q GNU_RELRO <<< "$said" || { echo "$program: $said"; false; }
        ! grep -Eq 'LOAD.* RWE ' <<< "$said" || { echo "$program: $said"; false; }
        said=$(readelf -dW "$program")
        grep -Eq 'BIND_NOW' <<< "$said" || { echo "$program: $said"; false; }
        ! grep -Eq 'RPATH|RUNPATH|TEXTREL' <<< "$said" || { echo "$program: $said"; false; }
    done
}

@test "program and hook are loaded anywhere, guard their stack, and check sizes" {
    local program said
    for program in $HARDENED; do
        readelf -hW "$program" | grep -q 'DYN (Position-Independent Executable file)'
        said=$(nm "$program" 2>/dev/null)$(nm -D "$program" 2>/dev/null)
        [ -n "$said" ] || continue # static and stripped: as installed
        grep -q '__stack_chk_fail' <<< "$said" || { echo "$program has no guarded stack"; false; }
        grep -Eq ' [A-Za-z] _*(snprintf|memcpy|read|vsnprintf|fprintf|vasprintf)_chk' <<< "$said" || { echo "$program checks no size: $said"; false; }
    done
    # branches land only on marked places, where the processor can demand that
    case $(readelf -h "$NVL_BUILD/src/cli/nvlxc") in
    *X86-64*) [ "$(objdump -d "$NVL_BUILD/src/cli/nvlxc" | grep -c endbr64)" -gt 500 ] ;;
    *AArch64*) [ "$("$(command -v aarch64-linux-gnu-objdump || echo objdump)" -d "$NVL_BUILD/src/cli/nvlxc" | grep -Ec 'paciasp|bti')" -gt 500 ] ;;
    esac
}

@test "the hook needs no loader: what a container has for one is not asked" {
    ! readelf -lW "$NVL_BUILD/src/hook/hook" | grep INTERP
    ! readelf -dW "$NVL_BUILD/src/hook/hook" | grep NEEDED
}

@test "all load where pages have 64 KiB, as many kernels for arm64 have" {
    local program
    readelf -h "$NVL_BUILD/src/cli/nvlxc" | grep -q AArch64 || skip "pages of x86-64 have 4 KiB"
    for program in $HARDENED $PROBE; do
        [ "$(readelf -lW "$program" | awk '$1 == "LOAD" { print $NF }' | sort -u)" = 0x10000 ]
    done
}
