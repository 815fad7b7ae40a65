package cli

import (
	"fmt"
	"io"
	"strings"

	"github.com/alecthomas/kong"
)

// Complete writes a shell's completion script, made from the commands themselves.
func Complete(w io.Writer, model *kong.Application, shell string) error {
	switch shell {
	case "fish":
		return fish(w, model.Node)
	case "zsh":
		if _, err := fmt.Fprintf(w, "#compdef %s\nautoload -U +X bashcompinit && bashcompinit\n", model.Name); err != nil {
			return err
		}
	}
	return bash(w, model.Node)
}

// words are what may follow a command: its commands, and all flags that hold there.
func words(n *kong.Node) []string {
	var words []string
	for _, child := range n.Children {
		if child.Type == kong.CommandNode && !child.Hidden {
			words = append(words, child.Name)
		}
	}
	for _, group := range n.AllFlags(true) {
		for _, f := range group {
			words = append(words, "--"+f.Name)
		}
	}
	return words
}

// Walk visits every command in the order of the help; path is what is typed for it.
func Walk(n *kong.Node, path string, visit func(path string, n *kong.Node)) {
	visit(path, n)
	for _, child := range n.Children {
		if child.Type == kong.CommandNode && !child.Hidden {
			Walk(child, strings.TrimSpace(path+" "+child.Name), visit)
		}
	}
}

// bash completes the word after the longest command that has been typed; where a
// flag wants a file, the shell's own completion of files stands in.
func bash(w io.Writer, root *kong.Node) error {
	var cases strings.Builder
	Walk(root, "", func(path string, n *kong.Node) {
		fmt.Fprintf(&cases, "    %q) words=%q ;;\n", path, strings.Join(words(n), " "))
	})
	_, err := fmt.Fprintf(w, `_%[1]s() {
  local path="" w words i
  for ((i = 1; i < COMP_CWORD; i++)); do
    w="${COMP_WORDS[i]}"
    [[ $w == -* ]] && continue
    case " $(_%[1]s_words "$path") " in *" $w "*) path="${path:+$path }$w" ;; esac
  done
  words="$(_%[1]s_words "$path")"
  COMPREPLY=($(compgen -W "$words" -- "${COMP_WORDS[COMP_CWORD]}"))
}
_%[1]s_words() {
  local words=""
  case "$1" in
%[2]s  esac
  echo "$words"
}
complete -o default -F _%[1]s %[1]s
`, root.Name, cases.String())
	return err
}

// fish completes with the help of each command beside it.
func fish(w io.Writer, root *kong.Node) error {
	var b strings.Builder
	fmt.Fprintf(&b, "complete -c %s -e\n", root.Name)
	Walk(root, "", func(path string, n *kong.Node) {
		condition := "__fish_use_subcommand"
		if path != "" {
			condition = "__fish_seen_subcommand_from " + path[strings.LastIndex(path, " ")+1:]
		}
		for _, child := range n.Children {
			if child.Type == kong.CommandNode && !child.Hidden {
				fmt.Fprintf(&b, "complete -c %s -f -n %s -a %s -d %s\n", root.Name, fishQuote(condition), child.Name, fishQuote(child.Help))
			}
		}
		for _, f := range n.Flags {
			fmt.Fprintf(&b, "complete -c %s -n %s -l %s -d %s\n", root.Name, fishQuote(condition), f.Name, fishQuote(f.Help))
		}
	})
	_, err := io.WriteString(w, b.String())
	return err
}

// fishQuote is a string as fish reads it.
func fishQuote(s string) string {
	return "'" + strings.NewReplacer(`\`, `\\`, `'`, `\'`).Replace(s) + "'"
}
