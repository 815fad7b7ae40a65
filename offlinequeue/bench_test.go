package offlinequeue

import (
	"context"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
)

func BenchmarkPut1(b *testing.B)  { benchmarkPut(b, 1) }
func BenchmarkPut8(b *testing.B)  { benchmarkPut(b, 8) }
func BenchmarkPut64(b *testing.B) { benchmarkPut(b, 64) }

func BenchmarkAppend1(b *testing.B)  { benchmarkAppend(b, 1) }
func BenchmarkAppend8(b *testing.B)  { benchmarkAppend(b, 8) }
func BenchmarkAppend64(b *testing.B) { benchmarkAppend(b, 64) }

// benchmarkPut is durable promises of 1 KiB, each acknowledged after its flush.
func benchmarkPut(b *testing.B, producers int) {
	q := opened(b, b.TempDir(), Options{})
	data := json.RawMessage(`"` + strings.Repeat("x", 1<<10) + `"`)
	produce(b, producers, func(n int64) error {
		op := capture(fmt.Sprint(n), fmt.Sprint(n%1000))
		op.Data = data
		_, err := q.Put(b.Context(), op)
		return err
	})
}

// benchmarkAppend is what Put is held against: a bare file, neither preallocated nor
// checked, that one goroutine appends to; those who wait share a flush.
func benchmarkAppend(b *testing.B, producers int) {
	f, err := os.Create(filepath.Join(b.TempDir(), "log"))
	if err != nil {
		b.Fatal(err)
	}
	type waiting struct {
		data []byte
		done chan error
	}
	requests := make(chan waiting)
	var writer sync.WaitGroup
	writer.Go(func() {
		var buf []byte
		var group []waiting
		for r := range requests {
			buf, group = append(buf[:0], r.data...), append(group[:0], r)
		gather:
			for len(group) < maxGroup {
				select {
				case r, ok := <-requests:
					if !ok {
						break gather
					}
					buf, group = append(buf, r.data...), append(group, r)
				default:
					break gather
				}
			}
			_, err := f.Write(buf)
			if err == nil {
				err = flushData(f)
			}
			for _, r := range group {
				r.done <- err
			}
		}
	})
	data := []byte(strings.Repeat("x", 1<<10))
	produce(b, producers, func(int64) error {
		r := waiting{data, make(chan error, 1)}
		requests <- r
		return <-r.done
	})
	close(requests)
	writer.Wait()
	if err := f.Close(); err != nil {
		b.Error(err)
	}
}

// produce has so many goroutines do b.N steps.
func produce(b *testing.B, producers int, step func(n int64) error) {
	var next atomic.Int64
	var wg sync.WaitGroup
	b.ReportAllocs()
	b.ResetTimer()
	for range producers {
		wg.Go(func() {
			for {
				n := next.Add(1)
				if n > int64(b.N) {
					return
				}
				if err := step(n); err != nil {
					b.Error(err)
					return
				}
			}
		})
	}
	wg.Wait()
	b.StopTimer()
	b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "ops/s")
}

// BenchmarkDrain is what waits, offered to a headquarters that takes everything, and
// ended, each step on disk.
func BenchmarkDrain(b *testing.B) {
	q := opened(b, b.TempDir(), Options{})
	data := json.RawMessage(`"` + strings.Repeat("x", 1<<10) + `"`)
	produce(b, 256, func(n int64) error {
		op := capture(fmt.Sprint(n), fmt.Sprint(n%1000))
		op.Data = data
		_, err := q.Put(b.Context(), op)
		return err
	})
	batches := make(chan []Op, 64)
	stop := running(b, q, sender(func(_ context.Context, batch Batch) (Receipt, error) {
		batches <- batch.Ops
		return Receipt{}, nil
	}))
	defer stop()
	b.ResetTimer()
	b.StartTimer()
	seq := uint64(0)
	for int(seq) < b.N {
		ops := <-batches
		for more := true; more && len(ops) < 1000; {
			select {
			case next := <-batches:
				ops = append(ops, next...)
			default:
				more = false
			}
		}
		var outs []Outcome
		for _, op := range ops {
			seq++
			outs = append(outs, Outcome{Seq: seq, ID: op.ID, State: Succeeded})
		}
		if err := q.Settle(b.Context(), Cursor{Seq: seq}, outs); err != nil {
			b.Fatal(err)
		}
	}
	b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "ops/s")
}

// BenchmarkOpen opens a queue in which b.N operations wait.
func BenchmarkOpen(b *testing.B) {
	dir := b.TempDir()
	q := opened(b, dir, Options{})
	data := json.RawMessage(`"` + strings.Repeat("x", 1<<10) + `"`)
	produce(b, 256, func(n int64) error {
		op := capture(fmt.Sprint(n), fmt.Sprint(n%1000))
		op.Data = data
		_, err := q.Put(b.Context(), op)
		return err
	})
	closed(b, q)
	b.ResetTimer()
	b.StartTimer()
	closed(b, opened(b, dir, Options{}))
}
