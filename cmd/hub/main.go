// Command hub is the one program in the store: the daemon, and everything a
// person does with it.
package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"runtime"

	"github.com/alecthomas/kong"
	"golang.org/x/term"

	"storehub/doors"
	"storehub/hub"
)

func main() { os.Exit(run(context.Background(), os.Args[1:], os.Stdin, os.Stdout, os.Stderr)) }

// The exit codes, for ever: people script against them.
const (
	exitFine     = 0
	exitWrong    = 1 // something is wrong, as the command defines it
	exitUsage    = 2 // wrong usage or configuration; the units do not try again
	exitCouldNot = 3 // could not run
)

// cli is every command there is.
type cli struct {
	Config string `help:"The hub's configuration file." placeholder:"FILE" env:"STOREHUB_CONFIG"`

	Try        tryCmd        `cmd:"" help:"Run the whole system on this machine: Stripe sandbox, headquarters, hub, three readers."`
	Serve      serveCmd      `cmd:"" help:"Run the hub of this store."`
	Diagnose   diagnoseCmd   `cmd:"" help:"Say what is wrong with payments here, with proof."`
	Checklist  checklistCmd  `cmd:"" help:"Check the 15 items of Stripe's Terminal deployment checklist."`
	Readers    readersCmd    `cmd:"" help:"Look at the store's readers."`
	Queue      queueCmd      `cmd:"" help:"Look at what was promised to tills, and what became of it."`
	Pair       pairCmd       `cmd:"" help:"Give a till its credential."`
	Enroll     enrollCmd     `cmd:"" help:"Make this machine the hub of a store."`
	Console    consoleCmd    `cmd:"" help:"Print a one-time link into the running hub's console."`
	Service    serviceCmd    `cmd:"" help:"Run the hub as a service of this machine."`
	Settings   configCmd     `cmd:"" name:"config" help:"Make or check a configuration file."`
	Bundle     bundleCmd     `cmd:"" help:"Pack what support needs into one file."`
	Version    versionCmd    `cmd:"" help:"Say which build this is."`
	Completion completionCmd `cmd:"" help:"Write a shell's completion script."`
}

// app is what a command may touch.
type app struct {
	ctx    context.Context
	stdin  io.Reader
	stdout io.Writer
	stderr io.Writer
	config string // --config or STOREHUB_CONFIG; "": the default file, which may be missing
	model  *kong.Application
}

// run picks a command and owns the exit code.
func run(ctx context.Context, args []string, stdin io.Reader, stdout, stderr io.Writer) (code int) {
	// Help ends the parsing from within.
	type ended int
	defer func() {
		if r := recover(); r != nil {
			e, ok := r.(ended)
			if !ok {
				panic(r)
			}
			code = int(e)
		}
	}()
	var c cli
	parser := kong.Must(&c,
		kong.Name("hub"),
		kong.Description("Store Hub makes Stripe Terminal work in one shop, and proves that it does."),
		kong.Writers(stdout, stderr),
		kong.Exit(func(code int) { panic(ended(code)) }),
		kong.ConfigureHelp(kong.HelpOptions{Compact: true, NoExpandSubcommands: true, WrapUpperBound: 100}),
	)
	a := &app{ctx: ctx, stdin: stdin, stdout: stdout, stderr: stderr, model: parser.Model}
	parsed, err := parser.Parse(args)
	if err != nil {
		hint := "hub --help"
		var wrong *kong.ParseError
		if errors.As(err, &wrong) && wrong.Context != nil && wrong.Context.Command() != "" {
			hint = "hub " + commandOnly(wrong.Context) + " --help"
		}
		return a.fail(usage(hint, "read arguments: %w", err))
	}
	a.config = c.Config
	return a.fail(parsed.Run(a))
}

// commandOnly is the command as typed, without its arguments.
func commandOnly(c *kong.Context) string {
	var s string
	for _, p := range c.Path {
		if p.Command != nil {
			s += " " + p.Command.Name
		}
	}
	return s[min(1, len(s)):]
}

// failure is an error with what a person can do about it.
type failure struct {
	code int
	err  error // nil: everything has been said
	hint string
}

// Error is the cause.
func (f *failure) Error() string { return fmt.Sprint(f.err) }

// Unwrap gives the cause.
func (f *failure) Unwrap() error { return f.err }

// usage is a fault of the arguments or the configuration.
func usage(hint, format string, args ...any) error {
	return &failure{exitUsage, fmt.Errorf(format, args...), hint}
}

// wrong is an answer nobody wanted.
func wrong(hint, format string, args ...any) error {
	return &failure{exitWrong, fmt.Errorf(format, args...), hint}
}

// couldNot is anything else that keeps a command from its work.
func couldNot(hint, format string, args ...any) error {
	return &failure{exitCouldNot, fmt.Errorf(format, args...), hint}
}

// somethingWrong is the exit of a command that did its work and has said what it found.
var somethingWrong error = &failure{code: exitWrong}

// fail says what went wrong and gives the exit code.
func (a *app) fail(err error) int {
	if err == nil {
		return exitFine
	}
	f := &failure{}
	if !errors.As(err, &f) {
		f = known(err)
	}
	if f.err == nil {
		return f.code
	}
	fmt.Fprintln(a.stderr, "hub:", err)
	if f.hint != "" {
		fmt.Fprintln(a.stderr, "hint:", f.hint)
	}
	return f.code
}

// known gives an error from another room its exit code and hint.
func known(err error) *failure {
	var config *hub.ConfigError
	var refusal *doors.Error
	switch {
	case errors.As(err, &config):
		return &failure{exitUsage, err, "`hub config init --print` shows every key with its default"}
	case errors.Is(err, hub.ErrNotRunning):
		return &failure{exitCouldNot, err, "start it with `hub service start`, or name its file with --config"}
	case errors.Is(err, os.ErrPermission):
		return &failure{exitCouldNot, err, "run this as root, or as the hub's user"}
	case errors.As(err, &refusal) && refusal.Status == 404:
		return &failure{exitWrong, err, ""}
	case errors.As(err, &refusal) && refusal.Status < 500:
		return &failure{exitUsage, err, ""}
	}
	return &failure{exitCouldNot, err, ""}
}

// configFile is the file to use.
func (a *app) configFile() string { return cmp.Or(a.config, defaultConfig()) }

// defaultConfig is where the packages put it.
func defaultConfig() string {
	if runtime.GOOS == "windows" {
		return filepath.Join(os.Getenv("ProgramData"), "storehub", "hub.yaml")
	}
	return "/etc/storehub/hub.yaml"
}

// load reads the configuration, which must be there.
func (a *app) load() (hub.Config, error) {
	file := a.configFile()
	f, err := os.Open(file)
	if err != nil {
		return hub.Config{}, usage("name the file with --config, or make one with `hub config init`", "read configuration: %w", err)
	}
	defer f.Close()
	return hub.ParseConfig(f, file)
}

// dial reaches the running hub.
func (a *app) dial() (*hub.Admin, error) {
	c, err := a.load()
	if err != nil {
		return nil, err
	}
	return hub.DialAdmin(c.StateDir)
}

// isTerminal reports whether a person is on the other end.
func isTerminal(stream any) bool {
	f, ok := stream.(*os.File)
	return ok && term.IsTerminal(int(f.Fd()))
}

// colour reports whether stdout is to be coloured: https://no-color.org.
func (a *app) colour() bool {
	return isTerminal(a.stdout) && os.Getenv("NO_COLOR") == "" && os.Getenv("TERM") != "dumb"
}

// width is that of the terminal, or what fits any.
func (a *app) width() int {
	if f, ok := a.stdout.(*os.File); ok {
		if w, _, err := term.GetSize(int(f.Fd())); err == nil && w > 0 {
			return w
		}
	}
	return 80
}
