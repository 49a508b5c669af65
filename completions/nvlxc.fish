# fish completion for nvlxc(8): `nvlxc complete` says what can stand there.

function __nvlxc_complete
    set -l words (commandline -opc)
    set -l typed (commandline -ct)
    # of "--output=FILE", the path alone is completed as one
    set -l before (string match -r -- '^--[^=]*=' $typed)
    set -l path (string replace -r -- '^--[^=]*=' '' $typed)

    for line in (command nvlxc complete -- $words[2..-1] "$typed" 2>/dev/null)
        switch $line
            case \tfiles
                printf '%s\n' "$before"(__fish_complete_path $path)
            case \tfolders
                printf '%s\n' "$before"(__fish_complete_directories $path '')
            case \t'*'
            case '*'
                printf '%s\n' $line
        end
    end
end

complete -c nvlxc -f -k -a '(__nvlxc_complete)'
