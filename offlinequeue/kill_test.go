package offlinequeue

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"
)

// killedDir is set for the process that is to be killed: the directory of its queue.
const killedDir = "OFFLINEQUEUE_KILLED_DIR"

// killedChild puts and sends from several goroutines and writes a line for every
// acknowledgement, until it is killed.
func killedChild(dir string) int {
	q, err := openAs(dir, hinted(Options{Log: quiet(), segmentSize: 1 << 20}))
	if err != nil {
		fmt.Println("error", err)
		return 1
	}
	first := q.Stats()
	start := 0
	for _, states := range first.Operations {
		for _, n := range states {
			start += n
		}
	}
	go func() {
		// A headquarters that takes everything, as the zero receipt says.
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
	fmt.Println("ready")
	for worker := range 4 {
		go func() {
			for i := 0; ; i++ {
				id := fmt.Sprintf("%d-%d-%d", start, worker, i)
				op, err := q.Put(context.Background(), capture(id, fmt.Sprint("pi_", worker)))
				mu.Lock()
				if err != nil {
					fmt.Println("error", err)
				} else {
					fmt.Println("ack", id, op.Seq)
				}
				mu.Unlock()
			}
		}()
	}
	select {}
}

// The claim is the process: a hub that is killed at any moment has everything it
// acknowledged when it comes back, under the same places. It says nothing about
// power: the page cache outlives the process.
func TestNothingAcknowledgedIsLostWhenKilled(t *testing.T) {
	rounds := 50
	switch {
	case small():
		rounds = 3
	case *soak:
		rounds = 1000
	}
	seed := rand.Uint64()
	luck := rand.New(rand.NewPCG(seed, 1))
	t.Logf("seed %d", seed)
	dir := filepath.Join(t.TempDir(), "queue")
	acknowledged := map[string]Op{}
	for round := range rounds {
		for _, ack := range killed(t, dir, time.Duration(1+luck.IntN(60))*time.Millisecond) {
			acknowledged[ack.ID] = ack
		}
		if round%5 == 4 || round == rounds-1 {
			q := opened(t, dir, hinted(Options{}))
			intact(t, q, acknowledged)
			closed(t, q)
		}
		if *soak && round%50 == 49 {
			t.Logf("%d of %d: %d acknowledged", round+1, rounds, len(acknowledged))
		}
	}
	if len(acknowledged) < 2*rounds {
		t.Errorf("only %d acknowledgements in %d rounds", len(acknowledged), rounds)
	}
	t.Logf("%d acknowledged", len(acknowledged))
}

// killed lets a process use the queue for a while after it is ready and returns
// what it acknowledged.
func killed(t *testing.T, dir string, after time.Duration) (acks []Op) {
	t.Helper()
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.CommandContext(t.Context(), self)
	cmd.Env = append(os.Environ(), killedDir+"="+dir)
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	cmd.Stderr = os.Stderr
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	lines := bufio.NewReader(out)
	if line, err := lines.ReadString('\n'); err != nil || line != "ready\n" {
		_ = cmd.Process.Kill()
		t.Fatalf("child said %q (%v)", line, err)
	}
	kill := time.AfterFunc(after, func() { _ = cmd.Process.Kill() })
	defer kill.Stop()
	for {
		line, err := lines.ReadString('\n')
		if err == io.EOF {
			break // a line that was cut off was not said
		}
		if err != nil {
			t.Fatal(err)
		}
		var ack Op
		if strings.HasPrefix(line, "error") {
			t.Error(line)
		} else if _, err := fmt.Sscanf(line, "ack %s %d", &ack.ID, &ack.Seq); err != nil {
			t.Fatalf("child said %q", line)
		}
		ack.Hash = "hash of " + ack.ID
		acks = append(acks, ack)
	}
	_ = cmd.Wait() // killed
	return acks
}
