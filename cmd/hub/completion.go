package main

import (
	"fmt"
	"io"
	"strings"

	"github.com/alecthomas/kong"
)

type completionCmd struct {
	Shell string `arg:"" enum:"bash,zsh,fish" help:"bash, zsh or fish."`
}

// Help is how to use it.
func (completionCmd) Help() string {
	return `Examples:

  hub completion bash > /etc/bash_completion.d/hub
  hub completion zsh > "${fpath[1]}/_hub"
  hub completion fish > ~/.config/fish/completions/hub.fish`
}

// Run writes the script, made from the commands themselves.
func (c *completionCmd) Run(a *app) error {
	words := map[string][]string{}
	collect(a.model.Node, "", words)
	switch c.Shell {
	case "fish":
		return fish(a.stdout, a.model.Node)
	case "zsh":
		if _, err := io.WriteString(a.stdout, "#compdef hub\nautoload -U +X bashcompinit && bashcompinit\n"); err != nil {
			return err
		}
	}
	return bash(a.stdout, a.model.Node, words)
}

// collect finds the words that may follow each command.
func collect(n *kong.Node, path string, words map[string][]string) {
	for _, child := range n.Children {
		if child.Type == kong.CommandNode && !child.Hidden {
			words[path] = append(words[path], child.Name)
			collect(child, strings.TrimSpace(path+" "+child.Name), words)
		}
	}
	for _, group := range n.AllFlags(true) {
		for _, f := range group {
			words[path] = append(words[path], "--"+f.Name)
		}
	}
}

// commands visits every command in the order of the help.
func commands(n *kong.Node, path string, visit func(path string, n *kong.Node)) {
	visit(path, n)
	for _, child := range n.Children {
		if child.Type == kong.CommandNode && !child.Hidden {
			commands(child, strings.TrimSpace(path+" "+child.Name), visit)
		}
	}
}

// bash completes the word after the longest command that has been typed; where a
// flag wants a file, the shell's own completion of files stands in.
func bash(w io.Writer, root *kong.Node, words map[string][]string) error {
	var cases strings.Builder
	commands(root, "", func(path string, _ *kong.Node) {
		fmt.Fprintf(&cases, "    %q) words=%q ;;\n", path, strings.Join(words[path], " "))
	})
	_, err := fmt.Fprintf(w, `_hub() {
  local path="" w words i
  for ((i = 1; i < COMP_CWORD; i++)); do
    w="${COMP_WORDS[i]}"
    [[ $w == -* ]] && continue
    case " $(_hub_words "$path") " in *" $w "*) path="${path:+$path }$w" ;; esac
  done
  words="$(_hub_words "$path")"
  COMPREPLY=($(compgen -W "$words" -- "${COMP_WORDS[COMP_CWORD]}"))
}
_hub_words() {
  local words=""
  case "$1" in
%s  esac
  echo "$words"
}
complete -o default -F _hub hub
`, cases.String())
	return err
}

// fish completes with the help of each command beside it.
func fish(w io.Writer, root *kong.Node) error {
	var b strings.Builder
	b.WriteString("complete -c hub -e\n")
	commands(root, "", func(path string, n *kong.Node) {
		condition := "__fish_use_subcommand"
		if path != "" {
			condition = "__fish_seen_subcommand_from " + path[strings.LastIndex(path, " ")+1:]
		}
		for _, child := range n.Children {
			if child.Type == kong.CommandNode && !child.Hidden {
				fmt.Fprintf(&b, "complete -c hub -f -n %s -a %s -d %s\n", fishQuote(condition), child.Name, fishQuote(child.Help))
			}
		}
		for _, f := range n.Flags {
			fmt.Fprintf(&b, "complete -c hub -n %s -l %s -d %s\n", fishQuote(condition), f.Name, fishQuote(f.Help))
		}
	})
	_, err := io.WriteString(w, b.String())
	return err
}

// fishQuote is a string as fish reads it.
func fishQuote(s string) string {
	return "'" + strings.NewReplacer(`\`, `\\`, `'`, `\'`).Replace(s) + "'"
}
