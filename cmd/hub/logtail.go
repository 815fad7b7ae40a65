package main

import (
	"os"
	"path/filepath"
	"sync"

	"storehub/hub"
)

// logTailBytes is how much of the log is kept beside the system's own, twice: a
// Windows service has no other, and support asks for it after a crash.
const logTailBytes = 1 << 20

// logTail is the end of the log, in hub.log and hub.log.1 of the state
// directory's log. It never fails its writer: a log is no promise.
type logTail struct {
	mu   sync.Mutex
	path string
	f    *os.File
	size int64
}

func openLogTail(stateDir string) *logTail {
	t := &logTail{}
	t.begin(stateDir)
	return t
}

// begin keeps the log of that state directory's hub from now on.
func (t *logTail) begin(stateDir string) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.path = hub.LogFile(stateDir)
	if os.MkdirAll(filepath.Dir(t.path), 0o700) == nil {
		t.open()
	}
}

func (t *logTail) open() {
	f, err := os.OpenFile(t.path, os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
	if err != nil {
		return
	}
	t.f, t.size = f, 0
	if info, err := f.Stat(); err == nil {
		t.size = info.Size()
	}
}

// Write implements [io.Writer].
func (t *logTail) Write(line []byte) (int, error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.f != nil && t.size+int64(len(line)) > logTailBytes {
		_ = t.f.Close()
		t.f = nil
		if os.Rename(t.path, t.path+".1") == nil {
			t.open()
		}
	}
	if t.f != nil {
		n, _ := t.f.Write(line)
		t.size += int64(n)
	}
	return len(line), nil
}

// Close ends it; what is written afterwards is dropped.
func (t *logTail) Close() error {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.f == nil {
		return nil
	}
	err := t.f.Close()
	t.f = nil
	return err
}
