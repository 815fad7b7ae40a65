// Package cli is what the command lines of hub and hq share: reading arguments, exit
// codes, errors with a hint, completion, the making of a configuration file.
package cli

import (
	"errors"
	"fmt"
	"io"
	"strings"

	"github.com/alecthomas/kong"
)

// The exit codes, for ever: people script against them.
const (
	ExitFine     = 0
	ExitWrong    = 1 // something is wrong, as the command defines it
	ExitUsage    = 2 // wrong usage or configuration; the units do not try again
	ExitCouldNot = 3 // could not run
)

// Failure is an error with its exit code and with what a person can do about it.
type Failure struct {
	Code int
	Err  error // nil: everything has been said
	Hint string
}

// Error is the cause.
func (f *Failure) Error() string { return fmt.Sprint(f.Err) }

// Unwrap gives the cause.
func (f *Failure) Unwrap() error { return f.Err }

// Usage is a fault of the arguments or the configuration.
func Usage(hint, format string, args ...any) error {
	return &Failure{ExitUsage, fmt.Errorf(format, args...), hint}
}

// Wrong is an answer nobody wanted.
func Wrong(hint, format string, args ...any) error {
	return &Failure{ExitWrong, fmt.Errorf(format, args...), hint}
}

// CouldNot is anything else that keeps a command from its work.
func CouldNot(hint, format string, args ...any) error {
	return &Failure{ExitCouldNot, fmt.Errorf(format, args...), hint}
}

// SomethingWrong is the exit of a command that did its work and has said what it found.
var SomethingWrong error = &Failure{Code: ExitWrong}

// Report says what went wrong, if anything did, and gives the exit code. An error
// that is no [*Failure] is one that known makes of it.
func Report(w io.Writer, program string, err error, known func(error) *Failure) int {
	if err == nil {
		return ExitFine
	}
	var f *Failure
	if !errors.As(err, &f) {
		f = known(err)
	}
	if f.Err == nil {
		return f.Code
	}
	fmt.Fprintf(w, "%s: %v\n", program, err)
	if f.Hint != "" {
		fmt.Fprintln(w, "hint:", f.Hint)
	}
	return f.Code
}

// Parse finds the command that the arguments name, and fills in commands. Help that
// was asked for is an error that [Report] has nothing to say to.
func Parse(program, description string, commands any, args []string, stdout, stderr io.Writer) (parsed *kong.Context, err error) {
	type ended int // kong ends the program from within
	defer func() {
		if r := recover(); r != nil {
			code, ok := r.(ended)
			if !ok {
				panic(r)
			}
			err = &Failure{Code: int(code)}
		}
	}()
	parser := kong.Must(commands,
		kong.Name(program),
		kong.Description(description),
		kong.Writers(stdout, stderr),
		kong.Exit(func(code int) { panic(ended(code)) }),
		kong.ConfigureHelp(kong.HelpOptions{Compact: true, NoExpandSubcommands: true, WrapUpperBound: 100}),
	)
	parsed, err = parser.Parse(args)
	if err == nil {
		return parsed, nil
	}
	hint := program + " --help"
	var unread *kong.ParseError
	if errors.As(err, &unread) && unread.Context != nil && unread.Context.Command() != "" {
		hint = program + command(unread.Context) + " --help"
	}
	return nil, Usage(hint, "read arguments: %w", err)
}

// command is the command as typed, without its arguments, each word after a space.
func command(c *kong.Context) string {
	var s strings.Builder
	for _, p := range c.Path {
		if p.Command != nil {
			s.WriteString(" " + p.Command.Name)
		}
	}
	return s.String()
}
