package main

import (
	"bytes"
	"encoding/json"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"testing"
	"time"

	"storehub/bench/proc"
)

var update = flag.Bool("update", false, "write the golden files anew")

func TestMain(m *testing.M) {
	if o, ok := ordered(); ok {
		if err := obey(o); err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
		return
	}
	os.Exit(m.Run())
}

// TestMeasureSmall takes every figure once, of little: each part is there, and each
// ended as it must on a machine of any speed.
func TestMeasureSmall(t *testing.T) {
	dir := t.TempDir()
	out, err := os.Create(filepath.Join(dir, "out"))
	if err != nil {
		t.Fatal(err)
	}
	defer out.Close()
	file := filepath.Join(dir, "figures.json")
	args := []string{"-nginx=false", "-hubs", "12", "-waiting", "8", "-callers", "4", "-webhooks", "6", "-seconds", "0.3", "-rounds", "1",
		"-tills", "8", "-captures", "4", "-settle", "100ms", "-held", "1s", "-json", file}
	if err := measure(t.Context(), args, out); err != nil {
		t.Fatal(err)
	}
	text, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	var r result
	if err := json.Unmarshal(text, &r); err != nil {
		t.Fatal(err)
	}
	for _, v := range slices.Concat(r.Tokens, r.Ops) {
		if v.Done == 0 || v.PerSecond <= 0 || v.P50ms <= 0 || v.P99ms < v.P50ms {
			t.Errorf("%+v", v)
		}
	}
	for _, v := range r.Tokens {
		if c := v.Cost; runtime.GOOS == "linux" && v.Done > 1000 && c.Callers <= 0 {
			t.Errorf("%s cost nothing: %+v", v.Way, c)
		}
	}
	if len(r.Tokens) != 3 || len(r.Ops) != 4 || len(r.Fanout) != 4 {
		t.Errorf("%d ways to a token, %d to an operation, %d to a hub; want 3, 4, 4", len(r.Tokens), len(r.Ops), len(r.Fanout))
	}
	for _, f := range r.Fanout {
		if f.Webhooks != 6 || f.P50ms <= 0 || f.MaxMS < f.P99ms {
			t.Errorf("%+v", f)
		}
	}
	if r.OpBytes <= 0 {
		t.Errorf("an operation takes %v bytes", r.OpBytes)
	}
	if h := r.Held; h.Hubs != 12 || h.Idle <= 0 || h.Waiting <= 0 {
		t.Errorf("%+v", h)
	}
	o := r.Opening
	if o == nil || o.Tokens != 16 || o.Urgent.Done != 2 || o.Fresh.Done != 2 || o.LastS < o.P50s {
		t.Errorf("%+v", o)
	}
}

func TestTable(t *testing.T) {
	r := result{
		Plan:    plan{Rounds: 2, Seconds: 4, Callers: 64, Nginx: true},
		Began:   time.Date(2026, 11, 26, 21, 0, 0, 0, time.UTC),
		Machine: proc.Machine{CPUs: 2, CPU: "AMD EPYC", Kernel: "6.18", Go: "go1.26"},
		Tokens: []run{
			{Way: byNginx, Round: 1, Done: 400, PerSecond: 100, P50ms: 1, P99ms: 2, Load: "0.1 0.2 0.3", OtherCPU: 0.1},
			{Way: byOne, Round: 1, Done: 200, PerSecond: 50, P50ms: 2, P99ms: 4, Load: "0.2 0.2 0.3", OtherCPU: 0.3, Cost: cost{200, 90, 0, 80, 100}},
			{Way: byOne, Round: 2, Done: 240, PerSecond: 60, P50ms: 3, P99ms: 5, Load: "0.3 0.2 0.3", OtherCPU: 0.1, Cost: cost{220, 100, 0, 80, 100}},
			{Way: byNginx, Round: 2, Done: 320, PerSecond: 80, P50ms: 1, P99ms: 2, Load: "0.4 0.2 0.3", OtherCPU: 0.1},
		},
		Ops:     []run{{Way: "1 replica, 1 a submission", Round: 1, Done: 10, PerSecond: 500, P50ms: 1, P99ms: 9, Load: "1 1 1"}},
		OpBytes: 1234,
		Held:    held{Hubs: 10_000, Idle: 20 << 20, Waiting: 420 << 20, Answers: 200, CPU: 0.25, Load: "1 1 1"},
		Fanout:  []fanout{{Waiting: 5000, Replicas: 2, Webhooks: 300, P50ms: 5, P99ms: 20, MaxMS: 30, Load: "1 1 1"}},
		Opening: &opening{Tills: 400, Tokens: 800, AtOnce: 150, Refused: 900, RefusedS: 0.2, P50s: 20, P99s: 41, LastS: 42, BestS: 39, Load: "1 1 1",
			Urgent: money{Asked: 100, Done: 100, P50s: 3, P99s: 6, LastS: 7}, Fresh: money{Asked: 100, Done: 99, Failed: "declined", P50s: 4, P99s: 8, LastS: 9}},
	}
	var b bytes.Buffer
	if err := r.render(&b); err != nil {
		t.Fatal(err)
	}
	golden := filepath.Join("testdata", "table.md")
	if *update {
		if err := os.WriteFile(golden, b.Bytes(), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(golden)
	if err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(want, b.Bytes()) {
		t.Errorf("%s differs; have:\n%s", golden, b.Bytes())
	}
}

func TestPlansThatMeasureNothingAreRefused(t *testing.T) {
	for _, args := range [][]string{{"-hubs", "1"}, {"-rounds", "0"}, {"-seconds", "0"}, {"now"}, {"-callers", "0"}} {
		if _, err := parse(append([]string{"-nginx=false"}, args...)); err == nil {
			t.Errorf("%q was taken", args)
		}
	}
}
