// Package pgcluster starts a private PostgreSQL for tests: its own directory, its
// own port on the loopback address, gone when the tests are over.
package pgcluster

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync/atomic"
	"syscall"
	"time"

	"github.com/jackc/pgx/v5"

	"storehub/internal/freeport"
)

// Cluster is one running server.
type Cluster struct {
	dir      string
	bin      string
	port     int
	as       owner
	cmd      *exec.Cmd
	log      *os.File
	settings []string
	named    atomic.Int64
}

// Fast are settings for tests that prove nothing about durability.
var Fast = []string{"fsync=off", "full_page_writes=off", "synchronous_commit=off"}

// Start makes a server with these settings beside the defaults. PostgreSQL refuses
// to run as root, so root's tests run it as the user nobody.
func Start(settings ...string) (*Cluster, error) {
	bin, err := binaries()
	if err != nil {
		return nil, err
	}
	dir, err := os.MkdirTemp("", "storehub-pg-")
	if err != nil {
		return nil, err
	}
	c := &Cluster{dir: dir, bin: bin, settings: settings}
	if err := c.prepare(); err != nil {
		return nil, errors.Join(fmt.Errorf("start PostgreSQL: %w", err), os.RemoveAll(dir))
	}
	if err := c.Up(); err != nil {
		return nil, errors.Join(err, os.RemoveAll(dir))
	}
	return c, nil
}

// binaries finds the newest installed server; Debian keeps it out of PATH.
func binaries() (string, error) {
	found, _ := filepath.Glob("/usr/lib/postgresql/*/bin/postgres") // the pattern is right
	if len(found) > 0 {
		slices.SortFunc(found, func(a, b string) int { return version(a) - version(b) })
		return filepath.Dir(found[len(found)-1]), nil
	}
	if p, err := exec.LookPath("postgres"); err == nil {
		return filepath.Dir(p), nil
	}
	return "", errors.New("start PostgreSQL: it is not installed: run `make apt`, or install the package postgresql")
}

func version(file string) int {
	n, _ := strconv.Atoi(filepath.Base(filepath.Dir(filepath.Dir(file)))) // no number: oldest
	return n
}

func (c *Cluster) prepare() error {
	if err := c.yield(); err != nil {
		return err
	}
	init := c.command("initdb", "--pgdata", filepath.Join(c.dir, "data"), "--username", "hq", "--auth", "trust",
		"--encoding", "UTF8", "--no-locale", "--no-sync", "--no-instructions")
	if out, err := init.CombinedOutput(); err != nil {
		return fmt.Errorf("initdb: %w: %s", err, out)
	}
	return c.takePort()
}

func (c *Cluster) takePort() error {
	address, err := freeport.Address()
	if err != nil {
		return err
	}
	_, port, err := net.SplitHostPort(address)
	if err != nil {
		return err
	}
	c.port, err = strconv.Atoi(port)
	return err
}

func (c *Cluster) command(name string, args ...string) *exec.Cmd {
	cmd := exec.Command(filepath.Join(c.bin, name), args...)
	cmd.Dir = c.dir
	cmd.Env = []string{"PATH=" + os.Getenv("PATH"), "LC_ALL=C", "TZ=UTC"}
	c.bind(cmd)
	return cmd
}

// Up starts the server on its directory and returns when it answers.
func (c *Cluster) Up() error {
	args := []string{"-D", filepath.Join(c.dir, "data"), "-p", strconv.Itoa(c.port), "-k", "", "-h", "127.0.0.1",
		"-c", "max_connections=400", "-c", "shared_buffers=64MB", "-c", "autovacuum_naptime=5s", "-c", "log_min_messages=fatal"}
	for _, s := range c.settings {
		args = append(args, "-c", s)
	}
	log, err := os.OpenFile(filepath.Join(c.dir, "log"), os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
	if err != nil {
		return fmt.Errorf("start PostgreSQL: %w", err)
	}
	c.cmd, c.log = c.command("postgres", args...), log
	c.cmd.Stdout, c.cmd.Stderr = log, log
	if err := c.cmd.Start(); err != nil {
		return errors.Join(fmt.Errorf("start PostgreSQL: %w", err), log.Close())
	}
	ctx, cancel := context.WithTimeout(context.Background(), 60*time.Second)
	defer cancel()
	for {
		db, err := pgx.Connect(ctx, c.url("postgres"))
		if err == nil {
			return db.Close(ctx)
		}
		select {
		case <-ctx.Done():
			said, _ := os.ReadFile(log.Name()) // none: the error says enough
			return errors.Join(fmt.Errorf("start PostgreSQL: %w: %s", err, said), c.down(syscall.SIGQUIT))
		case <-time.After(20 * time.Millisecond):
		}
	}
}

// Standby makes a server that follows this one, from all that was committed here.
func (c *Cluster) Standby() (*Cluster, error) {
	dir, err := os.MkdirTemp("", "storehub-pg-")
	if err != nil {
		return nil, err
	}
	s := &Cluster{dir: dir, bin: c.bin, settings: c.settings}
	err = errors.Join(s.yield(), s.takePort())
	if err == nil {
		copying := s.command("pg_basebackup", "--pgdata", filepath.Join(dir, "data"), "--write-recovery-conf", "--checkpoint", "fast",
			"--no-sync", "--host", "127.0.0.1", "--port", strconv.Itoa(c.port), "--username", "hq")
		var out []byte
		if out, err = copying.CombinedOutput(); err != nil {
			err = fmt.Errorf("pg_basebackup: %w: %s", err, out)
		}
	}
	if err == nil {
		err = s.Up()
	}
	if err != nil {
		return nil, errors.Join(fmt.Errorf("start standby: %w", err), os.RemoveAll(dir))
	}
	return s, nil
}

// Promote makes a standby a server of its own.
func (c *Cluster) Promote(ctx context.Context) error {
	db, err := pgx.Connect(ctx, c.url("postgres"))
	if err != nil {
		return fmt.Errorf("promote standby: %w", err)
	}
	var done bool
	err = db.QueryRow(ctx, "SELECT pg_promote()").Scan(&done)
	if err == nil && !done {
		err = errors.New("it did not end its recovery")
	}
	if err := errors.Join(err, db.Close(ctx)); err != nil {
		return fmt.Errorf("promote standby: %w", err)
	}
	return nil
}

// Here is another server's address of a database as this one has it.
func (c *Cluster) Here(address string) string {
	name, _, _ := strings.Cut(filepath.Base(address), "?")
	return c.url(name)
}

// Kill ends the server at once, as a power cut would end its processes.
func (c *Cluster) Kill() error { return c.down(syscall.SIGQUIT) }

// Stop ends the server, cutting off whoever is connected.
func (c *Cluster) Stop() error { return c.down(syscall.SIGINT) }

func (c *Cluster) down(sig os.Signal) error {
	if c.cmd == nil {
		return nil // it is down
	}
	if err := c.cmd.Process.Signal(sig); err != nil {
		return fmt.Errorf("stop PostgreSQL: %w", err)
	}
	_ = c.cmd.Wait() // how it ended is what was asked for
	c.cmd = nil
	return c.log.Close()
}

// Close stops the server and removes its directory.
func (c *Cluster) Close() error { return errors.Join(c.Kill(), os.RemoveAll(c.dir)) }

// Database makes an empty database and returns its URL.
func (c *Cluster) Database(ctx context.Context) (string, error) {
	db, err := pgx.Connect(ctx, c.url("postgres"))
	if err != nil {
		return "", fmt.Errorf("make database: %w", err)
	}
	name := "hq" + strconv.FormatInt(c.named.Add(1), 10)
	_, err = db.Exec(ctx, "CREATE DATABASE "+name)
	if err := errors.Join(err, db.Close(ctx)); err != nil {
		return "", fmt.Errorf("make database: %w", err)
	}
	return c.url(name), nil
}

func (c *Cluster) url(database string) string {
	return "postgres://hq@127.0.0.1:" + strconv.Itoa(c.port) + "/" + database + "?sslmode=disable"
}

// Log is what the server said.
func (c *Cluster) Log() string {
	b, _ := os.ReadFile(filepath.Join(c.dir, "log")) // none: nothing was said
	return strings.TrimSpace(string(b))
}
