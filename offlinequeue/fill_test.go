package offlinequeue

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"
)

// filledDir is set for the process whose disk is filled: the directory of its queue.
// filledBlind is set for one that takes no notice of the room.
const (
	filledDir   = "OFFLINEQUEUE_FILLED_DIR"
	filledBlind = "OFFLINEQUEUE_FILLED_BLIND"
)

// filledChild opens the queue as soon as there is room, puts and sends, and writes a
// line for every acknowledgement and every refusal for want of room.
func filledChild(dir string) int {
	o := Options{Log: quiet(), segmentSize: 1 << 20}
	if os.Getenv(filledBlind) != "" {
		o.Free = func(string) (uint64, error) { return 1 << 40, nil }
	}
	var q *Queue
	for {
		var err error
		if q, err = openAs(dir, o); err == nil {
			break
		}
		if !errors.Is(err, ErrFull) && !isFull(err) {
			fmt.Println("error", err)
			return 1
		}
		fmt.Println("full")
		time.Sleep(20 * time.Millisecond) // the service manager's pause
	}
	go func() {
		_ = q.Run(context.Background(), sender(func(_ context.Context, b Batch) (Receipt, error) {
			var outs []Outcome
			for _, op := range b.Ops {
				outs = append(outs, Outcome{ID: op.ID, State: Succeeded})
			}
			go func() { _ = q.Settle(context.Background(), Cursor{}, outs) }()
			return Receipt{}, nil
		}))
	}()
	var mu sync.Mutex
	for worker := range 2 {
		go func() {
			for i := 0; ; i++ {
				id := fmt.Sprintf("%d-%d-%d", os.Getpid(), worker, i)
				op, err := q.Put(context.Background(), capture(id, fmt.Sprint("pi_", worker)))
				mu.Lock()
				switch {
				case err == nil:
					fmt.Println("ack", id, op.Seq)
				case errors.Is(err, ErrFull) || isFull(err):
					fmt.Println("full")
				default:
					fmt.Println("error", err)
				}
				mu.Unlock()
				if err != nil {
					time.Sleep(10 * time.Millisecond)
				}
			}
		}()
	}
	select {}
}

// smallDisk mounts a file system of so many MiB: ext4 in a file, as a shop's disk is;
// where there are no loop devices, memory of that size.
func smallDisk(t *testing.T, mib int) string {
	t.Helper()
	if os.Getuid() != 0 {
		t.Skip("to mount a small disk needs root")
	}
	dir, image := t.TempDir(), filepath.Join(t.TempDir(), "image")
	run := func(name string, args ...string) error {
		if out, err := exec.CommandContext(t.Context(), name, args...).CombinedOutput(); err != nil {
			return fmt.Errorf("%s: %w: %s", name, err, out)
		}
		return nil
	}
	f, err := os.Create(image)
	if err != nil {
		t.Fatal(err)
	}
	if err := errors.Join(f.Truncate(int64(mib)<<20), f.Close()); err != nil {
		t.Fatal(err)
	}
	err = run("mkfs.ext4", "-q", "-m", "0", image)
	if err == nil {
		err = run("mount", "-o", "loop", image, dir)
	}
	if err != nil {
		t.Logf("memory instead of ext4: %v", err)
		if err := run("mount", "-t", "tmpfs", "-o", fmt.Sprintf("size=%dm", mib), "tmpfs", dir); err != nil {
			t.Fatal(err)
		}
	}
	t.Cleanup(func() {
		if out, err := exec.Command("umount", dir).CombinedOutput(); err != nil { // t.Context is over
			t.Errorf("umount: %v: %s", err, out)
		}
	})
	return dir
}

// The claim is room, on a real file system: another process fills the disk at random
// moments, and empties it again. Nothing acknowledged is lost, nothing is called
// damage, and the queue is back by itself. The process may be ended by the kernel, in
// Badger's mapped files; then it is started again, as the service manager does.
func TestNothingAcknowledgedIsLostWhenTheDiskIsFilled(t *testing.T) {
	moments := 20 // the issue's
	switch {
	case small():
		moments = 3
	case *soak:
		moments = 200
	}
	fillAndEmpty(t, moments, false)
}

// The claim is what a filler can do that is faster than the look at free space: a
// queue that never looks is ended by the kernel. It comes back by itself when there is
// room, with all that was acknowledged.
func TestAProcessThatTheFullDiskEndedComesBack(t *testing.T) {
	moments := 3
	if small() {
		moments = 1
	}
	if ended := fillAndEmpty(t, moments, true); ended == 0 {
		t.Error("the kernel ended nothing: this proves nothing")
	}
}

func fillAndEmpty(t *testing.T, moments int, blind bool) (ended int) {
	t.Helper()
	seed := rand.Uint64()
	luck := rand.New(rand.NewPCG(seed, 1))
	t.Logf("seed %d", seed)
	root := smallDisk(t, 256)
	dir, filler := filepath.Join(root, "queue"), filepath.Join(root, "filler")
	acknowledged := map[string]Op{}
	refused := 0
	c := startFilled(t, dir, blind)
	// until reads what the child says up to such a line; it is started again when
	// it has ended.
	until := func(word string, n int) {
		for n > 0 {
			line, ok := <-c.lines
			if !ok {
				ended++
				c.wait(t)
				c = startFilled(t, dir, blind)
				if word == "full" { // that is a way to say it
					n--
				}
				continue
			}
			var ack Op
			switch {
			case strings.HasPrefix(line, "full"):
				refused++
			case strings.HasPrefix(line, "ack"):
				if _, err := fmt.Sscanf(line, "ack %s %d", &ack.ID, &ack.Seq); err != nil {
					t.Fatalf("child said %q", line)
				}
				ack.Hash = "hash of " + ack.ID
				acknowledged[ack.ID] = ack
			default:
				t.Log(line)
			}
			if strings.HasPrefix(line, word) {
				n--
			}
		}
	}
	for moment := range moments {
		until("ack", 1+luck.IntN(400))
		// dd ends when there is no room; that is what it is for.
		_ = exec.CommandContext(t.Context(), "dd", "if=/dev/zero", "of="+filler, "bs=1M", "status=none").Run()
		if blind {
			until("full", 5)
		}
		until("full", 1+luck.IntN(5))
		if err := os.Remove(filler); err != nil {
			t.Fatal(err)
		}
		until("ack", 1)
		if *soak && moment%10 == 9 {
			t.Logf("%d of %d: %d acknowledged, %d refused, ended %d times", moment+1, moments, len(acknowledged), refused, ended)
		}
	}
	c.kill(t)
	for line := range c.lines {
		var ack Op
		if n, _ := fmt.Sscanf(line, "ack %s %d", &ack.ID, &ack.Seq); n == 2 {
			ack.Hash = "hash of " + ack.ID
			acknowledged[ack.ID] = ack
		}
	}
	c.wait(t)
	q := opened(t, dir, Options{})
	intact(t, q, acknowledged)
	closed(t, q)
	t.Logf("%d acknowledged, %d refused, ended by the kernel %d times", len(acknowledged), refused, ended)
	return ended
}

type filled struct {
	cmd   *exec.Cmd
	lines chan string
}

func startFilled(t *testing.T, dir string, blind bool) *filled {
	t.Helper()
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	c := &filled{exec.CommandContext(t.Context(), self), make(chan string, 1000)}
	c.cmd.Env = append(os.Environ(), filledDir+"="+dir)
	if blind {
		c.cmd.Env = append(c.cmd.Env, filledBlind+"=1")
	}
	out, err := c.cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := c.cmd.Start(); err != nil {
		t.Fatal(err)
	}
	go func() {
		defer close(c.lines)
		r := bufio.NewReader(out)
		for {
			line, err := r.ReadString('\n')
			if err != nil {
				return // a line that was cut off was not said
			}
			c.lines <- strings.TrimSpace(line)
		}
	}()
	return c
}

func (c *filled) kill(t *testing.T) {
	t.Helper()
	if err := c.cmd.Process.Kill(); err != nil && !errors.Is(err, os.ErrProcessDone) {
		t.Fatal(err)
	}
}

func (c *filled) wait(t *testing.T) {
	t.Helper()
	if err := c.cmd.Wait(); err == nil {
		t.Error("the child ended by itself")
	}
}
