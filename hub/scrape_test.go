package hub

import (
	"context"
	"encoding/json"
	"flag"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"testing"
	"time"
)

var scrapeTable = flag.String("scrape-table", "", "put a scrape of 500 readers beside Debian's node_exporter, and write the table there")

const manyReaders = 500

// crowded is a hub of that many readers on its LAN, all of which answer.
func crowded(t *testing.T, n int) *shop {
	t.Helper()
	f := newFakeHQ()
	for i := range n {
		f.readers = append(f.readers, json.RawMessage(fmt.Sprintf(
			`{"id":"tmr_%d","serial_number":"WSC5131%08d","label":"Lane %d","device_type":"stripe_s700","device_sw_version":"2.37.2.0","ip_address":"10.1.%d.%d","status":"online","last_seen_at":1795000000123}`,
			i, i, i, 1+i/250, 1+i%250)))
	}
	return open(t, f, t.TempDir(), func(_ *Config, p *Parts) {
		p.Dial = func(context.Context, string, string) (net.Conn, error) {
			here, there := net.Pipe()
			_ = there.Close()
			return here, nil
		}
	})
}

// scrape reads a page of metrics as Prometheus does, uncompressed, so many times.
func scrape(t *testing.T, url string, times int) (page string, took []time.Duration) {
	t.Helper()
	client := &http.Client{Transport: &http.Transport{DisableCompression: true}}
	defer client.CloseIdleConnections()
	for range times {
		began := time.Now()
		resp, err := client.Get(url)
		if err != nil {
			t.Fatal(err)
		}
		b, err := io.ReadAll(resp.Body)
		resp.Body.Close()
		if err != nil || resp.StatusCode != http.StatusOK {
			t.Fatalf("%s: %s, %v", url, resp.Status, err)
		}
		page, took = string(b), append(took, time.Since(began))
	}
	slices.Sort(took)
	return page, took
}

// TestAScrapeOfManyReadersIsBounded: so many series a reader and no more, none of a
// payment, every series of a failure there from the start, and no goroutine a reader.
func TestAScrapeOfManyReadersIsBounded(t *testing.T) {
	few := crowded(t, 1)
	small, _ := scrape(t, few.addr.Metrics, 1)
	before := runtime.NumGoroutine()
	s := crowded(t, manyReaders)
	eventually(t, "all readers answer", func() bool {
		page, _ := scrape(t, s.addr.Metrics, 1)
		return strings.Count(page, "storehub_reader_rtt_seconds{") == manyReaders
	})
	done := s.capture("pi_3Secret", "k1")
	page, took := scrape(t, s.addr.Metrics, 1+20*min(1, len(*scrapeTable)))
	for _, hidden := range []string{"pi_3Secret", done.ID} {
		if strings.Contains(page, hidden) {
			t.Errorf("a series has %s", hidden)
		}
	}
	for _, r := range tokenResults {
		if want := fmt.Sprintf("storehub_token_requests_total{result=%q} 0\n", r); !strings.Contains(page, want) {
			t.Errorf("there is no %s", want)
		}
	}
	if each := (strings.Count(page, "\n") - strings.Count(small, "\n")) / (manyReaders - 1); each > 5 {
		t.Errorf("%d lines a reader", each)
	}
	// As many as the hub of one reader has, and what serves the scrapes.
	if more := runtime.NumGoroutine() - before; more > before+50 {
		t.Errorf("%d goroutines more for %d readers", more, manyReaders)
	}
	if *scrapeTable == "" {
		return
	}
	runtime.GC()
	var mem runtime.MemStats
	runtime.ReadMemStats(&mem)
	goroutines := runtime.NumGoroutine() - before
	var b strings.Builder
	b.WriteString("| scraped | series | bytes | ms (median) | ms (longest of 20) |\n|---|--:|--:|--:|--:|\n")
	row := func(name, page string, took []time.Duration) {
		series := 0
		for line := range strings.Lines(page) {
			if !strings.HasPrefix(line, "#") {
				series++
			}
		}
		fmt.Fprintf(&b, "| %s | %d | %d | %.1f | %.1f |\n", name, series, len(page), took[len(took)/2].Seconds()*1e3, took[len(took)-1].Seconds()*1e3)
	}
	row("a hub with 500 readers", page, took)
	small, took = scrape(t, few.addr.Metrics, 20)
	row("a hub with 1 reader", small, took)
	page, took = scrape(t, nodeExporter(t), 20)
	row("node_exporter, its default collectors", page, took)
	fmt.Fprintf(&b, "\nWith 500 readers: %d goroutines, of the second hub alone; %.1f MiB of heap in use by both hubs, headquarters' stand-in and the test.\n", goroutines, float64(mem.HeapInuse)/(1<<20))
	t.Log("\n" + b.String())
	if err := os.WriteFile(*scrapeTable, []byte(b.String()), 0o644); err != nil {
		t.Fatal(err)
	}
}

// nodeExporter starts Debian's, and returns where it is scraped.
func nodeExporter(t *testing.T) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	at := l.Addr().(*net.TCPAddr).AddrPort()
	if err := l.Close(); err != nil {
		t.Fatal(err)
	}
	c := exec.CommandContext(t.Context(), "prometheus-node-exporter", "--web.listen-address="+at.String(), "--log.level=error")
	log, err := os.Create(filepath.Join(t.TempDir(), "log"))
	if err != nil {
		t.Fatal(err)
	}
	defer log.Close()
	c.Stderr = log
	if err := c.Start(); err != nil {
		t.Fatalf("start node_exporter (Debian's prometheus-node-exporter): %v", err)
	}
	t.Cleanup(func() {
		_ = c.Process.Kill()
		_ = c.Wait() // it was killed
	})
	eventually(t, "node_exporter listens", func() bool {
		conn, err := net.Dial("tcp", at.String())
		if err == nil {
			_ = conn.Close()
		}
		return err == nil
	})
	return "http://" + at.String() + "/metrics"
}
