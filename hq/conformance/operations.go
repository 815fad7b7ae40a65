package conformance

import (
	"context"
	"time"

	"storehub/doors"
	"storehub/hq"
)

func submit(ctx context.Context, s *session) error {
	// A store that was enrolled anew begins a new numbering; whatever it is, the hub
	// learns it here.
	if f, err := s.hub.Feed(ctx, "", 0, 0); err != nil {
		return err
	} else if s.epoch, s.number, s.head = f.Epoch, f.AcceptedThrough, f.Head; f.Epoch == "" {
		return refuse("the feed names no epoch")
	}
	s.feedEpoch = s.epoch
	_, err := s.offer(ctx, s.op(doors.Heartbeat, "beat", "", 0), s.op(doors.Order, "order", "order "+s.tag, 1250))
	return err
}

func submitAgain(ctx context.Context, s *session) error {
	o := s.op(doors.Heartbeat, "again", "", 0)
	sub, err := s.offer(ctx, o)
	if err != nil {
		return err
	}
	rc, err := s.hub.Submit(ctx, sub)
	switch {
	case err != nil:
		return err
	case rc.Epoch != s.epoch:
		return refuse("the same submission again ended the epoch")
	case rc.AcceptedThrough != s.number || rc.Head != s.head:
		return refuse("the receipt of the second says through %d, want %d", rc.AcceptedThrough, s.number)
	}
	return nil
}

func staleEpoch(ctx context.Context, s *session) error {
	o := s.op(doors.Heartbeat, "stale", "", 0)
	o.Number = s.number + 1
	rc, err := s.hub.Submit(ctx, hq.Submission{Epoch: "an epoch of the past", Head: s.head, Operations: []hq.Submitted{o}})
	switch {
	case err != nil:
		return err
	case rc.Epoch != s.epoch:
		return refuse("the receipt names epoch %q, want %q", rc.Epoch, s.epoch)
	case rc.AcceptedThrough != s.number || rc.Head != s.head:
		return refuse("the receipt says through %d, want %d: a chain of another epoch moved this one", rc.AcceptedThrough, s.number)
	}
	_, err = s.offer(ctx, o) // as a hub does once it knows
	return err
}

func outcome(ctx context.Context, s *session) error {
	for _, id := range []string{"beat", "order"} {
		if err := s.ends(ctx, s.op(doors.Heartbeat, id, "", 0), doors.Succeeded, ""); err != nil {
			return err
		}
	}
	return nil
}

func outcomeOnce(ctx context.Context, s *session) error {
	id := s.op(doors.Heartbeat, "again", "", 0).ID
	last := s.op(doors.Heartbeat, "after-again", "", 0)
	if _, err := s.offer(ctx, last); err != nil {
		return err
	}
	if err := s.ends(ctx, last, doors.Succeeded, ""); err != nil {
		return err
	}
	n := 0
	for _, it := range s.items {
		if it.Type == "operation" && it.ID == id {
			n++
		}
	}
	if n != 1 {
		return refuse("%d lines of the feed tell of it", n)
	}
	return nil
}

func noIsOutcome(ctx context.Context, s *session) error {
	odd, after := s.op("levitation", "odd", "", 0), s.op(doors.Heartbeat, "after-odd", "", 0)
	if _, err := s.offer(ctx, odd, after); err != nil {
		return err
	}
	if err := s.ends(ctx, odd, doors.Failed, ""); err != nil {
		return err
	}
	return s.ends(ctx, after, doors.Succeeded, "")
}

func reusedID(ctx context.Context, s *session) error {
	o := s.op(doors.Order, "order", "order "+s.tag, 1300) // "order" was for 1250
	before := s.seq
	if _, err := s.offer(ctx, o); err != nil {
		return err
	}
	it, err := s.until(ctx, "that the id was used again", func(it hq.Item) bool { return it.ID == o.ID && it.Seq > before })
	if err == nil && (it.State != doors.Failed || it.Reason != doors.ErrKeyReused.Code) {
		err = refuse("the newcomer is %s %q, want failed %s", it.State, it.Reason, doors.ErrKeyReused.Code)
	}
	return err
}

func feedAgain(ctx context.Context, s *session) error {
	if len(s.items) == 0 {
		return refuse("the feed has no lines")
	}
	first := s.items[0]
	f, err := s.hub.Feed(ctx, s.feedEpoch, first.Seq-1, 0)
	switch {
	case err != nil:
		return err
	case len(f.Items) == 0 || f.Items[0].Seq != first.Seq || f.Items[0].ID != first.ID || f.Items[0].State != first.State:
		return refuse("line %d is another one when it is read again", first.Seq)
	}
	return nil
}

func feedEpoch(ctx context.Context, s *session) error {
	began := time.Now()
	f, err := s.hub.Feed(ctx, "an epoch of the past", 7, 30*time.Second)
	switch {
	case err != nil:
		return err
	case f.Epoch != s.feedEpoch || len(f.Items) > 0:
		return refuse("it was answered with epoch %q and %d lines, want %q and none", f.Epoch, len(f.Items), s.feedEpoch)
	case time.Since(began) > 15*time.Second:
		return refuse("it was answered after %s", time.Since(began).Round(time.Second))
	}
	return nil
}

// feedWaits needs a moment in which nothing happens; it tries a few times.
func feedWaits(ctx context.Context, s *session) error {
	for range 20 {
		began, had := time.Now(), len(s.items)
		if err := s.read(ctx, 2*time.Second); err != nil {
			return err
		}
		if len(s.items) == had {
			if waited := time.Since(began); waited < time.Second {
				return refuse("without news it answered after %s, want 2 s: a hub would ask without pause", waited.Round(time.Millisecond))
			}
			return nil
		}
	}
	return refuse("the feed is never quiet")
}

func feedWakes(ctx context.Context, s *session) error {
	o := s.op(doors.Heartbeat, "wake", "", 0)
	offered := make(chan error, 1)
	began := time.Now()
	go func() {
		// A moment later, so that the poll below is waiting; should it not yet be, the
		// check passes all the same.
		select {
		case <-time.After(200 * time.Millisecond):
		case <-ctx.Done():
		}
		_, err := s.offer(ctx, o)
		offered <- err
	}()
	f, err := s.hub.Feed(ctx, s.feedEpoch, s.seq, 30*time.Second)
	if failed := <-offered; failed != nil {
		return failed
	}
	switch {
	case err != nil:
		return err
	case len(f.Items) == 0:
		return refuse("it waited to the end although there was news")
	case time.Since(began) > 20*time.Second:
		return refuse("it was answered %s after the news", time.Since(began).Round(time.Second))
	}
	return nil
}

func chainSigned(ctx context.Context, s *session) error {
	nonce := "n" + s.tag
	p, err := s.hub.Chain(ctx, s.epoch, 0, nonce)
	if err != nil {
		return err
	}
	if err := p.Head.Verify(s.store.ID, nonce, s.store.HeadKey); err != nil {
		return refuse("%v", err)
	}
	if p.Head.Epoch != s.epoch || p.Head.Number != s.number || p.Head.Head != s.head {
		return refuse("the signed head is %d %.16q, the hub's %d %.16q", p.Head.Number, p.Head.Head, s.number, s.head)
	}
	return nil
}

func chainLinks(ctx context.Context, s *session) error {
	o := s.op(doors.Heartbeat, "link", "", 0)
	before, number := s.head, s.number
	if _, err := s.offer(ctx, o); err != nil {
		return err
	}
	p, err := s.hub.Chain(ctx, s.epoch, number, "n"+s.tag)
	switch {
	case err != nil:
		return err
	case len(p.Links) != 1 || p.Links[0].Number != number+1 || p.Links[0].ID != o.ID:
		return refuse("the links after %d are %v, want operation %s", number, p.Links, o.ID)
	case hq.Chain(before, p.Links[0].ID) != p.Head.Head:
		return refuse("the links do not lead to the signed head")
	}
	return nil
}
