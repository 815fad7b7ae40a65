package hq_test

import (
	"testing"

	"storehub/doors"
	"storehub/hq"
)

// TestMoney_4_6_MoneysOwnReadsAreNeverRefused: with the budget used up many times over
// captures and refunds are read and done as ever, and every read is counted.
func TestMoney_4_6_MoneysOwnReadsAreNeverRefused(t *testing.T) {
	s := newShop(t, func(o *hq.Options) { o.ReadBudget, o.WebhookSecret = 1, nil })
	s.sameReads()
	if _, err := s.client.Readers(t.Context()); err != nil { // from now on its readers are polled
		t.Fatal(err)
	}
	waitFor(t, "the budget to be used up", func() bool {
		list, err := s.server.ReadBudgets(t.Context())
		return err == nil && len(list) == 1 && list[0].Used > 1 && list[0].Slowed > 50
	})
	pi := s.authorised("1000")
	s.submit(op(doors.Capture, "op_1", pi, 1000))
	s.want("op_1", doors.Succeeded, "")
	s.submit(op(doors.Refund, "op_2", pi, 400))
	s.want("op_2", doors.Succeeded, "")
	s.exactly(pi, "captured", 1000)
	s.exactly(pi, "refunded", 400)
	if l, err := s.client.Readers(t.Context()); err != nil || len(l.Readers) != 1 {
		t.Errorf("%+v, %v; want the list that is known, with its time", l, err)
	}
	s.sameReads()
}

// sameReads holds the count of reads to what Stripe saw.
func (s *shop) sameReads() {
	s.t.Helper()
	waitFor(s.t, "every read to be counted once", func() bool {
		before := s.reads.Load()
		list, err := s.server.ReadBudgets(s.t.Context())
		counted := int64(0)
		for _, b := range list {
			counted += b.Reads
		}
		return err == nil && counted == before && before == s.reads.Load()
	})
}
