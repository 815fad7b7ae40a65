package offlinequeue

import (
	"encoding/json"
	"fmt"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
)

func BenchmarkPut1(b *testing.B)  { benchmarkPut(b, 1) }
func BenchmarkPut8(b *testing.B)  { benchmarkPut(b, 8) }
func BenchmarkPut64(b *testing.B) { benchmarkPut(b, 64) }

// benchmarkPut is durable promises of 1 KiB, each acknowledged after its flush.
func benchmarkPut(b *testing.B, producers int) {
	q := opened(b, b.TempDir(), Options{})
	data := json.RawMessage(`"` + strings.Repeat("x", 1<<10) + `"`)
	var next atomic.Int64
	var wg sync.WaitGroup
	b.ResetTimer()
	for range producers {
		wg.Go(func() {
			for {
				n := next.Add(1)
				if n > int64(b.N) {
					return
				}
				op := capture(fmt.Sprint(n), fmt.Sprint(n%1000))
				op.Data = data
				if _, err := q.Put(b.Context(), op); err != nil {
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
