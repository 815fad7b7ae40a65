package diagnostics

import (
	"fmt"
	"slices"
	"time"

	"storehub/netcheck"
	"storehub/offlinequeue"
	"storehub/readers"
)

// Bounds of the hub's own state.
const (
	stuckAfter   = 10 * time.Minute // an operation is normally gone in seconds
	nearDeadline = 12 * time.Hour   // enough for a person to act within a day
	lowDisk      = 512 << 20        // a week of a busy shop's promises
)

func matchReaderCoded(code string, confidence float64) func(*facts) *proof {
	return func(f *facts) *proof {
		p := &proof{confidence: confidence}
		for _, r := range f.under("reader/") {
			if r.Code == code && str(r, "address") != contested(f) {
				p.evidence = append(p.evidence, r.Detail)
				p.targets = append(p.targets, str(r, "address"))
			}
		}
		if len(p.targets) == 0 {
			return nil
		}
		return p
	}
}

// online is Stripe's word. Where only the reader's JSON came along, its state
// tells it.
func online(r readers.Reader) readers.Tri {
	switch {
	case r.Online != readers.Unknown:
		return r.Online
	case r.State == "online":
		return readers.Yes
	case r.State == "offline":
		return readers.No
	}
	return readers.Unknown
}

// onLAN says what this shop's network knows of a reader.
func onLAN(f *facts, r readers.Reader) readers.Tri {
	if p, asked := f.byName["reader/"+r.Addr.String()]; asked && p.Status != netcheck.Unknown && p.Status != netcheck.Skip {
		if yes(p, "alive") {
			return readers.Yes
		}
		return readers.No
	}
	return r.Reachable
}

// matchReaderOffline: no sign of a reader on the LAN, nor at Stripe where Stripe
// was asked.
func matchReaderOffline(f *facts) *proof {
	p := &proof{confidence: 0.85}
	known := map[string]bool{}
	for _, r := range f.Readers {
		known[r.Addr.String()] = true
		lan := onLAN(f, r)
		if r.Simulated || online(r) == readers.Yes || lan == readers.Yes || online(r) == readers.Unknown && lan == readers.Unknown {
			continue
		}
		line := readerName(r)
		switch {
		case online(r) == readers.No && lan == readers.No:
			line += ": offline at Stripe, silent on the LAN"
			p.confidence = 0.95
		case online(r) == readers.No:
			line += ": offline at Stripe; the LAN was not asked"
		default:
			line += ": silent on the LAN; Stripe was not asked"
		}
		p.evidence = append(p.evidence, line)
		p.targets = append(p.targets, or(r.ID, r.Serial))
	}
	for _, r := range f.under("reader/") {
		if r.Code == "reader_offline" && !known[str(r, "address")] {
			p.evidence = append(p.evidence, fmt.Sprintf("%s (%s)", r.Detail, str(r, "arp")))
			p.targets = append(p.targets, str(r, "address"))
		}
	}
	if len(p.targets) == 0 {
		return nil
	}
	p.ruledOut = ok(f, "gateway", "the hub's own network: the gateway answers")
	return p
}

func matchReaderNoInternet(f *facts) *proof {
	if len(f.proven()) == 0 {
		return nil // the hub has none either, or it was not asked
	}
	p := &proof{confidence: 0.85, ruledOut: []string{"the shop's line: the hub reaches Stripe"}}
	for _, r := range f.Readers {
		if !r.Simulated && online(r) == readers.No && onLAN(f, r) == readers.Yes {
			p.evidence = append(p.evidence, readerName(r)+": answers on the LAN, offline at Stripe")
			p.targets = append(p.targets, or(r.ID, r.Serial))
		}
	}
	if len(p.targets) == 0 {
		return nil
	}
	return p
}

func matchReaderMoved(f *facts) *proof {
	workday := f.Workday
	if workday <= 0 {
		workday = 12 * time.Hour
	}
	p := &proof{confidence: 0.95}
	reserve := func(addr, mac, whose string) {
		if addr != "" && mac != "" {
			p.remedy = append(p.remedy, fmt.Sprintf("In the router's DHCP, reserve %s for %s (%s).", addr, mac, whose))
		}
	}
	for _, r := range f.coded("reader_moved") {
		p.evidence = append(p.evidence, r.Detail)
		p.targets = append(p.targets, str(r, "address"))
		reserve(str(r, "moved_to"), str(r, "mac"), "the reader that was at "+str(r, "address"))
	}
	for _, r := range f.Readers {
		if r.AddressChangedAt.IsZero() || f.At.Sub(r.AddressChangedAt) > workday || !r.PreviousAddr.IsValid() {
			continue
		}
		p.evidence = append(p.evidence, fmt.Sprintf("%s moved from %s to %s at %s", readerName(r), r.PreviousAddr, r.Addr, r.AddressChangedAt.UTC().Format("15:04 UTC")))
		p.targets = append(p.targets, or(r.ID, r.Serial))
		reserve(r.Addr.String(), r.MAC, readerName(r))
	}
	if len(p.targets) == 0 {
		return nil
	}
	return p
}

func matchHQ(f *facts) *proof {
	p := &proof{confidence: 0.9}
	r := f.probe("hq")
	switch {
	case r.Code == "hq_unreachable":
		p.evidence, p.targets = []string{r.Detail}, []string{str(r, "url")}
	case r.Status == netcheck.Pass:
		return nil
	}
	if f.Hub != nil && !f.Hub.HQFailingSince.IsZero() {
		p.since = f.Hub.HQFailingSince
		line := "no answer since " + p.since.UTC().Format("2006-01-02 15:04 UTC")
		if f.Hub.HQError != "" {
			line += ": " + f.Hub.HQError
		}
		p.evidence = append(p.evidence, line)
	}
	if len(p.evidence) == 0 {
		return nil
	}
	if n := f.proven(); len(n) > 0 {
		p.ruledOut = []string{"the shop's line: " + n[0] + " is reached"}
	}
	return p
}

func matchHQRefused(f *facts) *proof {
	if f.Hub == nil || !f.Hub.HQRefused {
		return nil
	}
	return &proof{confidence: 0.99, evidence: []string{"headquarters answers 401 to this hub's credential"}, ruledOut: []string{"the line: headquarters answers"}}
}

func matchDuplicated(f *facts) *proof {
	if f.Hub == nil || f.Hub.SecondHub == "" {
		return nil
	}
	return &proof{confidence: 0.95, evidence: []string{"another hub of this store: " + f.Hub.SecondHub}, targets: []string{f.Hub.SecondHub}}
}

func matchQueueFull(f *facts) *proof {
	if f.Hub == nil || !f.Hub.QueueFull {
		return nil
	}
	return &proof{confidence: 0.99, evidence: []string{"a till was refused for want of room"}}
}

func matchDiskLow(f *facts) *proof {
	if f.Hub == nil || f.Hub.DiskFreeBytes < 0 || f.Hub.DiskFreeBytes >= lowDisk || f.Hub.DiskFreeBytes == 0 && !f.Hub.QueueFull {
		return nil
	}
	return &proof{confidence: 0.99, evidence: []string{fmt.Sprintf("%d MiB are free", f.Hub.DiskFreeBytes>>20)}}
}

func matchQueueDamaged(f *facts) *proof {
	if f.Queue == nil || len(f.Queue.Damaged) == 0 {
		return nil
	}
	return &proof{confidence: 0.99, evidence: slices.Clone(f.Queue.Damaged)}
}

func matchMirrorAway(f *facts) *proof {
	if f.Queue == nil || f.Queue.Mirror.Away == "" {
		return nil
	}
	m := f.Queue.Mirror
	return &proof{confidence: 0.99, evidence: []string{fmt.Sprintf("%s: %s", m.Path, m.Away)}, since: m.Since}
}

func waiting(q *offlinequeue.Stats) (n int) {
	for _, states := range q.Operations {
		n += states[offlinequeue.Pending]
	}
	return n
}

func matchNotDraining(f *facts) *proof {
	if f.Queue == nil {
		return nil
	}
	p := &proof{confidence: 0.95}
	if oldest := f.Queue.OldestPending; !oldest.IsZero() && f.At.Sub(oldest) >= stuckAfter {
		p.since = oldest
		p.evidence = append(p.evidence, fmt.Sprintf("%d operations wait, the oldest since %s", waiting(f.Queue), oldest.UTC().Format("2006-01-02 15:04 UTC")))
	}
	for _, h := range f.Queue.Parked {
		if p.since.IsZero() || h.Since.Before(p.since) {
			p.since = h.Since
		}
		p.confidence = 0.99
		p.targets = append(p.targets, h.ID)
		p.evidence = append(p.evidence, fmt.Sprintf("%s (%s of %s) is parked since %s: headquarters takes others and refuses it: %s",
			h.ID, h.Kind, h.Ref, h.Since.UTC().Format("2006-01-02 15:04 UTC"), h.Reason))
	}
	if more := f.Queue.ParkedInAll - len(f.Queue.Parked); more > 0 {
		p.evidence = append(p.evidence, fmt.Sprintf("%d more are parked", more))
	}
	if len(p.evidence) == 0 {
		return nil
	}
	return p
}

func matchNearDeadline(f *facts) *proof {
	if f.Queue == nil || f.Queue.NextDeadline.IsZero() || f.Queue.NextDeadline.Sub(f.At) > nearDeadline {
		return nil
	}
	return &proof{confidence: 0.95, evidence: []string{"the first payment lapses at " + f.Queue.NextDeadline.UTC().Format("2006-01-02 15:04 UTC")}}
}

func matchKnown(code string) func(*facts) *proof {
	return func(f *facts) *proof {
		if f.Hub == nil {
			return nil
		}
		p := &proof{confidence: 0.99}
		for _, k := range f.Hub.Known {
			if k.Code != code {
				continue
			}
			if p.since.IsZero() || !k.Since.IsZero() && k.Since.Before(p.since) {
				p.since = k.Since
			}
			p.evidence = append(p.evidence, k.Evidence...)
			p.targets = append(p.targets, k.Targets...)
		}
		if len(p.evidence) == 0 {
			return nil
		}
		return p
	}
}
