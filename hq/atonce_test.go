package hq_test

import (
	"errors"
	"fmt"
	"strings"
	"sync"
	"sync/atomic"
	"testing"

	"storehub/doors"
	"storehub/hq"
)

// Programs that begin at once on an empty database, each with a store of its own and
// one that all of them add, wait for each other: none is turned away.
func TestManyAddStoresAtOnceOnAnEmptyDatabase(t *testing.T) {
	var first hq.Options
	giveDatabase(t, &first)
	const callers = 16
	var wg sync.WaitGroup
	start, met := make(chan struct{}), make(chan struct{})
	var meeting atomic.Int64
	for i := range callers {
		o := hq.Options{Database: first.Database, Log: quiet()}
		if cluster != nil {
			useDatabase(t, &o, first.Database)
			// All are within their first transaction at once.
			o.Fault = func(step string) error {
				if step != "audit:store.add" {
					return nil
				}
				switch n := meeting.Add(1); {
				case n == callers:
					close(met)
				case n < callers:
					<-met
				}
				return nil
			}
		}
		wg.Go(func() {
			<-start
			s, err := hq.NewServer(o)
			if err != nil {
				t.Errorf("caller %d: %v", i, err)
				return
			}
			for _, id := range []string{fmt.Sprintf("%04d", i), "shared"} {
				_, _, failed := s.AddStore(t.Context(), hq.Store{ID: id, Location: "tml_" + id, Mode: doors.Test})
				err = errors.Join(err, failed)
			}
			if err := errors.Join(err, s.Close()); err != nil {
				t.Errorf("caller %d: %v", i, err)
			}
		})
	}
	close(start)
	wg.Wait()
	first.Log = quiet()
	s, err := hq.NewServer(first)
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	stores, err := s.Stores(t.Context())
	if err != nil || len(stores) != callers+1 {
		t.Fatalf("%d stores, %v", len(stores), err)
	}
	acts, err := s.Audit(t.Context(), hq.AuditQuery{})
	added := 0
	for _, a := range acts {
		if strings.HasPrefix(a.Act, "store.") {
			added++
		}
	}
	if err != nil || added != 2*callers {
		t.Errorf("%d acts, %v", added, err)
	}
}
