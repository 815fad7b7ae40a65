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

// Help is an example.
func (completionCmd) Help() string {
	return "Examples:\n\n  hq completion bash > /etc/bash_completion.d/hq\n  hq completion fish > ~/.config/fish/completions/hq.fish"
}

// Run writes the script, made from the commands themselves.
func (c *completionCmd) Run(a *app) error {
	words := completions(a.model.Node)
	switch c.Shell {
	case "fish":
		return fish(a.stdout, words)
	case "zsh":
		if _, err := io.WriteString(a.stdout, "autoload -U +X bashcompinit && bashcompinit\n"); err != nil {
			return err
		}
	}
	return bash(a.stdout, words)
}

// level is what can follow a command.
type level struct {
	path string // "store add"; "" at the top
	next []string
}

// completions lists commands and flags at every level, depth first.
func completions(root *kong.Node) []level {
	var list []level
	var walk func(n *kong.Node, path []string)
	walk = func(n *kong.Node, path []string) {
		l := level{path: strings.Join(path, " ")}
		for _, ch := range n.Children {
			if !ch.Hidden {
				l.next = append(l.next, ch.Name)
			}
		}
		for _, group := range n.AllFlags(true) {
			for _, f := range group {
				l.next = append(l.next, "--"+f.Name)
			}
		}
		list = append(list, l)
		for _, ch := range n.Children {
			if !ch.Hidden {
				walk(ch, append(path[:len(path):len(path)], ch.Name))
			}
		}
	}
	walk(root, nil)
	return list
}

func bash(w io.Writer, levels []level) error {
	var b strings.Builder
	b.WriteString("_hq() {\n  local w path=\"\"\n  for w in \"${COMP_WORDS[@]:1:COMP_CWORD-1}\"; do\n    [[ $w == -* ]] || path=\"${path:+$path }$w\"\n  done\n  case \"$path\" in\n")
	for _, l := range levels {
		fmt.Fprintf(&b, "    %q) COMPREPLY=($(compgen -W %q -- \"${COMP_WORDS[COMP_CWORD]}\")) ;;\n", l.path, strings.Join(l.next, " "))
	}
	b.WriteString("  esac\n}\ncomplete -o default -F _hq hq\n")
	_, err := io.WriteString(w, b.String())
	return err
}

func fish(w io.Writer, levels []level) error {
	var b strings.Builder
	for _, l := range levels {
		cond := "__fish_use_subcommand"
		if l.path != "" {
			words := strings.Fields(l.path)
			cond = "__fish_seen_subcommand_from " + words[len(words)-1]
		}
		for _, n := range l.next {
			if flag, ok := strings.CutPrefix(n, "--"); ok {
				fmt.Fprintf(&b, "complete -c hq -n '%s' -l %s\n", cond, flag)
			} else {
				fmt.Fprintf(&b, "complete -c hq -f -n '%s' -a %s\n", cond, n)
			}
		}
	}
	_, err := io.WriteString(w, b.String())
	return err
}
