# bash completion for nvlxc(8)                             -*- shell-script -*-
# `nvlxc complete` says what can stand there; what it prints is never expanded.

_nvlxc() {
    local words=() word line before='' last joined=false i

    # bash splits "--gpu=0" and "0000:01:00.0" into three words each, and replaces only the last one
    for ((i = 1; i <= COMP_CWORD; i++)); do
        word=${COMP_WORDS[i]}
        if ((${#words[@]} > 0)) && { [[ $word == [=:]* ]] || { $joined && [ -n "$word" ]; }; }; then
            words[-1]+=$word
        else
            words+=("$word")
        fi
        joined=false
        [[ $word != *[=:] ]] || joined=true
    done
    last=${words[-1]}
    [[ $last != *[=:]* ]] || before=${last%"${last##*[=:]}"}
    last=${last#"$before"}

    COMPREPLY=()
    while IFS= read -r line; do
        case $line in
            $'\tcommas') compopt -o nospace 2>/dev/null ;;
            $'\tfiles')
                compopt -o filenames 2>/dev/null
                mapfile -t -O "${#COMPREPLY[@]}" COMPREPLY < <(compgen -f -- "$last")
                ;;
            $'\tfolders')
                compopt -o filenames 2>/dev/null
                mapfile -t -O "${#COMPREPLY[@]}" COMPREPLY < <(compgen -d -- "$last")
                ;;
            *)
                word=${line%%$'\t'*}
                COMPREPLY+=("${word#"$before"}")
                ;;
        esac
    done < <(command nvlxc complete -- "${words[@]}" 2>/dev/null)
}

complete -o nosort -F _nvlxc nvlxc
