package lab

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"golang.org/x/sys/unix"
	"storehub/diagnostics"
)

// Task is an exam.
type Task struct {
	Hub     string   // the program
	Config  string   // a configuration as it is shipped, for the shop to be filled into; "" is a short one
	Rows    []string // names of rows; none is all
	Distant int      // how often to ask in the healthy shop behind a long, lossy line
	Labs    int      // shops side by side; 0 is one
	Nobody  bool     // the doctor runs as a user without any right
	Facts   string   // a folder to save what the doctor saw, "" is nowhere
	Compare bool     // other tools look after the doctor

	Serving bool          // the rows are of ReaderRows, and a serving hub is asked
	Limit   time.Duration // how long it may take to be right
}

// Outcome is the answer to one row.
type Outcome struct {
	Row   string
	Wrong string        // why it is wrong; "" is right
	Said  []string      // codes of the loud causes, in order
	Built time.Duration // the shop
	Took  time.Duration // the doctor
	Total time.Duration

	Traffic Traffic // while the doctor looked

	Blackbox, Person Seen // where others were asked
}

// tools are the programs a lab is built with, and Debian's packages of them.
var tools = map[string]string{"ip": "iproute2", "nft": "nftables", "dnsmasq": "dnsmasq-base", "busybox": "busybox-static", "ethtool": "ethtool", "unshare": "util-linux", "setpriv": "util-linux"}

// Ready says why no lab can be built here, if so.
func Ready() error {
	if os.Geteuid() != 0 {
		return errors.New("build a lab: it needs root for its namespaces")
	}
	for _, t := range []string{"ip", "nft", "dnsmasq", "busybox", "ethtool", "unshare", "setpriv"} {
		if _, err := exec.LookPath(t); err != nil {
			return fmt.Errorf("build a lab: %s is missing (Debian's %s)", t, tools[t])
		}
	}
	return nil
}

// taskVariable tells a copy of the program what it was started for.
const taskVariable = "STOREHUB_LAB_TASK"

// Exam asks the rows and tells every outcome as it comes. The program that calls
// it must call [Sealed] first of all.
func Exam(ctx context.Context, t Task, tell func(Outcome)) error {
	if err := Ready(); err != nil {
		return err
	}
	if _, unknown := Find(Rows, t.Rows); unknown != "" {
		return fmt.Errorf("no row is called %q", unknown)
	}
	return seal(ctx, t, tell)
}

// seal does the task in a sealed copy of this program and tells each O that it says.
func seal[O any](ctx context.Context, t Task, tell func(O)) error {
	self, err := os.Executable()
	if err != nil {
		return err
	}
	task, err := json.Marshal(t)
	if err != nil {
		return err
	}
	c := exec.CommandContext(ctx, "unshare", "-nmpf", "--kill-child", "--mount-proc", "--propagation", "private", self)
	c.Env = append(os.Environ(), taskVariable+"="+string(task))
	var complaint bytes.Buffer
	c.Stderr = &complaint
	out, err := c.StdoutPipe()
	if err != nil {
		return err
	}
	if err := c.Start(); err != nil {
		return err
	}
	in := json.NewDecoder(out)
	for {
		var o O
		if err := in.Decode(&o); err != nil {
			if err := c.Wait(); err != nil {
				return fmt.Errorf("sealed lab: %w: %s", err, bytes.TrimSpace(complaint.Bytes()))
			}
			if errors.Is(err, io.EOF) {
				return nil
			}
			return fmt.Errorf("read outcomes: %w", err)
		}
		tell(o)
	}
}

// Sealed runs the exam if this process is a sealed copy, and then reports true.
func Sealed() (bool, error) {
	text := os.Getenv(taskVariable)
	if text == "" {
		return false, nil
	}
	if err := os.Unsetenv(taskVariable); err != nil {
		return true, err
	}
	var t Task
	if err := json.Unmarshal([]byte(text), &t); err != nil {
		return true, err
	}
	return true, t.run(os.Stdout)
}

func (t Task) run(w io.Writer) error {
	if err := sealedOff(); err != nil {
		return err
	}
	public, err := newAuthority("Lab Public Authority")
	if err != nil {
		return err
	}
	inspector, err := newAuthority("Shop Inspector")
	if err != nil {
		return err
	}
	if t.Serving {
		rows, _ := findNamed(ReaderRows, t.Rows, ReaderRow.name)
		return inLabs(w, t.Labs, rows, func(r ReaderRow, id string) ReaderOutcome { return t.befall(r, id, public, inspector) })
	}
	rows, _ := Find(Rows, t.Rows)
	for range t.Distant {
		rows = append(slices.Clip(rows), distant)
	}
	return inLabs(w, t.Labs, rows, func(r Row, id string) Outcome { return t.ask(r, id, public, inspector) })
}

// inLabs does each row in one of so many labs side by side, and writes what came of it.
func inLabs[R, O any](w io.Writer, n int, rows []R, do func(r R, id string) O) error {
	todo := make(chan R, len(rows))
	for _, r := range rows {
		todo <- r
	}
	close(todo)
	out := json.NewEncoder(w)
	var telling sync.Mutex
	var labs sync.WaitGroup
	var failed error
	for n := range max(1, n) {
		labs.Go(func() {
			for r := range todo {
				o := do(r, "lab"+strconv.Itoa(n))
				telling.Lock()
				failed = errors.Join(failed, out.Encode(o))
				telling.Unlock()
			}
		})
	}
	labs.Wait()
	return failed
}

// sealedOff makes the places for namespaces this process's own, and refuses to go
// on where a way out is left.
func sealedOff() error {
	ways, err := os.ReadFile("/proc/net/route")
	if err != nil {
		return err
	}
	if n := strings.Count(strings.TrimSpace(string(ways)), "\n"); n > 0 {
		return fmt.Errorf("refuse to build a lab: this namespace has %d routes", n)
	}
	for _, dir := range []string{"/run/netns", "/etc/netns"} {
		if err := os.MkdirAll(dir, 0o755); err != nil {
			return err
		}
		if err := unix.Mount("lab", dir, "tmpfs", 0, ""); err != nil {
			return fmt.Errorf("cover %s: %w", dir, err)
		}
	}
	return command("ip", "", "link", "set", "lo", "up")
}

// ask builds a shop, breaks it, has the doctor look and judges.
func (t Task) ask(r Row, id string, public, inspector *authority) (o Outcome) {
	start := time.Now()
	o.Row = r.Name
	defer func() { o.Total = time.Since(start) }()
	dir, err := os.MkdirTemp("", id)
	if err != nil {
		o.Wrong = err.Error()
		return o
	}
	s, err := open(id, dir, public, inspector)
	if err != nil {
		o.Wrong = err.Error()
		return o
	}
	defer s.close()
	o.Built = time.Since(start)
	if t.Nobody {
		if err := s.toNobody(&t); err != nil {
			o.Wrong = err.Error()
			return o
		}
	}
	if t.Compare {
		if err := s.startBlackbox(); err != nil {
			o.Wrong = err.Error()
			return o
		}
	}
	if r.HealthyFirst {
		if _, _, err := s.doctor(t, ""); err != nil {
			o.Wrong = "in health: " + err.Error()
			return o
		}
	}
	if err := r.done(s); err != nil {
		o.Wrong = "put fault in: " + err.Error()
		return o
	}
	facts := ""
	if t.Facts != "" {
		facts = filepath.Join(t.Facts, r.Name+".facts.json")
	}
	before, uncounted := s.traffic()
	began := time.Now()
	report, exit, err := s.doctor(t, facts)
	o.Took = time.Since(began)
	if after, err := s.traffic(); err == nil && uncounted == nil {
		o.Traffic = after.less(before)
	}
	if err != nil {
		o.Wrong = err.Error()
		return o
	}
	for _, c := range loud(report) {
		o.Said = append(o.Said, c.Code)
	}
	if t.Nobody {
		o.Wrong = judgeNobody(r, report)
	} else {
		o.Wrong = judge(r, report, exit)
	}
	if t.Compare {
		if o.Blackbox, err = s.blackbox(); err != nil {
			o.Wrong = err.Error()
		}
		o.Person = s.person()
	}
	return o
}

// nobody is the user without any right.
const nobody = "65534"

// toNobody lets that user see the shop's files and the program, and write where
// the doctor remembers.
func (s *Shop) toNobody(t *Task) error {
	s.nobody = true
	program, err := os.ReadFile(t.Hub)
	if err != nil {
		return err
	}
	t.Hub = filepath.Join(s.dir, "hub")
	id, _ := strconv.Atoi(nobody)
	return errors.Join(os.WriteFile(t.Hub, program, 0o755), os.Chmod(s.dir, 0o755), os.Chown(filepath.Join(s.dir, "state"), id, id))
}

// doctor runs `hub diagnose` on the hub as a user would.
func (s *Shop) doctor(t Task, facts string) (r diagnostics.Report, exit int, err error) {
	conf := filepath.Join(s.dir, "hub.yaml")
	text, err := s.config(t.Config)
	if err != nil {
		return r, 0, err
	}
	if err := os.WriteFile(conf, []byte(text), 0o644); err != nil {
		return r, 0, err
	}
	ctx, cancel := context.WithTimeout(context.Background(), 40*time.Second)
	defer cancel()
	args := []string{"netns", "exec", s.ns("hub")}
	if s.nobody {
		args = append(args, "setpriv", "--reuid", nobody, "--regid", nobody, "--clear-groups", "--inh-caps=-all", "--bounding-set=-all", "--no-new-privs")
	}
	args = append(args, t.Hub, "diagnose", "--config", conf, "--format", "json")
	if facts != "" {
		args = append(args, "--save-facts", facts)
	}
	c := exec.CommandContext(ctx, "ip", args...)
	c.Env = s.trusting()
	var out, complaint bytes.Buffer
	c.Stdout, c.Stderr = &out, &complaint
	err = c.Run()
	var ended *exec.ExitError
	if err != nil && !errors.As(err, &ended) {
		return r, 0, err
	}
	exit = c.ProcessState.ExitCode()
	if err := json.Unmarshal(out.Bytes(), &r); err != nil {
		return r, exit, fmt.Errorf("no report, exit %d: %s", exit, bytes.TrimSpace(complaint.Bytes()))
	}
	return r, exit, nil
}

// config is a hub's configuration in this shop; with the name of a shipped one, that one
// with nothing changed but what a person fills in.
func (s *Shop) config(shipped string) (string, error) {
	state, readers, ranges := filepath.Join(s.dir, "state"), "["+strings.Join(s.readersAt, ", ")+"]", filepath.Join(s.dir, "ranges")
	if shipped == "" {
		text := fmt.Sprintf("store: lab\nstate_dir: %s\nchecks:\n  integration: sdk-js\n  readers: %s\n  ip_ranges_file: %s\n", state, readers, ranges)
		if s.hq != "" {
			text += "hq:\n  url: " + s.hq + "\n"
		}
		return text, nil
	}
	b, err := os.ReadFile(shipped)
	if err != nil {
		return "", err
	}
	lines := strings.Split(string(b), "\n")
	for was, is := range map[string]string{
		`#store: "0412"`:               "store: lab",
		"state_dir: /var/lib/storehub": "state_dir: " + state,
		"  readers: []":                "  readers: " + readers,
		"  #ip_ranges_file: /etc/storehub/stripe-ranges.txt": "  ip_ranges_file: " + ranges,
	} {
		i := slices.Index(lines, was)
		if i < 0 {
			return "", fmt.Errorf("fill in %s: it has no line %q", shipped, was)
		}
		lines[i] = is
	}
	return strings.Join(lines, "\n"), nil
}
