package hub

import (
	"maps"
	"sync"
	"time"

	"storehub/doors"
	"storehub/offlinequeue"
)

// exposure sums what tills took offline and nobody has been paid for yet: their
// records of offline payments without an outcome, per currency in minor units.
// A currency of which no record was seen is absent, since tills that do not
// report may well have taken some; one whose records have all ended is 0.
type exposure struct {
	mu      sync.Mutex
	counted map[offlinequeue.State]int // the records there were when it was summed
	at      time.Time
	sums    map[string]int64
}

// exposureFor is how long a sum is taken to hold while the number of records in
// each state stays: one may end in the moment in which another one is deleted.
const exposureFor = time.Minute

// sum reads the queue's open operations only if records came, ended or went.
// An error leaves the last sum out: half of a sum would look like money paid.
func (e *exposure) sum(q *offlinequeue.Queue, records map[offlinequeue.State]int, now time.Time) (map[string]int64, error) {
	e.mu.Lock()
	defer e.mu.Unlock()
	if maps.Equal(e.counted, records) && now.Sub(e.at) < exposureFor {
		return maps.Clone(e.sums), nil
	}
	sums := map[string]int64{}
	for currency := range e.sums {
		sums[currency] = 0
	}
	if records[offlinequeue.Pending]+records[offlinequeue.Accepted] > 0 {
		for op, err := range q.All(offlinequeue.Pending, offlinequeue.Accepted) {
			if err != nil {
				return nil, err
			}
			if doors.Kind(op.Kind) == doors.OfflinePayment && op.Amount != nil {
				sums[op.Currency] += *op.Amount
			}
		}
	}
	e.counted, e.at, e.sums = maps.Clone(records), now, sums
	return maps.Clone(sums), nil
}
