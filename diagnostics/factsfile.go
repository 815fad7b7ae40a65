package diagnostics

import (
	"encoding/json"
	"fmt"
	"io"
	"time"

	"storehub/netcheck"
	"storehub/offlinequeue"
	"storehub/readers"
)

// maxFacts bounds a facts file: a run of a hundred readers takes 100 KB.
const maxFacts = 16 << 20

// factsFile is everything that was observed, so that it can be judged elsewhere
// and later. What readers.Reader keeps out of JSON is written beside it.
type factsFile struct {
	Schema      int                 `json:"schema"`
	At          time.Time           `json:"at"`
	Store       string              `json:"store"`
	Version     string              `json:"hub_version"`
	Integration string              `json:"integration"`
	Workday     time.Duration       `json:"workday_ns"`
	Net         *netcheck.Report    `json:"network"`
	Queue       *offlinequeue.Stats `json:"queue"`
	Readers     []factsReader       `json:"readers"`
	Hub         *Hub                `json:"hub"`
}

type factsReader struct {
	readers.Reader
	Online    readers.Tri   `json:"stripe_online"`
	Reachable readers.Tri   `json:"lan_reachable"`
	RTT       time.Duration `json:"rtt_ns"`
}

// SaveFacts writes everything observed. It holds addresses and names of the
// shop's machines, and nothing secret.
func SaveFacts(w io.Writer, in Input) error {
	f := factsFile{Schema: SchemaVersion, At: in.At.UTC(), Store: in.Store, Version: in.Version, Integration: in.Integration,
		Workday: in.Workday, Net: in.Net, Queue: in.Queue, Hub: in.Hub}
	for _, r := range in.Readers {
		f.Readers = append(f.Readers, factsReader{r, r.Online, r.Reachable, r.RTT})
	}
	e := json.NewEncoder(w)
	e.SetEscapeHTML(false)
	e.SetIndent("", "  ")
	if err := e.Encode(f); err != nil {
		return fmt.Errorf("write facts: %w", err)
	}
	return nil
}

// LoadFacts reads what SaveFacts wrote, in this or an earlier version.
func LoadFacts(r io.Reader) (Input, error) {
	raw, err := io.ReadAll(io.LimitReader(r, maxFacts+1))
	if err != nil {
		return Input{}, fmt.Errorf("read facts: %w", err)
	}
	if len(raw) > maxFacts {
		return Input{}, fmt.Errorf("read facts: larger than %d MiB", maxFacts>>20)
	}
	var f factsFile
	if err := json.Unmarshal(raw, &f); err != nil {
		return Input{}, fmt.Errorf("read facts: %w", err)
	}
	switch {
	case f.Schema == 0:
		return Input{}, fmt.Errorf("read facts: no \"schema\", so this is no facts file")
	case f.Schema > SchemaVersion:
		return Input{}, fmt.Errorf("read facts: schema %d is newer than this program, which knows %d", f.Schema, SchemaVersion)
	}
	in := Input{At: f.At, Store: f.Store, Version: f.Version, Integration: f.Integration, Workday: f.Workday, Net: f.Net, Queue: f.Queue, Hub: f.Hub}
	for _, r := range f.Readers {
		r.Reader.Online, r.Reader.Reachable, r.Reader.RTT = r.Online, r.Reachable, r.RTT
		in.Readers = append(in.Readers, r.Reader)
	}
	return in, nil
}
