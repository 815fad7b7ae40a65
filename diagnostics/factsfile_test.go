package diagnostics

import (
	"bytes"
	"net/netip"
	"reflect"
	"strings"
	"testing"
	"time"

	"storehub/offlinequeue"
	"storehub/readers"
)

func TestFactsKeepWhatJSONOfReadersLeavesOut(t *testing.T) {
	in := Input{At: at, Store: "0412", Version: "1.4.0", Integration: "sdk-js", Workday: 12 * time.Hour,
		Queue: &offlinequeue.Stats{OldestPending: at, Damaged: []string{"x"}},
		Readers: []readers.Reader{{Serial: "S1", Addr: netip.MustParseAddr("192.168.1.5"), State: "online",
			Online: readers.Yes, Reachable: readers.No, RTT: time.Millisecond}},
		Hub: &Hub{DiskFreeBytes: -1, HQError: "silent", Known: []Known{{Code: "twin_charge"}}}}
	var b bytes.Buffer
	if err := SaveFacts(&b, in); err != nil {
		t.Fatal(err)
	}
	got, err := LoadFacts(&b)
	if err != nil {
		t.Fatal(err)
	}
	if !reflect.DeepEqual(got, in) {
		t.Errorf("got  %+v\nwant %+v", got, in)
	}
}

func TestLoadFactsRefuses(t *testing.T) {
	for name, tt := range map[string]struct{ text, want string }{
		"nothing":       {"", "read facts: unexpected end"},
		"no facts file": {`{"schema":0}`, "no facts file"},
		"another file":  {`{"verdict":"ready"}`, "no facts file"},
		"a newer one":   {`{"schema":99}`, "newer than this program"},
		"no JSON":       {`schema: 1`, "read facts: invalid character"},
		"wrong type":    {`{"schema":1,"network":7}`, "read facts: json"},
	} {
		_, err := LoadFacts(strings.NewReader(tt.text))
		if err == nil || !strings.Contains(err.Error(), tt.want) {
			t.Errorf("%s: %v, want %q", name, err, tt.want)
		}
	}
}

func FuzzLoadFacts(f *testing.F) {
	f.Add([]byte(`{"schema":1,"network":{"probes":[{"name":"https/x","status":"fail","evidence":{"stage":["tcp"],"problem":7}}]}}`))
	f.Add([]byte(`{"schema":1,"readers":[{"address":"","stripe_online":9}],"hub":{"Known":[{"Code":"x"}]}}`))
	f.Add([]byte(`{"schema":1,"network":{"probes":[{"name":"clock","code":"clock_wrong","evidence":{"ahead_s":[1]}}]},"queue":{"Operations":{"capture":null}}}`))
	f.Fuzz(func(t *testing.T, raw []byte) {
		in, err := LoadFacts(bytes.NewReader(raw))
		if err != nil {
			return
		}
		r := Diagnose(in)
		if err := WriteText(new(bytes.Buffer), r, TextOptions{}); err != nil {
			t.Error(err)
		}
		if err := WriteHTML(new(bytes.Buffer), r); err != nil {
			t.Error(err)
		}
	})
}
