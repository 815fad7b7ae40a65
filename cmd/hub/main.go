// Command hub is the one program in the store: the daemon, and everything a
// person does with it.
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
	"golang.org/x/term"

	"storehub/doors"
	"storehub/hub"
	"storehub/internal/cli"
	"storehub/internal/yamlfile"
	"storehub/offlinequeue"
)

func main() { os.Exit(run(context.Background(), os.Args[1:], os.Stdin, os.Stdout, os.Stderr)) }

// commands is every command there is.
type commands struct {
	Config string `help:"The hub's configuration file." placeholder:"FILE" env:"STOREHUB_CONFIG"`

	Try        tryCmd        `cmd:"" help:"Run the whole system on this machine: Stripe sandbox, headquarters, hub, three readers."`
	Serve      serveCmd      `cmd:"" help:"Run the hub of this store."`
	Diagnose   diagnoseCmd   `cmd:"" help:"Say what is wrong with payments here, with proof."`
	Rehearse   rehearseCmd   `cmd:"" help:"Play a till's day with test cards, and prove it for the checklist."`
	Drill      drillCmd      `cmd:"" help:"Cut the line to headquarters for a while, and prove for the checklist that the store stands it."`
	Checklist  checklistCmd  `cmd:"" help:"Check the 15 items of Stripe's Terminal deployment checklist."`
	Readers    readersCmd    `cmd:"" help:"Look at the store's readers."`
	Queue      queueCmd      `cmd:"" help:"Look at what was promised to tills, and what became of it."`
	Receipt    receiptCmd    `cmd:"" help:"Show or print again the card's part of a payment's receipt."`
	Pair       pairCmd       `cmd:"" help:"Give a till its credential."`
	Enroll     enrollCmd     `cmd:"" help:"Make this machine the hub of a store."`
	Console    consoleCmd    `cmd:"" help:"Print a one-time link into the running hub's console."`
	Service    serviceCmd    `cmd:"" help:"Run the hub as a service of this machine."`
	Settings   configCmd     `cmd:"" name:"config" help:"Make or check a configuration file."`
	Bundle     bundleCmd     `cmd:"" help:"Pack what support needs into one file."`
	Version    versionCmd    `cmd:"" help:"Say which build this is."`
	Completion completionCmd `cmd:"" help:"Write a shell's completion script."`
	Man        manCmd        `cmd:"" hidden:"" help:"Write the manual page."`
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
func run(ctx context.Context, args []string, stdin io.Reader, stdout, stderr io.Writer) int {
	var c commands
	parsed, err := cli.Parse("hub", "Store Hub makes Stripe Terminal work in one shop, and proves that it does.", &c, args, stdout, stderr)
	if err == nil {
		err = parsed.Run(&app{ctx: ctx, stdin: stdin, stdout: stdout, stderr: stderr, config: c.Config, model: parsed.Model})
	}
	return cli.Report(stderr, "hub", err, known)
}

// known gives an error from another room its exit code and hint.
func known(err error) *cli.Failure {
	var config *yamlfile.Error
	var refusal *doors.Error
	switch {
	case errors.As(err, &config):
		return &cli.Failure{Code: cli.ExitUsage, Err: err, Hint: "`hub config init --print` shows every key with its default"}
	case errors.Is(err, hub.ErrNotRunning):
		return &cli.Failure{Code: cli.ExitCouldNot, Err: err, Hint: "start it with `hub service start`, or name its file with --config"}
	case errors.Is(err, os.ErrPermission):
		return &cli.Failure{Code: cli.ExitCouldNot, Err: err, Hint: "run this as root, or as the hub's user"}
	case errors.Is(err, offlinequeue.ErrKey):
		return &cli.Failure{Code: cli.ExitUsage, Err: err, Hint: keyFileHint}
	case errors.As(err, &refusal) && refusal.Status == 404:
		return &cli.Failure{Code: cli.ExitWrong, Err: err}
	case errors.As(err, &refusal) && refusal.Status < 500:
		return &cli.Failure{Code: cli.ExitUsage, Err: err}
	}
	return &cli.Failure{Code: cli.ExitCouldNot, Err: err}
}

// keyFileHint is what to do about a queue that cannot be opened; nothing is lost yet.
const keyFileHint = "put the key that the queue was encrypted with into queue.key_file, one key a line, the newest first"

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
		return hub.Config{}, cli.Usage("name the file with --config, or make one with `hub config init`", "read configuration: %w", err)
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
