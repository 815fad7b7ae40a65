// Command hq is headquarters: the one keeper of Stripe keys, for one store or for
// ten thousand.
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

	"storehub/hq"
)

func main() { os.Exit(run(context.Background(), os.Args[1:], os.Stdin, os.Stdout, os.Stderr)) }

// The exit codes, for ever: people script against them.
const (
	exitFine     = 0
	exitUsage    = 2 // wrong usage or configuration; the unit does not try again
	exitCouldNot = 3 // could not run
)

// cli is every command there is.
type cli struct {
	Config string `help:"Headquarters' configuration file." placeholder:"FILE" env:"STOREHUB_CONFIG" type:"path"`

	Serve      serveCmd      `cmd:"" help:"Run headquarters."`
	Store      storeCmd      `cmd:"" help:"Keep the record of stores."`
	Settings   configCmd     `cmd:"" name:"config" help:"Make or check a configuration file."`
	Version    versionCmd    `cmd:"" help:"Say which build this is."`
	Completion completionCmd `cmd:"" help:"Write a shell's completion script."`
}

// app is what a command may touch.
type app struct {
	ctx    context.Context
	stdin  io.Reader
	stdout io.Writer
	stderr io.Writer
	config string // --config or STOREHUB_CONFIG; "": the default file
	model  *kong.Application
}

// run picks a command and owns the exit code.
func run(ctx context.Context, args []string, stdin io.Reader, stdout, stderr io.Writer) (code int) {
	// Help ends the parsing from within.
	type ended int
	defer func() {
		switch r := recover().(type) {
		case nil:
		case ended:
			code = int(r)
		default:
			panic(r)
		}
	}()
	var c cli
	parser := kong.Must(&c,
		kong.Name("hq"),
		kong.Description("Headquarters of Store Hub: it alone holds Stripe keys."),
		kong.Writers(stdout, stderr),
		kong.Exit(func(code int) { panic(ended(code)) }),
		kong.ConfigureHelp(kong.HelpOptions{Compact: true, NoExpandSubcommands: true, WrapUpperBound: 100}),
	)
	a := &app{ctx: ctx, stdin: stdin, stdout: stdout, stderr: stderr, model: parser.Model}
	parsed, err := parser.Parse(args)
	if err != nil {
		return a.fail(usage("hq --help", "read arguments: %w", err))
	}
	a.config = c.Config
	return a.fail(parsed.Run(a))
}

// failure is an error with what a person can do about it.
type failure struct {
	code int
	err  error
	hint string
}

// Error is the cause.
func (f *failure) Error() string { return f.err.Error() }

// Unwrap gives the cause.
func (f *failure) Unwrap() error { return f.err }

// usage is a fault of the arguments or the configuration.
func usage(hint, format string, args ...any) error {
	return &failure{exitUsage, fmt.Errorf(format, args...), hint}
}

// couldNot is anything else that keeps a command from its work.
func couldNot(hint, format string, args ...any) error {
	return &failure{exitCouldNot, fmt.Errorf(format, args...), hint}
}

// fail says what went wrong and gives the exit code.
func (a *app) fail(err error) int {
	if err == nil {
		return exitFine
	}
	var f *failure
	var config *hq.ConfigError
	switch {
	case errors.As(err, &f):
	case errors.As(err, &config):
		f = &failure{exitUsage, err, "`hq config init --print` shows every key with its default"}
	case errors.Is(err, os.ErrPermission):
		f = &failure{exitCouldNot, err, "run this as the service's user, or name other files with --config"}
	default:
		f = &failure{exitCouldNot, err, ""}
	}
	fmt.Fprintln(a.stderr, "hq:", err)
	if f.hint != "" {
		fmt.Fprintln(a.stderr, "hint:", f.hint)
	}
	return f.code
}

// configFile is the file to use.
func (a *app) configFile() string { return cmp.Or(a.config, defaultConfig()) }

// defaultConfig is where the packages put it.
func defaultConfig() string {
	if runtime.GOOS == "windows" {
		return filepath.Join(os.Getenv("ProgramData"), "storehub", "hq.yaml")
	}
	return "/etc/storehub/hq.yaml"
}

// load reads the configuration, which must be there.
func (a *app) load() (hq.Config, error) {
	file := a.configFile()
	f, err := os.Open(file)
	if err != nil {
		return hq.Config{}, usage("name the file with --config, or make one with `hq config init`", "read configuration: %w", err)
	}
	defer f.Close()
	return hq.ParseConfig(f, file)
}
