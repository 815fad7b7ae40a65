package storesim

import (
	"bytes"
	"context"
	"net/http"
	"os/exec"
	"path/filepath"
	"runtime"
	"sync"
	"testing"
	"time"

	"storehub/doors"
)

var hubBinary = sync.OnceValues(func() (string, error) {
	_, here, _, _ := runtime.Caller(0)
	root := filepath.Join(filepath.Dir(here), "..", "..")
	out := filepath.Join(root, "dist", "hub-under-test")
	if runtime.GOOS == "windows" {
		out += ".exe"
	}
	cmd := exec.Command("go", "build", "-o", out, "./cmd/hub")
	cmd.Dir = root
	if text, err := cmd.CombinedOutput(); err != nil {
		return "", &buildError{err, text}
	}
	return out, nil
})

type buildError struct {
	err  error
	text []byte
}

func (e *buildError) Error() string { return e.err.Error() + "\n" + string(e.text) }

// process is the hub as the shop runs it.
type process struct {
	cmd    *exec.Cmd
	output bytes.Buffer
	exited chan struct{}
}

// serve starts `hub serve` on the store's configuration and waits until it answers.
func (s *Store) serve(t *testing.T) *process {
	t.Helper()
	binary, err := hubBinary()
	if err != nil {
		t.Fatalf("build hub: %v", err)
	}
	p := &process{exited: make(chan struct{})}
	p.cmd = exec.Command(binary, "serve", "--config", s.System().ConfigFile)
	p.cmd.Stdout, p.cmd.Stderr = &p.output, &p.output
	s.must("start hub", p.cmd.Start())
	go func() { _ = p.cmd.Wait(); close(p.exited) }()
	t.Cleanup(func() { p.kill() })
	s.Until("the hub's process answers", func() bool {
		select {
		case <-p.exited:
			t.Fatalf("hub serve ended:\n%s", p.output.String())
		default:
		}
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		req, err := http.NewRequestWithContext(ctx, http.MethodGet, s.System().HubURL+"/readyz", nil)
		s.must("ask readyz", err)
		resp, err := http.DefaultClient.Do(req)
		if err != nil {
			return false
		}
		resp.Body.Close()
		return resp.StatusCode == http.StatusOK
	})
	return p
}

// kill ends the process as SIGKILL does and waits for its end.
func (p *process) kill() {
	_ = p.cmd.Process.Kill()
	<-p.exited
}

// The story of the front page with real processes: the hub is killed with SIGKILL
// between the 202 and the line's mending. It proves the process's crash safety;
// of power it says nothing.
func TestStory_ProcessKilled(t *testing.T) {
	s := open(t)
	s.must("stop the hub in this process", s.System().StopHub())
	hub := s.serve(t)
	pos := s.Till()
	pi := pos.Authorise(1800)
	s.CutInternet()
	pos.WantCapture(pi, http.StatusAccepted)
	hub.kill()
	s.serve(t)
	s.MendInternet()
	pos.WantOutcome(doors.Capture, pi, doors.Succeeded)
	s.WantCapturedOnce(pi, 1800)
}
