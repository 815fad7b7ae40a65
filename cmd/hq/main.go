// Command hq is headquarters: the one keeper of Stripe keys, for one store or for
// ten thousand.
package main

import (
	"cmp"
	"context"
	"errors"
	"io"
	"os"
	"path/filepath"
	"runtime"

	"github.com/alecthomas/kong"

	"storehub/hq"
	"storehub/internal/cli"
	"storehub/internal/yamlfile"
)

func main() { os.Exit(run(context.Background(), os.Args[1:], os.Stdin, os.Stdout, os.Stderr)) }

// commands is every command there is.
type commands struct {
	Config string `help:"Headquarters' configuration file." placeholder:"FILE" env:"STOREHUB_CONFIG" type:"path"`

	Serve       serveCmd       `cmd:"" help:"Run headquarters."`
	Store       storeCmd       `cmd:"" help:"Keep the record of stores."`
	Conformance conformanceCmd `cmd:"" help:"Ask a headquarters everything the wire demands of it."`
	Reconcile   reconcileCmd   `cmd:"" help:"Compare a day's orders, operations and Stripe; decide what waits for a person."`
	Checklist   checklistCmd   `cmd:"" help:"Show the stores' deployment checklists, the worst first."`
	Policy      policyCmd      `cmd:"" help:"Decide for shops what their hubs hold themselves to."`
	Console     consoleCmd     `cmd:"" help:"Make a link into the console, see who is in, sign people out."`
	Audit       auditCmd       `cmd:"" help:"Show who did what at headquarters, and when."`
	Reads       readsCmd       `cmd:"" help:"Say how much of Stripe's allocation of reads is used up."`
	Settings    configCmd      `cmd:"" name:"config" help:"Make or check a configuration file; compare and change what readers are told."`
	Version     versionCmd     `cmd:"" help:"Say which build this is."`
	Completion  completionCmd  `cmd:"" help:"Write a shell's completion script."`
	Man         manCmd         `cmd:"" hidden:"" help:"Write the manual page."`
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
func run(ctx context.Context, args []string, stdin io.Reader, stdout, stderr io.Writer) int {
	var c commands
	parsed, err := cli.Parse("hq", "Headquarters of Store Hub: it alone holds Stripe keys.", &c, args, stdout, stderr)
	if err == nil {
		err = parsed.Run(&app{ctx: ctx, stdin: stdin, stdout: stdout, stderr: stderr, config: c.Config, model: parsed.Model})
	}
	return cli.Report(stderr, "hq", err, known)
}

// known gives an error from another room its exit code and hint.
func known(err error) *cli.Failure {
	var config *yamlfile.Error
	switch {
	case errors.As(err, &config):
		return &cli.Failure{Code: cli.ExitUsage, Err: err, Hint: "`hq config init --print` shows every key with its default"}
	case errors.Is(err, os.ErrPermission):
		return &cli.Failure{Code: cli.ExitCouldNot, Err: err, Hint: "run this as the service's user, or name other files with --config"}
	}
	return &cli.Failure{Code: cli.ExitCouldNot, Err: err}
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
		return hq.Config{}, cli.Usage("name the file with --config, or make one with `hq config init`", "read configuration: %w", err)
	}
	defer f.Close()
	return hq.ParseConfig(f, file)
}
